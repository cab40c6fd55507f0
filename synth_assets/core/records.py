"""Rows one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 10_000  # rows


def records(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows as dicts, some thousand of which are in memory at a time."""
    for at in range(0, len(rows), AT_ONCE):
        found: list[Any] = rows.iloc[at : at + AT_ONCE].to_dict("records")
        yield from found
