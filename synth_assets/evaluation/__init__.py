"""How good a set is: pure measures on texts and matrices, and the same for `evaluate`."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """A class of `evaluate`, found on first use: that is slow to import, and the rest does without it."""
    if name[:1].isupper():
        found = import_module(f"{__name__}.huggingface")
        if name in found.TABLE:
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
