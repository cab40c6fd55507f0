"""What a signal is: a function from what the metrics look at (`Look`) to numbers that the next round goes by.

A built-in one is a public function of evaluation/signals.py. One of your own is an entry point
`synth_assets.signals`, or a function on the path that a recipe writes as `package.module:name`. A number
column of the kept rows (the score of a filter) is a signal by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Signal(NamedTuple):
    """A number of a row, or else of a cell, of a value of an attribute, or of both. More is what the next
    round should have more of."""

    value: float
    row_id: str | None = None
    cell: str | None = None
    attribute: str | None = None
    attribute_value: str | None = None


# The function is given no test row. Where it says numbers of rows alone, the means of their cells and of
# their values are taken besides.
Signals = Callable[[Any], Iterable[Signal]]
