"""What a set is worth, the more of its rows people label, and what that costs: the front of cost and quality
(Pareto; CoAnnotating, Li et al. 2023, arXiv 2310.15638)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from synth_assets.contracts.measured import Measured, proportion

POINTS = 21  # at the most: no row to people, a twentieth of them, ..., all
NO_RANDOM = "people have labelled no row that was drawn at random, and only those measure"
Value = tuple[float, float, float]  # with the ends of its interval


class Point(NamedTuple):
    """A set of whose rows `people` have labels of people, the others the model's."""

    people: int
    share: float
    quality: Measured  # the share of right labels


class Drawn(NamedTuple):
    """A point of a picture; `best`: none is as cheap and as good."""

    name: str
    cost: float
    value: float
    low: float
    high: float
    best: bool


def sweep(order: Sequence[str], right: Mapping[str, bool]) -> list[Point]:
    """The set without a row to people, with more and more of them, and with all. `order`: all rows, those
    first that people are asked first. `right`: whether the model's label is what people say, of rows that
    were drawn at random, all as likely; people are taken to be right."""
    n, found = len(order), []
    for people in dict.fromkeys(round(n * at / (POINTS - 1)) for at in range(POINTS)):
        share = people / n if n else 0.0
        left = proportion([right[name] for name in order[people:] if name in right], NO_RANDOM)
        found.append(Point(people, share, _of_all(left, share)))
    return found


def _of_all(left: Measured, share: float) -> Measured:
    """The share of right labels of all rows, from that of those that are left to the model."""
    if share == 1:
        return Measured(1.0, why="people are taken to be right")
    if left.value is None:
        return left
    value, low, high = (share + (1 - share) * (end or 0.0) for end in (left.value, left.low, left.high))
    return Measured(value, low, high, left.n)


def front(points: Mapping[str, tuple[float, Value]]) -> list[Drawn]:
    """The points, name -> cost and value, from the cheapest on, and which of them no other one beats."""
    found: list[Drawn] = []
    for name, (cost, value) in sorted(points.items(), key=lambda p: (p[1][0], -p[1][1][0])):
        found.append(Drawn(name, cost, *value, best=all(value[0] > other.value for other in found)))
    return found
