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
    """The former label; the student's where it is likely wrong."""

    name = "confident_learning"

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        from synth_assets.curation.labels import relabel

        former, students = list(rows["label"]), relabel.Students(rows, self.place, context)
        p = students.say(former)
        return Labels(p, "student", relabel.label_issues(p[:, students.columns(former)], former))


class CrossPartition(Labelling):
    """The label of students of the other rows, each stage of which learns from the labels of the last."""

    newer = (*Labelling.newer, "stages")
    name = "cross_partition"
    stages: int = Field(default=3, ge=1)
    """Stages, each of which learns from the labels of the one before."""

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        from synth_assets.curation.labels.relabel import LEARNS_ROWS, Students

        students = Students(rows, self.place, context)
        return Labels(students.say(list(rows["label"]), self.stages, LEARNS_ROWS), "student")


class CleanPool(Labelling):
    """The former label of rows that a student does not doubt; else the annotator's where it is known, or the
    student's (FreeAL: Xiao et al. 2023)."""

    newer = (*Labelling.newer, "reannotate")
    name = "clean_pool"
    algorithm = "clean_pool/2"
    reannotate: int = Field(default=0, ge=0)
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
        asked = doubtful & np.isfinite(known).all(axis=1)
        p = np.where(asked[:, None], known, p)
        return Labels(p, ["label_agreement" if a else "student" for a in asked], doubtful)
