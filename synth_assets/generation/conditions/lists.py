"""Condition values from lists: by another value, several at once, from a field of the seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from synth_assets.contracts.provider import SEPARATOR, Draw, Pool
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions import drawn
from synth_assets.selection.select import select_random

if TYPE_CHECKING:
    from synth_assets.contracts.provider import Around, Weights


class Column(Pool):
    """The values that a field of the seeds has (`seeds.fields`)."""

    name = "column"
    column: str

    def pool(self, name: str, row: Mapping[str, Any], around: Around) -> Weights:
        found = around.rows["seeds"].get(self.column)
        if found is None:
            raise UserError(
                f"conditions.{name}: {self.column!r} is no field of the seeds: add it to seeds.fields."
            )
        return dict.fromkeys(sorted(set(found)), 1.0)


class Given(Pool):
    """A list of values for each value of another attribute (AttrPrompt's class-dependent attributes)."""

    name = "by"
    by: str
    values: dict[str, Annotated[list[str | int | float], Field(min_length=1)]]

    def rests_on(self) -> str:
        return self.by

    @property
    def depends(self) -> bool:
        return True

    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        if row[self.by] not in self.values:
            known = ", ".join(self.values)
            raise UserError(
                f"conditions.{name}: no values for {self.by} = {row[self.by]!r}; there are: {known}."
            )
        return {str(value): 1.0 for value in self.values[row[self.by]]}


class SomeOf(Draw):
    """Several of the listed values, between two numbers of them or exactly `k` (TinyStories' features)."""

    name = "some_of"
    some_of: list[str | int | float] = Field(min_length=1)
    k: int | tuple[int, int] = 1

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        low, high = (self.k, self.k) if isinstance(self.k, int) else self.k
        k = int(drawn.number(low, high, *parts, "k", whole=True)) if high > low else low
        chosen = select_random([str(value) for value in self.some_of], k, *parts)
        return SEPARATOR.join(chosen)
