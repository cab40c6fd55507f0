"""The filters, found by their names (core/registry.py)."""
