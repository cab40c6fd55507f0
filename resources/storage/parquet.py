"""Rows as Parquet files, the same in every lake: how one is written, and how its rows are read.

Pages carry checksums: a file that has changed since is an error, never other rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

from synth_assets.core.errors import UserError
from synth_assets.resources.storage.parts import PARTS, STAGE

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synth_assets.resources.storage.lake import Partition

SHOWN = ("seeds", "conditions")  # stages whose values stand in prompts as they are
ROWS_AT_ONCE = 10_000
UNREADABLE = (OSError, ValueError, NotImplementedError, KeyError)  # with their kinds in Arrow


class ParquetRows(ABC):
    """How the rows of partitions are read, wherever their files are."""

    @abstractmethod
    def _opened(
        self, recipe: str, stage: str, partition: Partition
    ) -> AbstractContextManager[pq.ParquetFile]:
        """The file of a partition. UserError where it is missing or damaged."""

    def read(
        self, recipe: str, stage: str, partitions: Sequence[Partition], schema: pa.Schema
    ) -> pd.DataFrame:
        return in_pandas(stage, (self.table(recipe, stage, p, schema.names) for p in partitions), schema)

    def table(
        self, recipe: str, stage: str, partition: Partition, columns: Sequence[str] | None = None
    ) -> pa.Table:
        with self._opened(recipe, stage, partition) as file:
            there = [name for name in file.schema_arrow.names if columns is None or name in columns]
            return file.read(there or None)

    def stream(self, recipe: str, stage: str, partition: Partition, schema: pa.Schema) -> Iterator[pa.Table]:
        import pyarrow as pa

        with self._opened(recipe, stage, partition) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                yield fit(pa.Table.from_batches([batch]), schema)


def in_pandas(stage: str, tables: Iterable[pa.Table], schema: pa.Schema) -> pd.DataFrame:
    """Tables of a stage one below the other, with the columns of today's schema."""
    import pyarrow as pa

    fitting = [fit(table, schema) for table in tables]
    whole = stage in SHOWN  # in prompts 2020 does not become 2020.0 where another row has no value
    return pa.concat_tables([schema.empty_table(), *fitting]).to_pandas(integer_object_nulls=whole)


def missing(recipe: str, stage: str, partition: Partition, place: str) -> UserError:
    if stage == PARTS:
        return UserError(f"{recipe}.{STAGE}: there is no {place}, which rounds share: {_repair(recipe)}.")
    return UserError(
        f"{recipe}.{stage} has no rows for {_words(partition)} yet: materialize {stage} first. "
        f"(There is no {place}; if it was there, {_repair(recipe)}.)"
    )


def damaged(recipe: str, stage: str, partition: Partition, place: str, error: Exception) -> UserError:
    why = " ".join(str(error).split())[:300]
    return UserError(f"{recipe}.{stage}, {_words(partition)}: {place} is damaged ({why}): {_repair(recipe)}.")


def _words(partition: Partition) -> str:
    return ", ".join(f"{column} {value}" for column, value in partition.items()) or "it"


def _repair(recipe: str) -> str:
    return f"`synth verify {recipe} --repair` makes it again from the call log"


def written(file: Any, tables: Iterator[pa.Table]) -> None:
    """Write tables of one schema, one at least, into one Parquet file."""
    first = next(tables)
    with writer(file, first.schema) as into:
        for table in chain([first], tables):
            into.write_table(table)


@contextmanager
def writer(file: Any, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Without Arrow's own schema in it, a table that is read and written again makes the same file."""
    import pyarrow.parquet as pq

    options: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True, "store_schema": False}
    with pq.ParquetWriter(file, schema, **options) as into:
        yield into
        if schema.metadata:
            into.add_key_value_metadata(schema.metadata)


def fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with the columns of this schema: those that it did not have yet are unknown (null)."""
    import pyarrow as pa

    n, there = len(table), table.column_names
    columns = [table[f.name].cast(f.type) if f.name in there else pa.nulls(n, f.type) for f in schema]
    return pa.table(columns, schema=schema)
