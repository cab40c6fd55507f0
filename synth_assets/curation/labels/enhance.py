"""Label enhancement: every label keeps its source, its former value and its confidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from synth_assets.core.errors import UserError
from synth_assets.core.text.normal_form import normal_form
from synth_assets.curation import noise
from synth_assets.curation.labels import aggregation, relabel
from synth_assets.students.crossfit import LEAST, out_of_fold
from synth_assets.students.softmax import SoftmaxRegression

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from synth_assets.core.asking import Encode

NEEDS: Mapping[str, str] = {  # by -> the filter that it rests on
    "label_agreement": "label_agreement",
    "majority": "annotators",
    "dawid_skene": "annotators",
    "label_model": "annotators",
}
LEARNS_ROWS = 10.0  # C of a student that can learn single rows


class Found(NamedTuple):
    """What a way to label says of n rows."""

    probabilities: np.ndarray  # (n, K) of the classes; NaN where it is not known
    changes: np.ndarray  # (n,) bool: where it decides the label
    source: Sequence[str]  # (n,): who says it


def enhance(
    rows: pd.DataFrame,
    by: str,
    *,
    labels: Sequence[str] = (),
    encode: Encode | None = None,
    stages: int = 3,
    human: Sequence[str | None] = (),
) -> pd.DataFrame:
    """Rows with `label`, `former_label`, `label_source`, `confidence` and `label_probabilities`.

    by = condition: the label that the row was asked for. by = label_agreement: the label that the annotator
    finds likeliest (as ZeroGen's and FreeAL's annotators relabel). confident_learning, clean_pool and
    cross_partition ask students that did not see the row; majority, dawid_skene and label_model ask several
    annotators. Where nothing is known, or two labels are as likely, the former label stays.

    `human` has a label or None for each row, and overrides all: it counts as certain. Confidence is the
    probability of the label, or None. `labels`: those of the task, besides those of the rows. UserError
    where a student has too few rows.
    """
    former = list(rows["label"])
    known = (y for p in rows.get("label_probabilities", ()) if isinstance(p, Mapping) for y in p)
    classes = sorted({y for y in (*labels, *former, *known) if isinstance(y, str)})
    found = _found(rows, by, classes, encode, stages)
    each = zip(former, found.probabilities, found.changes, found.source, strict=True)
    marks = [_mark(*row, classes) for row in each]
    for i, label in enumerate(human):
        if label is not None:
            marks[i] = (label, "human", {y: float(y == label) for y in classes})
    return rows.assign(
        label=[label for label, _, _ in marks],
        former_label=former,
        label_source=[source for _, source, _ in marks],
        confidence=[None if p is None else p[label] for label, _, p in marks],
        label_probabilities=[p for _, _, p in marks],
    )


def _mark(
    former: str, p: np.ndarray, changes: bool, source: str, classes: Sequence[str]
) -> tuple[str, str, dict[str, float] | None]:
    """Label, source and probabilities of one row."""
    import numpy as np

    if not np.isfinite(p).any():
        return former, "condition", None
    best = np.flatnonzero(p == p.max())
    label = classes[best[0]] if changes and len(best) == 1 else former
    return label, "condition" if label == former else source, dict(zip(classes, p.tolist(), strict=True))


def _found(rows: pd.DataFrame, by: str, classes: Sequence[str], encode: Encode | None, stages: int) -> Found:
    import numpy as np

    annotator, former = _annotator(rows, classes), list(rows["label"])
    never, always = np.zeros(len(rows), dtype=bool), np.ones(len(rows), dtype=bool)
    if by in ("condition", "label_agreement") or rows.empty:
        return Found(annotator, always if by == "label_agreement" else never, [by] * len(rows))
    if by in ("majority", "dawid_skene", "label_model"):
        return Found(_aggregated(rows, by, classes, encode), always, ["annotators"] * len(rows))
    class_of = Students(rows, f"labelled.by: {by}", classes, encode)
    if by == "cross_partition":
        return Found(class_of.after(stages, former), always, ["student"] * len(rows))
    p = class_of.out_of_fold(former)
    own = p[:, [classes.index(y) for y in sorted(set(former))]]
    if by == "confident_learning":
        return Found(p, relabel.label_issues(own, former), ["student"] * len(rows))
    doubtful = ~relabel.clean(noise.given(own, former), former)
    asked = doubtful & np.isfinite(annotator).all(axis=1)
    p = np.where(asked[:, None], annotator, p)
    return Found(p, doubtful, ["label_agreement" if a else "student" for a in asked])


def doubted(rows: pd.DataFrame, labels: Sequence[str], encode: Encode) -> tuple[np.ndarray, list[int]]:
    """(n,) bool, the rows whose label a student doubts, and the places of the clean pool, from which their
    annotator is shown the nearest (FreeAL: Xiao et al. 2023): none of the two is in the other. UserError
    where there are too few rows."""
    former = list(rows["label"])
    student = Students(rows, "labelled.by: clean_pool", sorted({*labels, *former}), encode)
    p, present = student.out_of_fold(former), sorted({*labels, *former})
    confidence = noise.given(p[:, [present.index(y) for y in sorted(set(former))]], former)
    pool = relabel.demonstration_pool(encode(list(rows["text"])), former, confidence)
    doubtful = ~relabel.clean(confidence, former)
    return doubtful, [i for i in pool if not doubtful[i]]


def _annotator(rows: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """(n, K): the annotator's probabilities, as the filter label_agreement has them."""
    import numpy as np

    p = np.full((len(rows), len(classes)), np.nan)
    for i, known in enumerate(rows.get("label_probabilities", ())):
        if isinstance(known, Mapping):
            p[i] = [known[y] for y in classes]
    return p


