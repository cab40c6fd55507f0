"""What a measure gives: a value with its 95 % interval, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Z95 = 1.959963984540054
NO_ROWS = "no rows"


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


def wilson(hits: float, n: float) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927); (0, 1) when nothing was drawn."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = hits / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * ((p * (1 - p) + z2 / (4 * n)) / n) ** 0.5 / (1 + z2 / n)
    return (max(0.0, centre - half) if hits else 0.0), (min(1.0, centre + half) if hits < n else 1.0)


def proportion(hits: Sequence[bool | None], why: str = NO_ROWS) -> Measured:
    """Share of the known ones that are true, with Wilson's interval; `why` is why there may be none."""
    known = [bool(hit) for hit in hits if hit is not None]
    if not known:
        return unknown(why, len(hits))
    return Measured(sum(known) / len(known), *wilson(sum(known), len(known)), len(known))
