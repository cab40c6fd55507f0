"""Labels by students of a round's own rows, none of which saw the row that it speaks of, nor a copy of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from synth_assets.contracts.labelling import LabelContext, Labelling, Labels
from synth_assets.core.errors import UserError
from synth_assets.core.text.normal_form import normal_form
from synth_assets.curation import noise
from synth_assets.curation.labels import relabel
from synth_assets.curation.labels.condition import annotator, probabilities
from synth_assets.students.calibration import batch_calibrated
from synth_assets.students.crossfit import LEAST, out_of_fold
from synth_assets.students.softmax import SoftmaxRegression

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

LEARNS_ROWS = 10.0  # C of a student that can learn single rows


class Students:
    """Students of these rows. UserError, which names `place`, where they are too few."""

    def __init__(self, rows: pd.DataFrame, place: str, context: LabelContext) -> None:
        self._place, self._classes = place, context.classes
        self.vectors = context.encode(list(rows["text"]))
        self.copies = [normal_form(text) for text in rows["text"]]

    def out_of_fold(self, labels: Sequence[str]) -> np.ndarray:
        """(n, K): probabilities of all classes."""
        student = SoftmaxRegression(self._present(labels))
        return self._spread(student.labels, out_of_fold(self.vectors, labels, self.copies, student.fit))

    def after(self, stages: int, labels: Sequence[str]) -> np.ndarray:
        """(n, K): probabilities after stages of cross-partition relabelling."""
        student = SoftmaxRegression(self._present(labels), LEARNS_ROWS)
        p = relabel.cross_partition(self.vectors, labels, self.copies, student.fit, stages)
        return self._spread(student.labels, p)

    def _present(self, labels: Sequence[str]) -> list[str]:
        """The labels, sorted. UserError where one has too few different rows, or there is one alone."""
        counts = Counter(y for _, y in set(zip(self.copies, labels, strict=True)))
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
        found[:, _at(present, self._classes)] = p
        return found


def _at(labels: Sequence[str], classes: Sequence[str]) -> list[int]:
    return [classes.index(y) for y in sorted(set(labels))]


class ConfidentLearning(Labelling):
    """The former label; the student's where it is likely wrong."""

    name = "confident_learning"

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        former = list(rows["label"])
        p = Students(rows, self.place, context).out_of_fold(former)
        issues = relabel.label_issues(p[:, _at(former, context.classes)], former)
        return Labels(p, "student", issues)


class CrossPartition(Labelling):
    """The label of students of the other rows, each stage of which learns from the labels of the last."""

    newer = (*Labelling.newer, "stages")
    name = "cross_partition"
    stages: int = Field(default=3, ge=1)

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        return Labels(Students(rows, self.place, context).after(self.stages, list(rows["label"])), "student")


class CleanPool(Labelling):
    """The former label of rows that a student does not doubt; else the annotator's where it is known, or the
    student's (FreeAL: Xiao et al. 2023)."""

    newer = (*Labelling.newer, "reannotate")
    name = "clean_pool"
    reannotate: int = Field(default=0, ge=0)  # clean rows shown to the annotator for each row in doubt

    @property
    def asks(self) -> bool:
        """Whether the annotator is asked once more."""
        return self.reannotate > 0

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        import numpy as np

        former, students = list(rows["label"]), Students(rows, self.place, context)
        p = students.out_of_fold(former)
        confidence = noise.given(p[:, _at(former, context.classes)], former)
        doubtful = ~relabel.clean(confidence, former)
        known = annotator(rows, context.classes)
        if context.annotate and self.asks:
            pool = relabel.demonstration_pool(students.vectors, former, confidence)
            shown = self._shown(rows, students, doubtful, [i for i in pool if not doubtful[i]])
            again = batch_calibrated(context.annotate(list(rows["text"][doubtful]), shown))
            known[doubtful] = probabilities(again, context.classes)
        asked = doubtful & np.isfinite(known).all(axis=1)
        p = np.where(asked[:, None], known, p)
        return Labels(p, ["label_agreement" if a else "student" for a in asked], doubtful)

    def _shown(
        self, rows: pd.DataFrame, students: Students, doubtful: np.ndarray, pool: Sequence[int]
    ) -> list[pd.DataFrame]:
        """For each doubtful row the nearest rows of the pool, the nearest one last, and never a copy."""
        import numpy as np

        copies = np.array(students.copies, dtype=object)
        near = students.vectors[doubtful] @ students.vectors[pool].T
        near[copies[doubtful][:, None] == copies[pool]] = -np.inf  # a copy's label would be the answer
        order = [np.argsort(each)[np.isinf(each).sum() :][-self.reannotate :] for each in near]
        return [rows.iloc[[pool[i] for i in places]] for places in order]
