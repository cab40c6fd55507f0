"""What a set is worth and what it costs, the more of its rows people label: the front of cost and quality
(Pareto; CoAnnotating, Li et al. 2023, arXiv 2310.15638)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from synth_assets.contracts.measured import Measured, proportion

POINTS = 21  # at the most: no row to people, a twentieth of them, ..., all
NO_RANDOM = "people have labelled no row that was drawn at random, and only those measure"


class Point(NamedTuple):
    """A set of whose rows `people` have labels of people, the others the model's."""

    people: int
    share: float
    dollars: float
    minutes: float
    quality: Measured  # the share of right labels


def sweep(
    order: Sequence[str], right: Mapping[str, bool], *, dollars: float, minutes: float, model: float = 0.0
) -> list[Point]:
    """The set without a row to people, with more and more of them, and with all. `order`: all rows, those
    first that people are asked first. `right`: whether the model's label is what people say, of rows that
    were drawn at random, all as likely; people are taken to be right. A label of people takes `dollars` and
    `minutes`, one of the model, which labels all rows, `model` dollars."""
    n, found = len(order), []
    for people in dict.fromkeys(round(n * at / (POINTS - 1)) for at in range(POINTS)):
        share = people / n if n else 0.0
        left = proportion([right[name] for name in order[people:] if name in right], NO_RANDOM)
        cost = n * model + people * dollars
        found.append(Point(people, share, cost, people * minutes, _of_all(left, share)))
    return found


def _of_all(left: Measured, share: float) -> Measured:
    """The share of right labels of all rows, from that of those that are left to the model."""
    if share == 1:
        return Measured(1.0, why="people are taken to be right")
    if left.value is None:
        return left
    value, low, high = (share + (1 - share) * (end or 0.0) for end in (left.value, left.low, left.high))
    return Measured(value, low, high, left.n)


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other one beats: none is as cheap, in dollars and minutes, and as good. Those of
    unknown quality are left out."""
    found: list[Point] = []
    known = [(point, point.quality.value) for point in points if point.quality.value is not None]
    for point, value in sorted(known, key=lambda p: (p[0].dollars, p[0].minutes, -p[1])):
        if not any(
            (other.quality.value or 0) >= value
            and other.dollars <= point.dollars
            and other.minutes <= point.minutes
            for other in found
        ):
            found.append(point)
    return found
