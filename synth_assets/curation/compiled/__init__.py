"""Modules that import numba: their callers import them where a set is large, not before."""
