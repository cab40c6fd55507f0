"""The lake: what every stage of every recipe made, a table a partition, which is replaced as a whole.

Who writes or reads rows knows this and no more: they are files of this machine (`FolderLake`) or Delta tables
in an object store (`DeltaLake`). A reader sees the old table of a partition or the new one, never some of
each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from synth_assets.resources.storage.delta_lake import DeltaLake
    from synth_assets.resources.storage.looks import Looks

Partition = Mapping[str, str]  # column -> value, e.g. {"round": "2026-11-22", "cell": "negative"}
VERSIONS = ".versions"  # no recipe has such a name
FILE = "part.parquet"
DATA_VERSION = b"dagster/data_version"  # in the metadata of a table that stands for other rows: theirs


class Lake(Protocol):
    """Partitions of stages of recipes."""

    def write(
        self,
        recipe: str,
        stage: str,
        partition: Partition,
        rows: pa.Table | Iterable[pa.Table],
        run_id: str | None = None,
    ) -> None:
        """Replace one partition by a table, or by tables of the same schema (at least one) as they come.
        `run_id`: the Dagster run that made them, for a lake that has a history. OSError when the disk or the
        store does not take it: what was there stays."""

    def read(
        self, recipe: str, stage: str, partitions: Sequence[Partition], schema: pa.Schema
    ) -> pd.DataFrame:
        """The rows of these partitions, in their order. Raises what `table` raises."""

    def table(
        self, recipe: str, stage: str, partition: Partition, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """One partition as it was written, or those of these columns that it has. When it is missing or
        damaged, a UserError names it and the repair."""

    def stream(self, recipe: str, stage: str, partition: Partition, schema: pa.Schema) -> Iterator[pa.Table]:
        """The rows of one partition in tables of some thousand rows, with the columns of today's schema."""

    def scan_sql(self, recipe: str, stage: str, partitions: Sequence[Partition]) -> str:
        """The rows of these partitions as DuckDB reads them, to stand behind `from`."""

    def file(self, recipe: str, stage: str, partition: Partition) -> Path:
        """A file of this machine that holds one partition, to read; its name is `FILE`."""

    def has(self, recipe: str, stage: str, partition: Partition) -> bool: ...

    def partitions(
        self, recipe: str, stage: str, columns: Sequence[str], **only: str
    ) -> list[dict[str, str]]:
        """The partitions that are there, sorted; `only` those with these values of some columns."""

    def recipes(self) -> list[str]:
        """Recipes that have anything here, sorted."""

    def everything(self, recipe: str, stage: str | None = None) -> Iterator[tuple[str, Partition]]:
        """Stage and partition of all that a recipe has, also of stages that nobody knows, or that a stage
        has; those of one stage sorted."""

    def size(self, recipe: str, stage: str, partition: Partition) -> tuple[int, int]:
        """Rows (0 where they are damaged) and bytes of one partition."""

    def modified(self, recipe: str, stage: str, partition: Partition) -> datetime:
        """When a partition was written last, in UTC. UserError where there is none."""

    def is_as_written(self, recipe: str, stage: str, partition: Partition) -> bool:
        """Whether what holds the rows is, byte for byte, what was written."""

    def remove(self, recipe: str, stage: str, partition: Partition) -> None:
        """Remove one partition, if it is there."""

    def unfinished(self) -> Iterator[tuple[str, str, str, int]]:
        """Recipe, stage, place and bytes of what killed processes left, for `discard`."""

    def discard(self, place: str) -> None:
        """Remove what a killed process left."""

    def tidy(self, at_work: Collection[str] = ()) -> None:
        """Remove what was replaced or removed, and no reader can be at any more. Of recipes that runs are
        `at_work` on, nothing goes that they may be about to use."""

    def place(self, recipe: str, stage: str = "", partition: Partition | None = None) -> str:
        """Where a partition is, or all that a recipe has, for people."""

    @property
    def tables(self) -> DeltaLake | None:
        """Itself, where its rows are Delta tables, and no files of this machine."""

    @property
    def looks(self) -> Looks:
        """What was found at the last look at each round, by this machine."""

    def note(self, name: str) -> str | None:
        """What `write_note` kept; None where there is nothing."""

    def write_note(self, name: str, words: str) -> None:
        """Keep something beside the rows, if there are any."""

    def note_version(self, version: str, made_from: Callable[[], Mapping[str, Any]]) -> None:
        """Keep what a version of a stage rests on, the first time that rows are made by it."""

    def version(self, version: str) -> dict[str, Any] | None:
        """What `note_version` kept; None where that is not known."""
