"""Weights by students: a row is judged by what was learned from other rows, none of which is its copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from synth_assets.contracts.weighing import WeighContext, Weighing
from synth_assets.core.errors import UserError
from synth_assets.core.text.normal_form import normal_form
from synth_assets.curation import noise
from synth_assets.curation.weights import bilevel
from synth_assets.curation.weights.token_weights import row_weights
from synth_assets.students.crossfit import LEAST

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Rows(NamedTuple):
    """What students learn from; texts of the same name in `copies` are copies of each other."""

    texts: Sequence[str]
    labels: Sequence[str]
    copies: Sequence[str]


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
        return self.learned(Rows(list(rows["text"]), list(rows["label"]), copies), context)

    def learned(self, rows: Rows, context: WeighContext) -> np.ndarray:
        """(n,) what each row weighs."""
        raise NotImplementedError


class Confidence(OfStudents):
    """The probability of its label by a student that saw neither the row nor its copies."""

    name = "confidence"

    def learned(self, rows: Rows, context: WeighContext) -> np.ndarray:
        p = noise.cross_fitted(context.encode(rows.texts), rows.labels, rows.copies)
        return noise.given(p, rows.labels)


class Influence(OfStudents):
    """How the row changes a student on rows that it was not trained with."""

    name = "influence"

    def learned(self, rows: Rows, context: WeighContext) -> np.ndarray:
        return bilevel.influence_weights(context.encode(rows.texts), rows.labels, rows.copies)


class Bilevel(OfStudents):
    """Weights that lower the loss of a student so weighted on rows that it was not trained with."""

    name = "bilevel"

    def learned(self, rows: Rows, context: WeighContext) -> np.ndarray:
        return bilevel.bilevel_weights(context.encode(rows.texts), rows.labels, rows.copies)


class LearningToReweight(OfStudents):
    """How a step on the row lowers the loss on the gold rows, of which there are some of each label."""

    name = "learning_to_reweight"
    needs_gold = True

    def learned(self, rows: Rows, context: WeighContext) -> np.ndarray:
        gold, encode = context.gold, context.encode
        if absent := set(rows.labels) - set(gold["label"]):
            raise UserError(
                f"{self.place} learns from validation seeds, and has none of {', '.join(sorted(absent))}: "
                "raise seeds.splits.validation, or weigh by something else."
            )
        shown, right = encode(list(gold["text"])), list(gold["label"])
        return bilevel.learning_to_reweight(encode(rows.texts), rows.labels, shown, right)


class TokenWeights(OfStudents):
    """What its words say of its label."""

    name = "token_weights"

    def learned(self, rows: Rows, context: WeighContext) -> np.ndarray:
        return row_weights(*rows)
