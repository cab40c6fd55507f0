"""`rows` as a section: so many rows that pass, in the place of so many that are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from synth_assets.contracts.section import Section, one_form, wrong

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

ROWS = 10_000_000  # of a cell and round, at the most: more are more rounds
Number = Annotated[int, Field(ge=1, le=ROWS)]


class Accepted(Section):
    """Rows are asked for until so many pass the filters that look at a row alone."""

    accepted: Number
    """Rows a label (or cell) and round that are to pass."""
    at_most: Number
    """Rows that are asked for to get there, at the most."""

    @model_validator(mode="after")
    def _possible(self) -> Accepted:
        if self.at_most < self.accepted:
            why = f"{self.accepted:,} rows cannot pass where {self.at_most:,} are asked for: write more"
            raise wrong(why, "at_most")
        return self


Rows = Annotated[Number | Accepted, one_form(Number, Accepted)]


def accepted(recipe: Recipe) -> Iterator[ValueError]:
    """What asks for rows until enough pass has to know each row, and whether it passes, at once."""
    if isinstance(recipe.rows, int):
        return
    number = f"write `rows: {recipe.rows.accepted}`"
    if recipe.task.annotate:
        yield wrong(f"rows are your own texts, and all of them are asked about: {number}", "rows")
    if recipe.design == "latin":
        why = "what a row of it is depends on how many there are, which is not known before"
        yield wrong(f"{why}: write balanced, or coverage; or {number}", "design")
    if recipe.mode == "batch":
        why = "how many rows are asked for depends on the answers, which a Batch API has a day later"
        yield wrong(f"{why}: leave it out, or {number}", "mode")
    if recipe.feedback.rows != "fixed":
        why = "each cell is asked for rows until enough pass, whatever it kept before"
        yield wrong(f"{why}: leave it out, or {number}", "feedback", "rows")
