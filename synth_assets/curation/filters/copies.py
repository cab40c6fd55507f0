"""Row filters that look for a text's like among given texts: demonstrations, validation and test seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from synth_assets.contracts.filter import Context, RowFilter

if TYPE_CHECKING:
    import pandas as pd


class CopiedNgram(RowFilter):
    """Share of the text's word n-grams that stand in a demonstration."""

    name = "copied_ngram"
    of_pairs = True
    within = (0, 1)
    better = "lower"
    n: int = Field(default=6, ge=1)
    """Words of an n-gram."""
    at_most: float | None = 0

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        from synth_assets.curation.likeness.runs import overlap

        return {self.name: overlap(rows["text"].tolist(), context.demonstrations, self.n)}


class Contamination(RowFilter):
    """Share of the text's word n-grams that stand in a validation or test seed: it may not be trained on.

    GPT-3 (Brown et al. 2020, appendix C) looks for n-grams of 8 to 13 words, by the data set. A text of fewer
    than n words counts whole.
    """

    name = "contamination"
    of_pairs = True
    within = (0, 1)
    better = "lower"
    n: int = Field(default=8, ge=1)
    """Words of an n-gram."""
    at_most: float | None = 0

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        from synth_assets.curation.likeness.runs import overlap

        return {self.name: overlap(rows["text"].tolist(), context.held_out, self.n)}


class CopiedMeaning(RowFilter):
    """Highest cosine between the text and a demonstration."""

    name = "copied_meaning"
    of_pairs = True
    within = (-1, 1)
    better = "lower"
    encodes = True
    at_most: float | None = 0.9

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        if context.encode is None or not context.demonstrations or rows.empty:
            return {self.name: [None] * len(rows)}
        near = context.encode(list(rows["text"])) @ context.encode(list(context.demonstrations)).T
        return {self.name: [float(v) for v in near.max(axis=1)]}
