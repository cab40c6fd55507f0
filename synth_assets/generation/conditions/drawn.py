"""Condition values that their section itself says: numbers, days, lists.

All randomness is a hash of `parts` (seed, round, cell, row, attribute): the same parts give the same value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from math import ceil, exp, floor, log
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import Field

from synth_assets.contracts.provider import SEPARATOR, Around, Draw, Pool, Weights
from synth_assets.core.errors import UserError
from synth_assets.core.identity import tagged_hash
from synth_assets.selection.select import select_random


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


class Number(Draw):
    """A number between two bounds."""

    name = "number"
    number: tuple[float, float]
    """The lowest and the highest number."""
    whole: bool = True
    """Whole numbers alone."""
    distribution: Literal["uniform", "normal", "log_uniform"] = "uniform"
    """How often each is drawn."""

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        low, high = self.number
        value = number(low, high, *parts, whole=self.whole, distribution=self.distribution)
        return str(value) if self.whole else f"{value:.6g}"


class Day(Draw):
    """A day between two days, both included."""

    name = "day"
    day: tuple[date, date]
    """The first and the last day."""

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
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
    some_of: list[str | int | float] = Field(min_length=1)
    """The values to take from."""
    k: int | tuple[int, int] = 1
    """How many are taken, or the fewest and the most."""

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        low, high = (self.k, self.k) if isinstance(self.k, int) else self.k
        k = int(number(low, high, *parts, "k", whole=True)) if high > low else low
        return SEPARATOR.join(select_random([str(value) for value in self.some_of], k, *parts))