def _aggregated(rows: pd.DataFrame, by: str, classes: Sequence[str], encode: Encode | None) -> np.ndarray:
    """(n, K): what the annotators' answers, as the filter annotators has them, come to."""
    answers = [[] if row is None else list(row) for row in rows["annotator_labels"]]
    width = max(map(len, answers))
    answers = [row + [None] * (width - len(row)) for row in answers]
    shares = aggregation.majority(answers, classes)
    if by == "majority":
        return shares
    if by == "dawid_skene":
        return aggregation.dawid_skene(answers, classes)
    most = [_mark(y, p, True, "", classes)[0] for y, p in zip(rows["label"], shares, strict=True)]
    student = Students(rows, f"labelled.by: {by}", classes, encode).out_of_fold(most)
    try:
        return aggregation.label_model(answers, student, classes)
    except ValueError as error:
        raise UserError(f"labelled.by: {by}: {error}: name more annotators, or ask other models.") from error


class Students:
    """Students of a round's own rows, none of which saw the row that it speaks of, nor a copy of it."""

    def __init__(self, rows: pd.DataFrame, place: str, classes: Sequence[str], encode: Encode | None) -> None:
        if encode is None:
            raise ValueError(f"{place} needs an encoder")
        self._place, self._classes = place, classes
        self._vectors = encode(list(rows["text"]))
        self._copies = [normal_form(text) for text in rows["text"]]

    def out_of_fold(self, labels: Sequence[str]) -> np.ndarray:
        """(n, K): probabilities of all classes."""
        student = SoftmaxRegression(self._present(labels))
        return self._spread(student.labels, out_of_fold(self._vectors, labels, self._copies, student.fit))

    def after(self, stages: int, labels: Sequence[str]) -> np.ndarray:
        """(n, K): probabilities after stages of cross-partition relabelling."""
        student = SoftmaxRegression(self._present(labels), LEARNS_ROWS)
        p = relabel.cross_partition(self._vectors, labels, self._copies, student.fit, stages)
        return self._spread(student.labels, p)

    def _present(self, labels: Sequence[str]) -> list[str]:
        """The labels, sorted. UserError where one has too few different rows, or there is one alone."""
        counts = Counter(y for _, y in set(zip(self._copies, labels, strict=True)))
        if len(counts) < 2 or min(counts.values()) < LEAST:
            few = ", ".join(f"{n} {y}" for y, n in sorted(counts.items()))
            raise UserError(
                f"{self._place}: students need {LEAST} different rows of each of two labels or more, "
                f"there are {few}: ask for more rows, or label by something else."
            )
        return sorted(counts)

    def _spread(self, present: Sequence[str], p: np.ndarray) -> np.ndarray:
        """With a column of 0 for each class that has no row."""
        import numpy as np

        found = np.zeros((len(p), len(self._classes)))
        found[:, [self._classes.index(y) for y in present]] = p
        return found
