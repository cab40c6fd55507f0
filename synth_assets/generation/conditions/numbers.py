"""Condition values that are numbers and days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Literal

from synth_assets.contracts.provider import Draw
from synth_assets.generation.conditions import drawn as conditions_drawn

if TYPE_CHECKING:
    from synth_assets.contracts.provider import Around


class Number(Draw):
    """A number between two bounds."""

    name = "number"
    number: tuple[float, float]
    whole: bool = True
    distribution: Literal["uniform", "normal", "log_uniform"] = "uniform"

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        low, high = self.number
        drawn = conditions_drawn.number(low, high, *parts, whole=self.whole, distribution=self.distribution)
        return str(drawn) if self.whole else f"{drawn:.6g}"


class Day(Draw):
    """A day between two days, both included."""

    name = "day"
    day: tuple[date, date]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        return conditions_drawn.day(*self.day, *parts).isoformat()
