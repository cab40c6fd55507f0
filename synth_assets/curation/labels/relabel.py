"""Labels made anew by students that did not see the row. Classes are in the order of their sorted names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from synth_assets.contracts.labelling import LabelContext
from synth_assets.core.errors import UserError
from synth_assets.core.text.normal_form import normal_form
from synth_assets.curation.noise import loss_mixture
from synth_assets.selection.methods import k_medoids
from synth_assets.students import LEAST
from synth_assets.students.crossfit import Fit, out_of_fold
from synth_assets.students.softmax import SoftmaxRegression

LEARNS_ROWS = 10.0  # C of a student that can learn single rows
CLEAN = 0.5  # least posterior of the component of small loss
CONFIDENT = 0.5  # share of a class's clean rows that demonstrations are taken from


class Students:
    """Students of these rows. UserError, which names `place`, where they are too few."""

    def __init__(self, rows: pd.DataFrame, place: str, context: LabelContext) -> None:
        self._place, self._classes = place, context.classes
        self.vectors = context.encode(list(rows["text"]))
        self.copies = [normal_form(text) for text in rows["text"]]

    def say(self, labels: Sequence[str], stages: int = 1, c: float = 1.0) -> np.ndarray:
        """(n, K): probabilities of all classes, 0 of one without a row, after stages of `cross_partition`."""
        counts = Counter(y for _, y in set(zip(self.copies, labels, strict=True)))
        if len(counts) < 2 or min(counts.values()) < LEAST:
            few = ", ".join(f"{n} {y}" for y, n in sorted(counts.items()))
            raise UserError(
                f"{self._place}: students need {LEAST} different rows of each of two labels or more, "
                f"there are {few}: ask for more rows, or label by something else."
            )
        found = np.zeros((len(labels), len(self._classes)))
        student = SoftmaxRegression(sorted(counts), c)
        found[:, self.columns(labels)] = cross_partition(
            self.vectors, labels, self.copies, student.fit, stages
        )
        return found

    def nearest(self, of: np.ndarray, pool: Sequence[int], k: int) -> list[list[int]]:
        """For each row of a mask the `k` nearest rows of the pool, the nearest one last, and never a copy."""
        copies = np.array(self.copies, dtype=object)
        near = self.vectors[of] @ self.vectors[pool].T
        near[copies[of][:, None] == copies[pool]] = -np.inf  # a copy's label would be the answer
        order = [np.argsort(each)[np.isinf(each).sum() :][-k:] for each in near]
        return [[pool[i] for i in places] for places in order]

    def columns(self, labels: Sequence[str]) -> list[int]:
        """Places of these labels, sorted, among all classes."""
        return [self._classes.index(y) for y in sorted(set(labels))]


def label_issues(probabilities: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """(n,) bool: rows whose label is likely wrong, by out-of-fold probabilities (n, K) of the labels
    (confident learning: Northcutt et al. 2021, as cleanlab has it)."""
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
    y, keep, chosen = np.asarray(labels), clean(confidence, labels), list[int]()
    for number, name in enumerate(classes := np.unique(y)):
        quota = size // len(classes) + (number < size % len(classes))
        rows = np.flatnonzero(y == name)
        rows = rows[np.lexsort((-confidence[rows], ~keep[rows]))]  # the clean ones first, the surest ahead
        rows = rows[: max(quota, round(CONFIDENT * keep[rows].sum()))]
        chosen += rows[k_medoids(vectors[rows], min(quota, len(rows)), seed)].tolist() if quota else []
    return chosen
