"""The steps that make a row, one module a kind."""
