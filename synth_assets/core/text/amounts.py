"""Sums as people read them: 12,345 calls, 17.8 million tokens, $0.02."""

from __future__ import annotations

from math import floor, log10

UNKNOWN = "unknown"


def count(value: float | None) -> str:
    """How many: whole below a million."""
    if value is None:
        return UNKNOWN
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if round(value) >= size:
            return f"{value / size:,.1f} {name}"
    return f"{value:,.0f}"


def dollars(value: float | None) -> str:
    """US dollars: in cents, and below a cent with two digits that count."""
    if value is None:
        return UNKNOWN
    if value <= 0:
        return "$0"
    return f"${value:,.2f}" if value >= 0.01 else f"${value:.{1 - floor(log10(value))}f}"


def duration(seconds: float | None) -> str:
    """In seconds, minutes or hours."""
    if seconds is None:
        return UNKNOWN
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
