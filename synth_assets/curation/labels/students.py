"""Labels by students of a round's own rows, none of which saw the row that it speaks of, nor a copy of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from synth_assets.contracts.labelling import LabelContext, Labelling, Labels
from synth_assets.curation.labels.condition import annotator, probabilities
from synth_assets.students.calibration import batch_calibrated

if TYPE_CHECKING:
    import pandas as pd


class ConfidentLearning(Labelling):
    """The former label; the student's where it is likely wrong and the student is shown to be better."""

    name = "confident_learning"
    algorithm = "confident_learning/3"
    reads_gold = True

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        from synth_assets.curation.labels import relabel

        former, students = list(rows["label"]), relabel.Students(rows, self.place, context)
        p = students.say(former)
        issues = relabel.label_issues(p[:, students.columns(former)], former)
        return Labels(p, "student", issues & students.may_change(p, former))


class CrossPartition(Labelling):
    """The label of students of the other rows, each stage of which learns from the labels of the last, where
    they are shown to be better than the row's own."""

    newer = (*Labelling.newer, "stages")
    name = "cross_partition"
    algorithm = "cross_partition/3"
    reads_gold = True
    stages: int = Field(default=3, ge=1, le=100)
    """Stages, each of which learns from the labels of the one before."""

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        from synth_assets.curation.labels.relabel import LEARNS_ROWS, Students

        former, students = list(rows["label"]), Students(rows, self.place, context)
        may = students.may_change(students.say(former), former)
        return Labels(students.say(former, self.stages, LEARNS_ROWS), "student", may)


class CleanPool(Labelling):
    """The former label of rows that a student does not doubt; else the annotator's where it is known, or the
    student's where it is shown to be better than the labels (FreeAL: Xiao et al. 2023)."""

    newer = (*Labelling.newer, "reannotate")
    name = "clean_pool"
    algorithm = "clean_pool/3"
    reads_gold = True
    reannotate: int = Field(default=0, ge=0, le=10_000_000)
    """Clean rows shown to the annotator for each row in doubt; 0: it is not asked again."""

    @property
    def asks(self) -> bool:
        """Whether the annotator is asked once more."""
        return self.reannotate > 0

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        import numpy as np

        from synth_assets.curation.labels import relabel
        from synth_assets.curation.noise import given

        former, students = list(rows["label"]), relabel.Students(rows, self.place, context)
        p = students.say(former)
        confidence = given(p[:, students.columns(former)], former)
        doubtful = ~relabel.clean(confidence, former)
        known = annotator(rows, context.classes)
        if context.annotate and self.asks:
            pool = relabel.demonstration_pool(students.vectors, former, confidence)
            surest = [i for i in pool if not doubtful[i]]
            shown = [rows.iloc[places] for places in students.nearest(doubtful, surest, self.reannotate)]
            again = batch_calibrated(context.annotate(list(rows["text"][doubtful]), shown))
            known[doubtful] = probabilities(again, context.classes)
        said, asked = p, doubtful & np.isfinite(known).all(axis=1)
        p = np.where(asked[:, None], known, p)
        decides = asked | (doubtful & students.may_change(said, former))
        return Labels(p, ["label_agreement" if a else "student" for a in asked], decides)
