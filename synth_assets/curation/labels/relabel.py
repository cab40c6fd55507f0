"""Labels made anew by students that did not see the row. Classes are in the order of their sorted names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

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
ANCHORS = 50  # rows where a student is surest, at least
TOLD = 0.15  # by how much labels have to be right more often than one wrong label is given
CONFIDENT = 0.5  # share of a class's clean rows that demonstrations are taken from


class Students:
    """Students of these rows. UserError, which names `place`, where they are too few."""

    def __init__(self, rows: pd.DataFrame, place: str, context: LabelContext) -> None:
        self._place, self._classes, self._warn = place, context.classes, context.warn
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

    def may_change(self, p: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """(n,) bool: the rows whose label this student may change, by its probabilities of all classes. Where
        there are none since it is not shown to be better than the labels, a warning says so."""
        found = worth(p[:, self.columns(labels)], labels)
        if not found.changes.any() and found.student < 1 - 1 / len(labels):
            about = f"right of about {found.labels:.0%} of the rows, the student of {found.student:.0%}"
            self._warn(f"{self._place} changes no label: labels are {about}, and that is not enough more.")
        return found.changes

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


class Worth(NamedTuple):
    """How often a student is right, and how often the labels are, as far as they tell that themselves, and
    for which rows another label is likelier than the row's, (n,) bool: for none where it is no better."""

    student: float
    labels: float
    changes: np.ndarray


def worth(p: np.ndarray, labels: Sequence[str]) -> Worth:
    """Of out-of-fold probabilities (n, K) of the labels' sorted names.

    Of the tenth of the rows where a student is surest it is hardly ever wrong: there it agrees with the
    labels as often as these are right, l (the anchors of Patrini et al. 2017). Where a task is hard it still
    is wrong there, and the agreement has not risen to its end: as much as it rose is added once more. Of all
    rows a student that is right of a share s agrees on a = s l + (1 - s) (1 - l) / (K - 1). So they give s,
    which has to be above l by two standard errors. Then a label is changed where, by Bayes' rule with that l,
    another is likelier.
    """
    _, at = np.unique(np.asarray(labels), return_inverse=True)
    n, others, row = len(at), p.shape[1] - 1, np.arange(len(at))
    agrees = p.argmax(axis=1) == at
    most = max(min(n, ANCHORS), n // 10)
    agreed = float(agrees.mean())
    surest = float(agrees[np.argsort(-p.max(axis=1), kind="stable")[:most]].mean())
    label = min(surest + max(surest - agreed, 0.0), 1 - 1 / n)
    wrong = (1 - label) / others  # how likely a row has a certain label that is not right
    if label - wrong < TOLD:  # they say hardly more than chance
        return Worth(0.0, label, np.zeros(n, dtype=bool))
    student = min(max((agreed - wrong) / (label - wrong), 0.0), 1.0)
    error = label * (1 - label) / most + agreed * (1 - agreed) / n / (label - wrong) ** 2
    p = _calibrated(p, at)
    odds = np.maximum(p - wrong, 0) * wrong  # that a label is right and the row's is not, but for a factor
    odds[row, at] = np.maximum(p[row, at] - wrong, 0) * label
    better = student - label > 2 * error**0.5
    return Worth(student, label, (odds.argmax(axis=1) != at) & better)


def _calibrated(p: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Probabilities (n, K) as sure as they are right of the labels (temperature scaling: Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    logs, row = np.log(np.maximum(p, 1e-9)), np.arange(len(at))

    def loss(sharpness: float) -> float:
        return -float(log_softmax(sharpness * logs, axis=1)[row, at].mean())

    return np.exp(log_softmax(minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x * logs, axis=1))


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
