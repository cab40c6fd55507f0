"""Who labels which row: people those that the model is least sure of, as far as their time and the money go.

How unsure a model is of a row is the entropy of what it answers to several wordings of the question
(CoAnnotating: Li et al. 2023, arXiv 2310.15638), or one minus its confidence in its label (Wang et al. 2021,
arXiv 2108.13487).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, inf
from typing import NamedTuple

from synth_assets.selection.select import ranked


class Cost(NamedTuple):
    """Of one label."""

    dollars: float = 0.0
    minutes: float = 0.0


class Budget(NamedTuple):
    """The most that the labels of a set may take; None: no limit."""

    dollars: float | None = None
    minutes: float | None = None


def for_people(n: int, budget: Budget, each: Cost) -> int:
    """Of n labels, as many as the budget is enough for."""
    parts = [(budget.dollars, each.dollars), (budget.minutes, each.minutes)]
    return floor(min([n, *(most / cost for most, cost in parts if most is not None and cost)]) + 1e-9)


def allocate(unsure: Mapping[str, float | None], people: int, *parts: object) -> list[str]:
    """The ids of the rows that so many labels of people go to, in the order in which they are asked.
    `unsure`: of each id. None, no answer of the model, comes first; ids that are as unsure come in an order
    that `parts` fix."""

    def key(name: str) -> float:
        value = unsure[name]
        return -inf if value is None or value != value else -value

    return sorted(ranked(unsure, *parts, "allocate"), key=key)[:people]
