"""How good a set is: pure measures on texts and matrices, and the same for `evaluate`."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """A class of `evaluate`, found on first use: that is slow to import, and the rest does without it."""
    for module in ("huggingface", "metrics") if name[:1].isupper() else ():
        found = import_module(f"{__name__}.{module}")
        if name in found.__all__:
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
