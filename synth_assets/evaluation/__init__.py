"""How good a set is: pure measures on texts and matrices, and the same as `evaluate` measurements."""

from __future__ import annotations

from typing import Any

_MEASUREMENTS = ("AveragePairwiseSimilarity", "DistinctN", "SelfBLEU", "Vocabulary")


def __getattr__(name: str) -> Any:
    """Find a measurement on first use: `evaluate` is slow to import, and the rest does without it."""
    if name not in _MEASUREMENTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from synth_assets.evaluation import measurements

    return getattr(measurements, name)
