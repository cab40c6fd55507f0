"""Labels of several annotators, as the filter `annotators` has their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from synth_assets.contracts.labelling import LabelContext, Labelling, Labels
from synth_assets.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from synth_assets.curation.labels.aggregation import Answers


class OfAnnotators(Labelling):
    """Base of these: what the answers come to decides every row that has one."""

    needs: ClassVar[Mapping[str, str]] = {"annotators": "{of: {one: MODEL, other: MODEL, third: MODEL}}"}

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        answers = [[] if row is None else list(row) for row in rows["annotator_labels"]]
        width = max(map(len, answers))
        p = self.aggregate([row + [None] * (width - len(row)) for row in answers], rows, context)
        return Labels(p, "annotators")

    def aggregate(self, answers: Answers, rows: pd.DataFrame, context: LabelContext) -> np.ndarray:
        """(n, K) probabilities: by default, what the function of its name in aggregation.py says."""
        from synth_assets.curation.labels import aggregation

        return getattr(aggregation, self.name)(answers, context.classes)


class Majority(OfAnnotators):
    """The label that most annotators give."""

    name = "majority"


class DawidSkene(OfAnnotators):
    """By each annotator's confusion matrix, for annotators of unequal skill."""

    name = "dawid_skene"


class LabelModel(OfAnnotators):
    """Annotators and a student, each trusted as much as it agrees with the others."""

    name = "label_model"

    def aggregate(self, answers: Answers, rows: pd.DataFrame, context: LabelContext) -> np.ndarray:
        from synth_assets.curation.labels import aggregation
        from synth_assets.curation.labels.enhance import likeliest
        from synth_assets.curation.labels.relabel import Students

        classes, shares = context.classes, aggregation.majority(answers, context.classes)
        most = [likeliest(y, p, classes) for y, p in zip(rows["label"], shares, strict=True)]
        student = Students(rows, self.place, context).say(most)
        try:
            return aggregation.label_model(answers, student, classes)
        except ValueError as error:
            raise UserError(f"{self.place}: {error}: name more annotators, or ask other models.") from error
