"""Bootstrap intervals (Efron 1979): what a statistic is on resamples of the rows, all resamples at once.

A row is a vector of a few numbers, and equal rows are one cell: a resample is then a count a cell, and a
statistic reads the cells and the counts of many resamples. With few cells a thousand resamples of a hundred
thousand rows cost as much as those of a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from synth_assets.contracts.measured import NO_ROWS, Measured, unknown

DRAWS = 1000
BLOCK = 4_000_000  # counts that are held at once
ONE_ROW = "one row has no interval"
NO_SPREAD = "every resample of these rows gives the same value: no interval"

# cells (c, f), counts (draws, c) -> values (draws,), NaN where a resample has none
Statistic = Callable[[Any, Any], Any]


def resampled(rows: np.ndarray, statistic: Statistic, draws: int = DRAWS) -> tuple[np.ndarray, np.ndarray]:
    """The statistic of `rows` (n, f), and of `draws` resamples of them: one array of a value or more each."""
    cells, counts = np.unique(rows, axis=0, return_counts=True)
    generator = np.random.default_rng(0)
    step = max(1, BLOCK // len(cells))
    drawn = [
        statistic(cells, generator.multinomial(len(rows), counts / len(rows), size=min(step, draws - done)))
        for done in range(0, draws, step)
    ]
    return statistic(cells, counts[None])[0], np.concatenate(drawn) if drawn else np.empty(0)


def bootstrap(rows: Any, statistic: Statistic, why: str = "") -> Measured:
    """The statistic of the rows with its percentile interval; `why` is why its value may be unknown.

    There is no interval where resamples do not differ, or more than one in 40 has no value.
    """
    table = np.asarray(rows, dtype=float)
    if len(table) == 0:
        return unknown(NO_ROWS)
    table = table.reshape(len(table), -1)
    value, drawn = resampled(table, statistic, DRAWS if len(table) > 1 else 0)
    return interval(float(value), drawn, len(table), why)


def interval(value: float, drawn: np.ndarray, n: int, why: str = "") -> Measured:
    """A value with the middle 95 % of what resamples gave."""
    if not np.isfinite(value):
        return unknown(why or "a number of the rows is not finite", n)
    known = drawn[~np.isnan(drawn)]
    if n == 1:
        return Measured(value, n=n, why=ONE_ROW)
    if len(known) < 0.975 * len(drawn):
        return Measured(value, n=n, why=f"more than one resample in 40 has no value: {why}")
    low, high = np.quantile(known, [0.025, 0.975])
    if np.ptp(known) < 1e-12:
        return Measured(value, n=n, why=NO_SPREAD)
    return Measured(value, float(low), float(high), n)


def bootstrap_mean(values: Sequence[float | None], why: str = NO_ROWS) -> Measured:
    """Mean of the values that are known (not None, not NaN); `why` is why there may be none."""
    known = [v for v in values if v is not None and v == v]
    if not known:
        return unknown(why, len(values))
    return bootstrap(known, lambda cells, counts: counts @ cells[:, 0] / counts.sum(axis=1))


def ratio(parts: Sequence[tuple[float, float]], why: str) -> Measured:
    """Sum of the first numbers over the sum of the second ones, rows resampled together."""

    def statistic(cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
        top, bottom = (counts @ cells).T
        return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)

    return bootstrap(parts, statistic, why)
