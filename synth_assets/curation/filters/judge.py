"""A row filter that asks a model: what a judge with a rubric says of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from synth_assets.contracts.filter import Context, RowFilter
from synth_assets.contracts.section import TOKENS
from synth_assets.core.text.arithmetic import rating

if TYPE_CHECKING:
    import pandas as pd

RUBRIC = """\
{% if definition is defined %}
A {{ text_type }} was written as an example of the {{ label_type }} "{{ label }}": {{ definition }}.
{% else %}
This is a {{ text_type }}.
{% endif %}

{{ text }}

How accurate is it, and how well is it written? Rate it from {{ low }} to {{ high }} ({{ high }} is best).
First write a line that holds nothing but the number, then one sentence that says why.
"""


class Judge(RowFilter):
    """Rating of the row by a model under a rubric, on a scale (AlpaGasus, Chen et al. 2023: 4.5 of 5).

    The rubric is a template over the columns of the row, the task, `low` and `high`. An answer without a
    number, or with one off the scale, is unknown.
    """

    name = "judge"
    better = "higher"
    raw: ClassVar[Mapping[str, str]] = {"judge": "double", "judge_answer": "string"}
    columns: ClassVar[Mapping[str, str]] = raw
    newer: ClassVar[tuple[str, ...]] = ("max_tokens",)
    asks = True
    rubric: str = RUBRIC
    """Template over the row, the task, `low` and `high`."""
    scale: tuple[float, float] = (0, 5)
    """The lowest and the highest rating."""
    model: str | None = None
    """Default: the annotator's."""
    max_tokens: int = Field(default=256, ge=1, le=TOKENS)
    """Of an answer."""
    at_least: float | None = 4.5

    @model_validator(mode="after")
    def _scale(self) -> Judge:
        if self.scale[0] >= self.scale[1]:
            raise ValueError(f"scale: {list(self.scale)}: the smaller number comes first")
        return self

    def scores(self) -> tuple[float, float]:
        return self.scale

    def templates(self) -> dict[str, list[str]]:
        return {self.rubric: ["low", "high"]}

    def models(self) -> list[str]:
        return [self.model] if self.model else []

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        low, high = self.scale
        told = {"low": f"{low:g}", "high": f"{high:g}"}
        said: Sequence[str | None] = [None] * len(rows)
        if context.ask:
            said = context.ask(self.rubric, rows, told, self.model, self.max_tokens)
        return {
            "judge": [None if answer is None else rating(answer, low, high) for answer in said],
            "judge_answer": list(said),
        }

    def why(self, row: Mapping[str, Any]) -> str:
        words = " ".join(text.split()) if isinstance(text := row["judge_answer"], str) else ""
        return words if len(words) <= 200 else words[:199] + "…"
