"""The row filter of what is learned of a row where that is not one label (task.predict)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synth_assets.contracts.filter import Context, RowFilter
from synth_assets.core.records import records

if TYPE_CHECKING:
    import pandas as pd


class Target(RowFilter):
    """1 when what is to be learned of the row can be read: a number, known labels, spans that stand in the
    text; else 0. Without it, a row that cannot be read stays, and teaches nothing."""

    name = "target"
    within = (0, 1)
    better = "higher"
    columns: ClassVar[Mapping[str, str]] = {"target": "double", "target_reason": "string"}
    of_target = True
    at_least: float | None = 1

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        said = [_wrong(context.target, row) for row in records(rows)]
        return {"target": [float(not why) for why in said], "target_reason": said}

    def why(self, row: Mapping[str, Any]) -> str:
        return row["target_reason"] or ""


def _wrong(target: Any, row: Mapping[str, Any]) -> str:
    """Why it cannot be read; empty where it can."""
    try:
        return "there is none" if target.read(row) is None else ""
    except ValueError as error:
        return str(error)
