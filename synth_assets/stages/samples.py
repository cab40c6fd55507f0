"""What metrics look at where a table has very many rows: a sample of these, drawn by the recipe's seed.

Rows are drawn by a hash of their ids, so that the samples of two tables have nearly all rows in common: what
a filter drops of one is what it drops of the whole, and few texts are encoded.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from synth_assets.selection.select import select_random
from synth_assets.stages.stage import Table

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_assets.stages.run import Run

MOST = 20_000  # rows of a table that metrics look at; of a larger one, so many are drawn
NOTE = f"of a sample: of each table with more rows, {MOST:,} were drawn"
REAL = ("seeds", "real", "no rows", "word list", "model alone")  # slices that are of no such table
WHOLE = ("knowledge_used", "knowledge_kept")  # metrics that read all rows


class Samples:
    """The samples of one look at the rows of a recipe."""

    def __init__(self, seed: int) -> None:
        self.seed, self.taken = seed, False

    def drawn(self, ids: Collection[str]) -> set[str] | None:
        """Those of these rows that are looked at; None: all."""
        if len(ids) <= MOST:
            return None
        self.taken = True
        return {*select_random([*ids], MOST, self.seed, "metrics")}

    def of(self, rows: Table) -> Table:
        """The rows, or a sample of them in their order; None stays None."""
        ids = None if rows is None else self.drawn(rows["row_id"])
        return rows if ids is None else rows[rows["row_id"].isin(ids)].reset_index(drop=True)

    def with_before(self, run: Run, stage: str, now: Table) -> Table:
        """The rows of a stage in all rounds up to this one, or a sample of them."""
        import pandas as pd

        return self.of(pd.concat([run.before(stage, thin=self._thin), self.of(now)], ignore_index=True))

    def of_last(self, run: Run, stage: str, now: Table, last: int) -> Table:
        """The rows of a stage in this round and in the `last` before it with any, or a sample of each."""
        import pandas as pd

        before = run.before(stage, last=last, thin=self._thin_rounds)
        return pd.concat([before, self.of(now)], ignore_index=True)

    def of_round(self, run: Run, stage: str, round_: str) -> Table:
        """The rows of a stage in another round, or a sample of them."""
        return run.read(stage, {"round": round_}, thin=self._thin)

    def _thin(self, rows: pa.Table) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        ids = None if len(rows) <= MOST else self.drawn(rows["row_id"].to_pylist())
        return rows if ids is None else rows.filter(pc.is_in(rows["row_id"], pa.array([*ids], pa.string())))

    def _thin_rounds(self, rows: pa.Table) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        if len(rows) <= MOST:
            return rows
        rounds = rows["round"].unique()
        return pa.concat_tables([self._thin(rows.filter(pc.equal(rows["round"], each))) for each in rounds])

    def noted(self, rows: Table) -> Table:
        """Metric rows, with the reason where they are of a sample."""
        if not self.taken:
            return rows
        of = rows["value"].notna() & ~rows["slice"].isin(REAL) & ~rows["name"].isin(WHOLE)
        told = [f"{why}; {NOTE}" if isinstance(why, str) and why else NOTE for why in rows["reason"]]
        return rows.assign(reason=rows["reason"].astype(object).where(~of, told))
