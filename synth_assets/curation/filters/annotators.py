"""Filters that ask models for the label of a row: the one annotator, or several of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, field_validator

from synth_assets.contracts.filter import Context, Filter
from synth_assets.contracts.section import Strict
from synth_assets.students.calibration import batch_calibrated

if TYPE_CHECKING:
    import pandas as pd


class LabelAgreement(Filter):
    """Probability that the annotator gives the row the label that it was generated for.

    The annotator's log-probability of each label's verbalizer is calibrated on the batch (Zhou et al.
    2024, batch calibration), because a few-shot model prefers one label whatever the text says.
    """

    name = "label_agreement"
    within = (0, 1)
    better = "higher"
    raw: ClassVar[Mapping[str, str]] = {"label_logprobs": "labels"}
    asks = True
    of_labels = True
    of_pairs = True
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


class OneOf(Strict):
    """A model as annotator, and how many seeds it is shown; default: as many as the recipe's annotator."""

    model: str
    """An alias of models.yaml, or a model's name."""
    k: int | None = Field(default=None, ge=0)
    """Seeds that it is shown."""


class Annotators(Filter):
    """Share of the annotators' known answers that are the row's label."""

    name = "annotators"
    within = (0, 1)
    better = "higher"
    raw: ClassVar[Mapping[str, str]] = {"annotator_labels": "list<string>"}
    columns: ClassVar[Mapping[str, str]] = {"annotators": "double", "annotator_labels": "list<string>"}
    asks = True
    by_row = True
    of_labels = True
    of_pairs = True
    of: dict[str, OneOf] = Field(min_length=2)
    """Name -> the model that answers, or {model: ..., k: demonstrations}."""

    @field_validator(
        "of", mode="before", json_schema_input_type=Annotated[dict[str, str | OneOf], Field(min_length=2)]
    )
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """`name: MODEL` is short for `name: {model: MODEL}`."""
        if not isinstance(value, Mapping):
            raise ValueError("annotators are written as `name: MODEL`, one a line")
        return {n: {"model": v} if isinstance(v, str) else v for n, v in value.items()}

    def models(self) -> list[str]:
        return list(dict.fromkeys(who.model for who in self.of.values()))

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        if context.annotate is None:
            return {"annotator_labels": [None] * len(rows)}
        texts = list(rows["text"])
        said = [context.annotate(texts, who.model, who.k) for who in self.of.values()]
        by_row = zip(*said, strict=True)
        return {"annotator_labels": [[p and _likeliest(p) for p in row] for row in by_row]}

    def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        pairs = zip(rows["annotator_labels"], rows["label"], strict=True)
        return {
            "annotators": [_share(answers, label) for answers, label in pairs],
            "annotator_labels": list(rows["annotator_labels"]),
        }


def _likeliest(p: Mapping[str, float]) -> str | None:
    """The label with the highest probability; None where two have it."""
    best = max(p.values())
    found = [label for label, of in p.items() if of == best]
    return found[0] if len(found) == 1 else None


def _share(answers: Any, label: str) -> float | None:
    known = [answer for answer in (answers if answers is not None else ()) if answer is not None]
    return known.count(label) / len(known) if known else None
