"""Faithfulness of labels: agreement with the truth, with people on a sample, with an auxiliary model.

A label that is None is missing (an annotator that gave no answer), never a class: its row is left out.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from synth_assets.contracts.measured import Z95, Measured, proportion, unknown, with_error
from synth_assets.evaluation.resampling import ONE_ROW, bootstrap, bootstrap_mean

ONE_CLASS = "all labels are of one class: agreement by chance is complete"


def sample_size(width: float) -> int:
    """Rows that people must judge for an interval of a proportion at most `width` wide, whatever it is.

    Wilson's interval is widest at one half, where it is z / sqrt(n + z²). Raises ValueError for a width
    that is not between 0 and 1.
    """
    if not 0 < width < 1:
        raise ValueError(f"width {width}: the width of an interval of a proportion is between 0 and 1")
    return max(1, math.ceil((Z95 / width) ** 2 - Z95**2))


def agreement(labels: Sequence[Hashable], truth: Sequence[Hashable]) -> dict[str, Measured]:
    """`accuracy`, `macro_f1` and Cohen's `kappa` of labels against the truth, or of a judge against people
    (Zhu et al. 2023). A class that either side has counts in macro-F1."""
    rows = pairs(labels, truth)
    return {
        "accuracy": proportion([a == b for a, b in rows]),
        "macro_f1": bootstrap(rows, _macro_f1),
        "kappa": kappa(rows),
    }


def pairs(
    first: Sequence[Hashable], second: Sequence[Hashable], order: Sequence[Hashable] | None = None
) -> list[tuple[int, int]]:
    """Both labels of each row as places in `order`; rows that lack one are left out."""
    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    classes = dict.fromkeys(y for ab in both for y in ab) if order is None else order
    places = {y: i for i, y in enumerate(classes)}
    return [(places[a], places[b]) for a, b in both]


def kappa(
    rows: Sequence[tuple[int, int]], power: int | None = None, weights: Sequence[float] | None = None
) -> Measured:
    """Cohen's kappa of pairs of classes. With a power the classes are levels in their order, and two labels
    disagree by the distance of their levels to that power (1 linear, 2 quadratic: Cohen 1968). `weights`:
    for how many each row stands, where some were likelier drawn than others."""

    def statistic(cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
        if weights is not None:
            cells, counts = cells[:, :2], counts * cells[:, 2]
        first, second = one_hot(cells)
        levels = np.arange(first.shape[1])
        apart = np.abs(levels[:, None] - levels) ** (power or 1) if power else levels[:, None] != levels
        seen = counts @ apart[tuple(cells.T.astype(int))]
        chance = np.einsum("di,ij,dj->d", counts @ first, apart.astype(float), counts @ second)
        out = np.full(len(counts), np.nan)
        return 1 - np.divide(seen * counts.sum(axis=1), chance, out=out, where=chance > 0)

    table = rows if weights is None else [(*ab, w) for ab, w in zip(rows, weights, strict=True)]
    return bootstrap(table, statistic, ONE_CLASS)


def by_order(
    labels: Sequence[Hashable], truth: Sequence[Hashable], order: Sequence[Hashable]
) -> dict[str, Measured]:
    """Of labels that have an order: `quadratic_kappa`, and `mae`, the mean number of levels that a label is
    off. A label that is not in the order is left out. Empty where there is no order."""
    if not order:
        return {}
    known = {*order}
    both = [(a, b) for a, b in zip(labels, truth, strict=True) if a in known and b in known]
    rows = pairs([a for a, _ in both], [b for _, b in both], order)
    off = bootstrap_mean([float(abs(a - b)) for a, b in rows])
    return {"quadratic_kappa": kappa(rows, 2), "mae": off}


def one_hot(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells of two classes (c, 2) as two matrices (c, K)."""
    classes = np.arange(int(cells.max()) + 1)
    return (cells[:, :1] == classes).astype(float), (cells[:, 1:] == classes).astype(float)


def _macro_f1(cells: np.ndarray, counts: np.ndarray) -> Any:
    first, second = one_hot(cells)
    hits, members = counts @ (first * second), counts @ (first + second)
    present = members > 0
    f1 = np.divide(2 * hits, members, out=np.zeros_like(hits), where=present)
    return f1.sum(axis=1) / present.sum(axis=1)


def ppi_mean(
    people: Sequence[float],
    judge: Sequence[float],
    rest: Sequence[float],
    least: float = -math.inf,
    most: float = math.inf,
    weights: Sequence[float] | None = None,
) -> Measured:
    """Prediction-powered mean (Angelopoulos et al. 2023): what a judge says of many rows, corrected by
    what people say of some. `people` and `judge` are of the same rows, `rest` is the judge's of all others.

    The judge counts by a power between 0 and 1 (PPI++, Angelopoulos, Duchi & Zrnic 2023), the less the worse
    it is and the fewer other rows it has seen: the mean has no bias however wrong it is, and its interval is
    about as wide as that of people alone at the most. The rows of people are a random sample of all;
    `weights`, one over how likely each was drawn, where that differs (Hájek 1971).
    """
    n = len(people)
    if n == 0:
        return unknown("people have judged no row")
    said, judged, others = (np.asarray(rows, dtype=float) for rows in (people, judge, rest))
    if weights is None:
        share, power = np.full(n, 1 / n), _power(said, judged, others)
    else:  # the other rows are no fair picture of all rows, but together with those of people they are all
        share, others = np.asarray(weights) / sum(weights), np.concatenate([judged, others])
        power = _weighted_power(said, judged, share)
    left = said - power * judged
    mean = float(np.average(left, weights=weights)) + (power * float(others.mean()) if power else 0.0)
    value = min(most, max(least, mean))
    if n == 1:
        return Measured(value, n=n, why=ONE_ROW)
    if np.ptp(left) < 1e-12:
        return Measured(value, n=n, why="people say the same of all rows: no interval")
    variance = n / (n - 1) * float((share**2) @ (left - share @ left) ** 2)
    variance += power**2 * others.var(ddof=1) / len(others) if power else 0.0
    return with_error(value, math.sqrt(variance), n, least, most)


def _power(people: np.ndarray, judge: np.ndarray, rest: np.ndarray) -> float:
    """How much of the judge makes the variance of the mean least."""
    if len(people) < 2 or len(rest) < 2:
        return 0.0
    spread = (1 + len(people) / len(rest)) * float(np.concatenate([judge, rest]).var(ddof=1))
    return min(1.0, max(0.0, float(np.cov(people, judge)[0, 1]) / spread)) if spread else 0.0


def _weighted_power(people: np.ndarray, judge: np.ndarray, share: np.ndarray) -> float:
    apart = judge - share @ judge
    spread = float(share @ apart**2)
    return min(1.0, max(0.0, float(share @ (apart * people)) / spread)) if spread else 0.0
