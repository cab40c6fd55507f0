"""Metric rows: the table that all measures of a round end up in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.measured import Measured

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import LabelLogprobs

COLUMNS = ["name", "slice", "value", "low", "high", "n", "reason"]
MAIN = "weighted"  # the set whose errors are told one by one
Annotate = Callable[[Sequence[str]], Sequence["LabelLogprobs | None"]]
Sets = Mapping[str, "pd.DataFrame"]


def table(rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """Metric rows as a table; those without a reason have none."""
    import pandas as pd

    return pd.DataFrame([(*row, *[None] * (len(COLUMNS) - len(row))) for row in rows], columns=COLUMNS)


def row(name: str, slice_: str, found: Measured) -> tuple[Any, ...]:
    return name, slice_, found.value, found.low, found.high, found.n, found.why or None


def against(round_: str) -> str:
    """The slice of a change since this round."""
    return f"{MAIN}, against {round_}"
