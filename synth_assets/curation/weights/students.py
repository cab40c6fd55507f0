"""Weights: known without a student, or by students that learned from other rows, none of which is a copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from synth_assets.contracts.weighing import WeighContext, Weighing
from synth_assets.core.errors import UserError
from synth_assets.core.text.normal_form import normal_form
from synth_assets.students import LEAST

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Equal(Weighing):
    """Every row weighs the same."""

    name = "none"
    needs_labels = False
    weighs_labels = True

    def score(self, rows: pd.DataFrame, context: WeighContext) -> Sequence[float]:
        return [1.0] * len(rows)


class OfField(Weighing):
    """A number that the row has: a score that was released with the data, a judge's rating."""

    name = "field"
    needs_labels = False
    of: str
    """The numeric condition, field of the answer or score."""

    def columns_needed(self) -> list[str]:
        return [self.of]

    def score(self, rows: pd.DataFrame, context: WeighContext) -> np.ndarray:
        return rows[self.of].to_numpy(dtype=float, na_value=float("nan"))


class InverseFrequency(Weighing):
    """Every label weighs the same in all."""

    name = "inverse_frequency"
    weighs_labels = True

    def score(self, rows: pd.DataFrame, context: WeighContext) -> np.ndarray:
        counts = rows["label"].value_counts()
        return (len(rows) / (len(counts) * rows["label"].map(counts))).to_numpy()


class LabelAgreement(Weighing):
    """The confidence of the annotator in the row's label."""

    name = "label_agreement"
    needs: ClassVar[Mapping[str, str]] = {"label_agreement": "{}"}
    labelled_by = ("condition", "label_agreement")

    def score(self, rows: pd.DataFrame, context: WeighContext) -> np.ndarray:
        return rows["confidence"].to_numpy(dtype=float, na_value=float("nan"))


class OfStudents(Weighing):
    """Base of these: UserError where the rows are too few to learn from."""

    def score(self, rows: pd.DataFrame, context: WeighContext) -> np.ndarray:
        copies = list(rows["text"].map(normal_form))
        different = len(set(copies))
        if rows["label"].nunique() < 2 or different < 2 * LEAST:
            raise UserError(
                f"{self.place} needs an encoder, two labels and {2 * LEAST} different rows, there are "
                f"{different}, of {', '.join(sorted(set(rows['label'].dropna()))) or 'no label'}: ask for "
                "more rows, or weigh by something else."
            )
        return self.learned(rows, copies, context)

    def learned(self, rows: pd.DataFrame, copies: Sequence[str], context: WeighContext) -> np.ndarray:
        """(n,) what each row weighs: by default, what the function of its name in bilevel.py says. Rows of
        the same name in `copies` are copies of each other."""
        from synth_assets.curation.weights import bilevel

        weights = getattr(bilevel, f"{self.name}_weights")
        return weights(context.encode(list(rows["text"])), list(rows["label"]), copies)


class Confidence(OfStudents):
    """The probability of its label by a student that saw neither the row nor its copies."""

    name = "confidence"

    def learned(self, rows: pd.DataFrame, copies: Sequence[str], context: WeighContext) -> np.ndarray:
        from synth_assets.curation.noise import student_confidence

        return student_confidence(context.encode(list(rows["text"])), list(rows["label"]), copies)


class Influence(OfStudents):
    """How the row changes a student on rows that it was not trained with."""

    name = "influence"


class Bilevel(OfStudents):
    """Weights that lower the loss of a student so weighted on rows that it was not trained with."""

    name = "bilevel"


class LearningToReweight(OfStudents):
    """How a step on the row lowers the loss on the gold rows, of which there are some of each label."""

    name = "learning_to_reweight"
    needs_gold = True

    def learned(self, rows: pd.DataFrame, copies: Sequence[str], context: WeighContext) -> np.ndarray:
        from synth_assets.curation.weights.bilevel import learning_to_reweight

        labels, shown, right = list(rows["label"]), list(context.gold["text"]), list(context.gold["label"])
        if absent := set(labels) - set(right):
            raise UserError(
                f"{self.place} learns from validation seeds, and has none of {', '.join(sorted(absent))}: "
                "raise seeds.splits.validation, or weigh by something else."
            )
        return learning_to_reweight(context.encode(list(rows["text"])), labels, context.encode(shown), right)


class TokenWeights(OfStudents):
    """What its words say of its label."""

    name = "token_weights"

    def learned(self, rows: pd.DataFrame, copies: Sequence[str], context: WeighContext) -> np.ndarray:
        from synth_assets.curation.weights.token_weights import row_weights

        return row_weights(list(rows["text"]), list(rows["label"]), copies)
