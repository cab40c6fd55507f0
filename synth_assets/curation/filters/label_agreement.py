"""Filter `label_agreement`: an annotator's label against the one that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synth_assets.contracts.filter import Context, Filter
from synth_assets.students.calibration import batch_calibrated

if TYPE_CHECKING:
    import pandas as pd


class LabelAgreement(Filter):
    """Probability that the annotator gives the row the label that it was generated for.

    The annotator's log-probability of each label's verbalizer is calibrated on the batch (Zhou et al.
    2024, batch calibration), because a few-shot model prefers one label whatever the text says.
    """

    name = "label_agreement"
    raw: ClassVar[Mapping[str, str]] = {"label_logprobs": "labels"}
    asks = True
    of_labels = True
    columns: ClassVar[Mapping[str, str]] = {"label_agreement": "double", "label_probabilities": "labels"}
    at_least: float | None = 0.5

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        if context.annotate is None:
            return {"label_logprobs": [None] * len(rows)}
        return {"label_logprobs": list(context.annotate(list(rows["text"])))}

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        probabilities = batch_calibrated(list(rows["label_logprobs"]))
        own = [None if p is None else p[y] for p, y in zip(probabilities, rows["label"], strict=True)]
        return {"label_agreement": own, "label_probabilities": probabilities}
