"""Values of files: when one equals what a recipe says, and how it reads.

A file may hold 5, 5.0 or the text "5" where a recipe says 5, and true or the text "TRUE" where it says true.
Two texts are equal only letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")  # not 007, which is a name
DIGITS = 300  # of whole numbers that are compared exactly; Python reads none of more than 4,300


def equal(said: Any, value: Any) -> bool:
    """Whether a value of a file is what a recipe says."""
    if missing(value) or said is None:
        return missing(value) and said is None
    return str(said) == str(value) or (
        isinstance(said, str) + isinstance(value, str) < 2 and _key(said) == _key(value)
    )


def named(value: Any, names: Collection[str]) -> str | None:
    """The name that a value of a file means, where names are all text: `5` is meant by 5, 5.0 and "5.0"."""
    exact = str(value)
    return exact if exact in names else next((name for name in names if _key(name) == _key(value)), None)


def _key(value: Any) -> Any:
    """The same for a number or truth value, and the text of it."""
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return str(value).lower()
    if isinstance(value, str):
        lower = value.strip().lower()
        if NUMBER.fullmatch(lower):
            whole = lower.lstrip("-").isdecimal() and len(lower) <= DIGITS
            return int(lower) if whole else float(lower)
        return lower if lower in ("true", "false") else value
    try:
        return int(value) if hasattr(value, "__index__") else float(value)  # a float has 53 bits
    except (TypeError, ValueError, OverflowError):
        return str(value)


def missing(value: Any) -> bool:
    """Whether there is no value: None, or what pandas has in its place."""
    if value is None:
        return True
    try:
        return bool(value != value)  # not a number, not a time
    except (TypeError, ValueError):  # of an array, or of pandas' NA
        return type(value).__name__ == "NAType"


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table as prompts show it."""
    return {name: plain_value(value) for name, value in row.items()}


def plain_value(value: Any) -> Any:
    """A value of a table as Python has it: a list for an array, None for what pandas has in its place."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return None if isinstance(value, float) and value != value else value
