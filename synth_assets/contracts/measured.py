"""What a measure gives: a value with its 95 % interval, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Measured:
    """A value that rests on `n` rows; None is unknown, and `why` says why.

    `low` and `high` are the 95 % interval: how far the value may lie elsewhere with as many other rows of the
    same source. They are None where a measure knows no valid interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    why: str = ""


def unknown(why: str, n: int = 0) -> Measured:
    """No value, and why."""
    return Measured(None, n=n, why=why)


def with_error(
    value: float, error: float | None, n: int, least: float = -math.inf, most: float = math.inf
) -> Measured:
    """A value with the normal interval of its standard error, cut to the range of the measure.

    Without an interval where the error is not known; unknown where the value is no finite number.
    """
    if not math.isfinite(value):
        return unknown("not a finite number", n)
    if error is None or not math.isfinite(error):
        return Measured(float(value), n=n)
    low, high = max(least, value - Z95 * error), min(most, value + Z95 * error)
    return Measured(float(value), float(low), float(high), n)


def mean(values: np.ndarray, least: float = -math.inf, most: float = math.inf) -> Measured:
    """The mean of one value a row, with its standard error's interval (none for a single row)."""
    n = len(values)
    error = float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return with_error(float(values.mean()), error, n, least, most)


def jackknife(
    value: float, without: np.ndarray, least: float = -math.inf, most: float = math.inf
) -> Measured:
    """A value with the jackknife's interval (Tukey 1958): `without`, (n,), are the values without one row."""
    n = len(without)
    error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum())) if n > 2 else None
    return with_error(value, error, n, least, most)
