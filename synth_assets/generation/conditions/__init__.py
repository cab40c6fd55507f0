"""Conditions: what each row is asked to be, and where those values come from.

Importing this package is what makes all sources of values known.
"""

from synth_assets.generation.conditions import files, knowledge, listed, lists, numbers, rows

__all__ = ["files", "knowledge", "listed", "lists", "numbers", "rows"]
