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
        self._place, self._classes, self._context = place, context.classes, context
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
        found = worth(p[:, self.columns(labels)], labels, self._of_gold(labels))
        if not found.changes.any() and found.student < 1 - 1 / len(labels):
            about = f"right of about {found.labels:.0%} of the rows, the student of {found.student:.0%}"
            self._context.warn(
                f"{self._place} changes no label: labels are {about}, and that is not enough more."
            )
        return found.changes

    def _of_gold(self, labels: Sequence[str]) -> Gold | None:
        """What a student of these labels says of gold rows; None where there is none."""
        gold = self._context.gold
        if gold is None or gold.empty:
            return None
        student = SoftmaxRegression(sorted(set(labels))).fit(self.vectors, labels)
        p = student.predict_proba(self._context.encode(list(gold["text"])))
        said = np.array(student.labels)[p.argmax(axis=1)]
        return Gold(said == gold["label"].to_numpy(), p.max(axis=1))

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
    """How often a student is right, and how often the labels are, as far as that can be told, and for which
    rows another label is likelier than the row's, (n,) bool: for none where it is no better."""

    student: float
    labels: float
    changes: np.ndarray


class Gold(NamedTuple):
    """Of rows whose label is known, (n,) each: whether a student is right, and how sure it is."""

    right: np.ndarray
    sure: np.ndarray


class _Told(NamedTuple):
    """How often labels and student are right, the variance of the difference, and the square of what it may
    be wrong by besides."""

    labels: float
    student: float
    variance: float
    bias: float


def worth(p: np.ndarray, labels: Sequence[str], gold: Gold | None = None) -> Worth:
    """Of out-of-fold probabilities (n, K) of the labels' sorted names, and of what a student of all rows says
    of gold ones.

    A student that is right of a share s agrees with labels that are right of a share l on
    a = s l + (1 - s) (1 - l) / (K - 1) of the rows. Rows of which s is known give l, and with that all rows
    their s. The student has to be better by two standard errors. Then a label is changed where, by Bayes'
    rule with that l, another is likelier.
    """
    _, at = np.unique(np.asarray(labels), return_inverse=True)
    n, others, row = len(at), p.shape[1] - 1, np.arange(len(at))
    ways = [_by_surest(p, at), *([] if gold is None else [_by_gold(p, at, gold)])]
    trust = np.array([1 / max(told.variance + told.bias, n**-2.0) for told in ways])
    trust /= trust.sum()
    label, student = (trust @ [way[:2] for way in ways]).tolist()
    wrong = (1 - label) / others  # how likely a row has a certain label that is not right
    if label - wrong < TOLD:  # they say hardly more than chance
        return Worth(0.0, label, np.zeros(n, dtype=bool))
    p = _calibrated(p, at)
    odds = np.maximum(p - wrong, 0) * wrong  # that a label is right and the row's is not, but for a factor
    odds[row, at] = np.maximum(p[row, at] - wrong, 0) * label
    error = float(trust**2 @ [way.variance for way in ways]) ** 0.5
    return Worth(student, label, (odds.argmax(axis=1) != at) & (student - label > 2 * error))


def _by_surest(p: np.ndarray, at: np.ndarray) -> _Told:
    """Of the tenth of the rows where a student is surest it is hardly ever wrong: there it agrees with the
    labels as often as these are right (the anchors of Patrini et al. 2017). Where a task is hard it still is
    wrong there, and the agreement has not risen to its end: as much as it rose is added once more, which is a
    guess."""
    n, others, agrees = len(at), p.shape[1] - 1, p.argmax(axis=1) == at
    most = max(min(n, ANCHORS), n // 10)
    agreed = float(agrees.mean())
    surest = float(agrees[np.argsort(-p.max(axis=1), kind="stable")[:most]].mean())
    rise = max(surest - agreed, 0.0)
    label = min(surest + rise, 1 - 1 / n)
    tells = max(_above(label, others), TOLD)
    student = min(max((agreed - (1 - label) / others) / tells, 0.0), 1.0)
    variance = label * (1 - label) / most + agreed * (1 - agreed) / n / tells**2
    return _Told(label, student, variance, rise**2)


def _by_gold(p: np.ndarray, at: np.ndarray, gold: Gold) -> _Told:
    """How often the student is right of the surer half of the rows, gold rows of which it is as sure say."""
    n, others, agrees, sure = len(at), p.shape[1] - 1, p.argmax(axis=1) == at, p.max(axis=1)
    half = float(np.median(sure))
    right, surer, agreed = (
        gold.right[gold.sure >= half],
        float(agrees[sure >= half].mean()),
        float(agrees.mean()),
    )
    known = (float(right.sum()) + 0.5) / (len(right) + 1)
    tells = max(_above(known, others), TOLD)
    label = min(max((surer - (1 - known) / others) / tells, 0.0), 1 - 1 / n)
    of_known = ((others + 1) * label - 1) / (others * tells)  # by how much `label` falls where `known` rises
    unsure = of_known**2 * known * (1 - known) / (len(right) + 1) + surer * (1 - surer) / (n / 2) / tells**2
    tells = max(_above(label, others), TOLD)
    student = min(max((agreed - (1 - label) / others) / tells, 0.0), 1.0)
    slope = 1 + ((others + 1) * student - 1) / (others * tells)  # of the difference, where `label` rises
    return _Told(label, student, slope**2 * unsure + agreed * (1 - agreed) / n / tells**2, 0.0)


def _above(right: float, others: int) -> float:
    """By how much who is right of this share says the right label more often than one that is wrong."""
    return right - (1 - right) / others


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
