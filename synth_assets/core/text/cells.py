"""Texts in a CSV file that people open in a spreadsheet and save again."""

from __future__ import annotations

import re

# What a spreadsheet runs (full-width signs too), and what it turns into a number, a day or a truth value.
RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")
CHANGED = re.compile(r"[\s\d.,:;/()$€£¥%-]+(?:e[+-]?\d+\s*)?|true|false", re.IGNORECASE)
GUARD = "'"


def guarded(text: str) -> str:
    """The text with a quote in front where a spreadsheet would not leave it as it is."""
    return GUARD + text if _needs(text) else text


def bare(text: str) -> str:
    """The text without the quote that `guarded` puts in front."""
    return text[1:] if text.startswith(GUARD) and _needs(text[1:]) else text


def _needs(text: str) -> bool:
    """Whatever quotes it has already: else one of its own would be taken for a guard."""
    inside = text.lstrip(GUARD)
    return inside.lstrip(" ").startswith(RUN) or CHANGED.fullmatch(inside) is not None
