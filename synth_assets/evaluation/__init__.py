"""How good a set is: pure measures on texts and matrices, and the same for `evaluate`."""

from __future__ import annotations

from typing import Any

_MEASUREMENTS = (
    "AveragePairwiseSimilarity",
    "CentroidDistance",
    "ChamferDistance",
    "CloserThanReal",
    "ClusterCoverage",
    "DistinctN",
    "LabelDivergence",
    "LengthDivergence",
    "Mauve",
    "MembershipSignal",
    "NearestSeedDistance",
    "NgramFrequency",
    "RemoteClique",
    "SelfBLEU",
    "VendiScore",
    "VerbatimOverlap",
    "Vocabulary",
    "WholeCopies",
)


_METRICS = (
    "AUC",
    "BLEU",
    "Agreement",
    "BradleyTerry",
    "ChrF",
    "Elo",
    "EntityError",
    "ExactMatch",
    "FactF1AtK",
    "MultipleChoice",
    "PassAtK",
    "RatingAgreement",
    "RougeL",
    "SetF1",
    "SolveRate",
    "SpanF1",
    "TokenF1",
    "WinTieLose",
)


def __getattr__(name: str) -> Any:
    """Find one on first use: `evaluate` is slow to import, and the rest does without it."""
    if name not in _MEASUREMENTS + _METRICS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = "metrics" if name in _METRICS else "measurements"
    return getattr(import_module(f"{__name__}.{module}"), name)
