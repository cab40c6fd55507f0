"""Weights of rows and of their tokens."""
