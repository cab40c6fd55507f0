"""A filter under a name of its own, so that a recipe may have several of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from synth_assets.contracts.filter import Context, Filter

if TYPE_CHECKING:
    import pandas as pd


@cache
def named(key: str, kind: type[Filter]) -> type[Filter]:
    """The filter, but that the column of its score is called `key`, and each other one `key`_COLUMN.

    Its code goes on with the columns' former names. Its sections say which filter it is: `filter: judge`.
    """
    score = kind.score_column()
    new = {c: key if c == score else f"{key}_{c}" for c in [*kind.raw, *kind.columns]}

    class Named(kind):  # type: ignore[misc, valid-type]
        name = key
        renamed = new
        raw: ClassVar[Mapping[str, str]] = {new[c]: type_ for c, type_ in kind.raw.items()}
        columns: ClassVar[Mapping[str, str]] = {new[c]: type_ for c, type_ in kind.columns.items()}
        filter: str

        def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
            return _renamed(super().measure(rows, context))

        def score(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
            return _renamed(super().score(rows.assign(**self._former(rows)), context))

        def passes(self, rows: pd.DataFrame) -> pd.Series:
            return super().passes(rows.assign(**self._former(rows)))

        def why(self, row: Mapping[str, Any]) -> str:
            return super().why({**row, **self._former(row)})

        def _former(self, rows: Any) -> dict[str, Any]:
            """Its columns of the rows, or of a row, by their former names. What it is told to read stays."""
            read = self.columns_needed()
            return {old: rows[c] for old, c in new.items() if c in rows and old not in read}

    def _renamed(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        return {new.get(c, c): values for c, values in columns.items()}

    return Named
