"""Labels made anew by students that did not see the row. Classes are in the order of their sorted names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synth_assets.curation.noise import loss_mixture
from synth_assets.selection.methods import k_medoids
from synth_assets.students.crossfit import out_of_fold

if TYPE_CHECKING:
    import numpy as np

    from synth_assets.students.crossfit import Fit

CLEAN = 0.5  # least posterior of the component of small loss
CONFIDENT = 0.5  # share of a class's clean rows that demonstrations are taken from


def label_issues(probabilities: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """(n,) bool: rows whose label is likely wrong, by out-of-fold probabilities (n, K) of the labels
    (confident learning: Northcutt et al. 2021, as cleanlab has it)."""
    import numpy as np
    from cleanlab.filter import find_label_issues

    _, at = np.unique(np.asarray(labels), return_inverse=True)
    return np.asarray(find_label_issues(at, np.asarray(probabilities, dtype=float), n_jobs=1))


def cross_partition(
    features: np.ndarray,
    labels: Sequence[str],
    groups: Sequence[object],
    fit: Fit,
    stages: int = 3,
    parts: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """(n, K): probabilities after `stages`, in each of which every part takes the likeliest labels of the
    student of the other parts (MCKD: Zhao et al. 2023; of two parts, A labels B and B labels A).

    The student may learn single rows: a part that it labelled itself would then keep its noise. One with a
    strong penalty loses the rare classes stage by stage.
    """
    import numpy as np

    classes = np.unique(np.asarray(labels))
    found = list(labels)
    for stage in range(stages):
        p = out_of_fold(features, found, groups, fit, parts, seed + stage)
        found = classes[p.argmax(axis=1)].tolist()
    return p


def clean(confidence: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """(n,) bool: rows of small loss, of two kinds a class; where that is not known, they are not clean."""
    return loss_mixture(confidence, labels) > CLEAN


def demonstration_pool(
    vectors: np.ndarray, labels: Sequence[str], confidence: np.ndarray, size: int = 100, seed: int = 0
) -> list[int]:
    """Places of `size` different rows, as many of each class: of its clean rows the more confident half, and
    of these the medoids (FreeAL: Xiao et al. 2023). Vectors (n, d) have length 1; confidence (n,) is the
    probability of the row's label by a student that did not see it.

    Fewer rows of a class where it has fewer; a class with few clean rows takes its most confident ones.
    """
    import numpy as np

    y, keep, chosen = np.asarray(labels), clean(confidence, labels), list[int]()
    for number, name in enumerate(classes := np.unique(y)):
        quota = size // len(classes) + (number < size % len(classes))
        rows = np.flatnonzero(y == name)
        rows = rows[np.lexsort((-confidence[rows], ~keep[rows]))]  # the clean ones first, the surest ahead
        rows = rows[: max(quota, round(CONFIDENT * keep[rows].sum()))]
        chosen += rows[k_medoids(vectors[rows], min(quota, len(rows)), seed)].tolist() if quota else []
    return chosen
