"""Batch calibration of class scores (Zhou et al. 2024, "Batch Calibration")."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def batch_calibrated(logprobs: Sequence[Mapping[str, float] | None]) -> list[dict[str, float] | None]:
    """Probabilities of each class after the batch's own mean score of the class is taken away.

    Assumes that the classes are about equally frequent in the batch. Unknown (None) stays None; a
    batch of fewer than two known rows has no mean worth taking away and is only normalised.
    """
    known = [p for p in logprobs if p is not None]
    if not known:
        return [None] * len(logprobs)
    bias = {y: sum(p[y] for p in known) / len(known) if len(known) > 1 else 0.0 for y in known[0]}
    return [None if p is None else _softmax({y: p[y] - bias[y] for y in bias}) for p in logprobs]


def _softmax(scores: Mapping[str, float]) -> dict[str, float]:
    top = max(scores.values())
    exp = {y: math.exp(s - top) for y, s in scores.items()}
    total = sum(exp.values())
    return {y: e / total for y, e in exp.items()}
