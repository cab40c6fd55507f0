"""Labels that are already known: the one that a row was asked for, and the annotator's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from synth_assets.contracts.labelling import LabelContext, Labelling, Labels

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def probabilities(said: Sequence[object], classes: Sequence[str]) -> np.ndarray:
    """(n, K) of label -> probability; NaN where that is not known."""
    import numpy as np

    p = np.full((len(said), len(classes)), np.nan)
    for i, known in enumerate(said):
        if isinstance(known, Mapping):
            p[i] = [known[y] for y in classes]
    return p


def annotator(rows: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """(n, K): the annotator's probabilities, as the filter label_agreement has them."""
    return probabilities(list(rows.get("label_probabilities", [None] * len(rows))), classes)


class Condition(Labelling):
    """The label that the row was asked for."""

    name = "condition"

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        return Labels(annotator(rows, context.classes), self.name, decides=False)


class LabelAgreement(Labelling):
    """The label that the annotator finds likeliest (as ZeroGen's and FreeAL's annotators relabel)."""

    name = "label_agreement"
    needs: ClassVar[Mapping[str, str]] = {"label_agreement": "{}"}

    def label(self, rows: pd.DataFrame, context: LabelContext) -> Labels:
        return Labels(annotator(rows, context.classes), self.name)
