"""Weights by students: rows that help on other rows weigh more. All weights have mean 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synth_assets.curation.noise import by_the_other_half, outer_residuals
from synth_assets.students import softmax
from synth_assets.students.crossfit import one_thread, shares

if TYPE_CHECKING:
    import numpy as np

OUTER_STEPS = 5
OUTER_RATE = 0.25  # mean length of a step of the weights' logits (SunGen's rate)


def bilevel_weights(
    features: np.ndarray, labels: Sequence[str], groups: Sequence[object], loss: str = "rce", seed: int = 0
) -> np.ndarray:
    """(n,): weights that lower the loss of a student so weighted on rows that it was not trained with
    (SunGen: Gao et al. 2023). Each half is weighed by the other, through the inverse Hessian."""
    found = by_the_other_half(_weigh, features, labels, groups, loss, seed)
    return shares(found, len(found)) * len(found)


@one_thread
def _weigh(x: np.ndarray, y: np.ndarray, x_out: np.ndarray, y_out: np.ndarray, loss: str) -> np.ndarray:
    import numpy as np

    logits, at, way, penalty = np.zeros(len(x), np.float32), None, None, 1 / len(x)
    for step in range(OUTER_STEPS):
        raw = 1 / (1 + np.exp(-logits))
        w = shares(raw, len(x))
        at = softmax.descend(x, y, w, penalty, start=at, rounds=softmax.ROUNDS if step == 0 else 1)
        p = softmax.probabilities(x, at)
        outward = outer_residuals(softmax.probabilities(x_out, at), y_out, loss) / len(x_out)
        way = softmax.solve(x, p, w, penalty, softmax.gradient(x_out, outward), start=way)
        harm = -((p - y) * (x @ way[:-1] + way[-1])).sum(axis=1)
        slope = harm * raw * (1 - raw)  # one length for all rows: Adam's, a row each, would lose which matter
        logits = logits - np.float32(OUTER_RATE) * slope / np.sqrt((slope**2).mean() + 1e-30)
    return 1 / (1 + np.exp(-logits))


def inverse_frequency(labels: Sequence[str]) -> np.ndarray:
    """(n,): every label weighs the same in all."""
    import numpy as np

    _, at, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    return len(at) / (len(counts) * counts[at])
