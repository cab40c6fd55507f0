"""Condition values that their section itself says: numbers, days, lists.

All randomness is a hash of `parts` (seed, round, cell, row, attribute): the same parts give the same value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from itertools import count
from math import ceil, exp, floor, log
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import Field

from synth_assets.contracts.provider import SEPARATOR, Around, Draw, Pool, Weights
from synth_assets.core.errors import UserError
from synth_assets.core.identity import tagged_hash
from synth_assets.generation.conditions.turns import Turns, shuffled
from synth_assets.selection.select import select_random

MOST = 10_000  # values that are taken in turn: of more, none is likely to come twice


def number(
    low: float, high: float, *parts: object, whole: bool = False, distribution: str = "uniform"
) -> float:
    """A number between `low` and `high`, both included; with `whole` an int.

    `normal` has its mean in the middle and a standard deviation of a quarter of the range, and is cut off at
    both ends; `log_uniform` is uniform in the logarithm, and needs `low` above 0.
    """
    least, most = (ceil(low), floor(high)) if whole else (low, high)
    if least > most:
        kind = "whole number" if whole else "number"
        raise UserError(f"no {kind} lies between {low} and {high}: write the smaller one first.")
    if distribution == "log_uniform" and low <= 0:
        raise UserError(f"log_uniform has no numbers from {low} on: begin above 0, or use uniform.")
    share = int(tagged_hash("number/1", parts), 16) / 2**128
    if not whole:
        return _quantile(low, high, share, distribution)
    # each whole number stands for what is rounded to it
    return min(floor(_quantile(least - 0.5, most + 0.5, share, distribution) + 0.5), floor(high))


def _quantile(low: float, high: float, share: float, distribution: str) -> float:
    if distribution == "log_uniform":
        value = exp(log(low) + share * (log(high) - log(low)))
    elif distribution == "normal" and low < high:
        normal = NormalDist((low + high) / 2, (high - low) / 4)
        tail = normal.cdf(low)
        value = normal.inv_cdf(tail + share * (1 - 2 * tail))
    else:
        value = low + share * (high - low)
    return min(high, max(low, value))


def day(first: date, last: date, *parts: object) -> date:
    """A day from `first` to `last`, both included, each as likely."""
    if first > last:
        raise UserError(f"no day lies between {first} and {last}: write the earlier one first.")
    return first + timedelta(days=number(0, (last - first).days, *parts, whole=True))


def one_by_one(values: Iterable[str], around: Around, parts: Sequence[object]) -> Iterator[str]:
    """Values in turn, one a row, without end, as the cell's earlier rounds left them. `parts` are those of a
    draw."""
    *place, _, name = parts
    turns = Turns(values, partial(shuffled, *place, name), map(str, around.taken(str(name))))
    while True:
        yield from turns.take_some(1)


class Number(Draw):
    """A number between two bounds."""

    name = "number"
    number: tuple[float, float]
    """The lowest and the highest number."""
    whole: bool = True
    """Whole numbers alone."""
    distribution: Literal["uniform", "normal", "log_uniform"] = "uniform"
    """How often each is drawn."""

    @property
    def remembers(self) -> bool:  # type: ignore[override]
        """Of whole numbers that are drawn alike, each comes before any twice."""
        return self.whole and self.distribution == "uniform" and self.number[1] - self.number[0] < MOST

    def _in_turn(self, around: Around, parts: Sequence[object]) -> Iterator[str]:
        numbers = range(ceil(self.number[0]), floor(self.number[1]) + 1)
        return one_by_one(map(str, numbers), around, parts)

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        low, high = self.number
        in_turn = partial(self._in_turn, around, parts)
        if self.remembers and low <= high and (found := self.remembered(around, parts, in_turn)):
            return found
        value = number(low, high, *parts, whole=self.whole, distribution=self.distribution)
        return str(value) if self.whole else f"{value:.6g}"


class Day(Draw):
    """A day between two days, both included."""

    name = "day"
    day: tuple[date, date]
    """The first and the last day."""

    @property
    def remembers(self) -> bool:  # type: ignore[override]
        """Each day comes before any twice."""
        return 0 <= (self.day[1] - self.day[0]).days < MOST

    def _in_turn(self, around: Around, parts: Sequence[object]) -> Iterator[str]:
        first, last = self.day
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return one_by_one((each.isoformat() for each in days), around, parts)

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        in_turn = partial(self._in_turn, around, parts)
        if self.remembers and (found := self.remembered(around, parts, in_turn)):
            return found
        return day(*self.day, *parts).isoformat()


class Given(Pool):
    """A list of values for each value of another attribute (AttrPrompt's class-dependent attributes)."""

    name = "by"
    by: str
    """The condition above whose value decides."""
    values: dict[str, Annotated[list[str | int | float], Field(min_length=1)]]
    """Value of that condition -> a list of values."""

    def rests_on(self) -> str:
        return self.by

    @property
    def depends(self) -> bool:
        return True

    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        if row[self.by] not in self.values:
            known = ", ".join(self.values)
            why = f"no values for {self.by} = {row[self.by]!r}; there are: {known}."
            raise UserError(f"conditions.{name}: {why}")
        return {str(value): 1.0 for value in self.values[row[self.by]]}


class SomeOf(Draw):
    """Several of the listed values, between two numbers of them or exactly `k` (TinyStories' features)."""

    name = "some_of"
    remembers = True
    some_of: list[str | int | float] = Field(min_length=1)
    """The values to take from."""
    k: int | tuple[int, int] = 1
    """How many are taken, or the fewest and the most."""

    def _many(self, *parts: object) -> int:
        low, high = (self.k, self.k) if isinstance(self.k, int) else self.k
        return int(number(low, high, *parts, "k", whole=True)) if high > low else low

    def _in_turn(self, around: Around, parts: Sequence[object]) -> Iterator[str]:
        *place, _, name = parts
        before = [each for value in around.taken(str(name)) for each in str(value).split(SEPARATOR)]
        turns = Turns(map(str, self.some_of), partial(shuffled, *place, name), before)
        for at in count():
            yield SEPARATOR.join(turns.take_some(self._many(*place, at, name)))

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        if found := self.remembered(around, parts, partial(self._in_turn, around, parts)):
            return found
        return SEPARATOR.join(
            select_random([str(value) for value in self.some_of], self._many(*parts), *parts)
        )
