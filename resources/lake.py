"""The lake: one Parquet file a partition, in hive folders, replaced atomically. Parquet is the truth.

    <root>/<recipe>/<stage>/round=2026-11-22/cell=negative/part.parquet

A file is written beside its place, flushed to disk and renamed over it: a reader sees the old table or
the new one, a full disk or a killed process leaves the old one as it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from synth_assets.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Partition = Mapping[str, str]  # column -> value, e.g. {"round": "2026-11-22", "cell": "negative"}
FILE = "part.parquet"


class Lake:
    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, recipe: str, stage: str, partition: Partition) -> Path:
        folders = [f"{column}={quote(value, safe='')}" for column, value in partition.items()]
        return self.root.joinpath(recipe, stage, *folders, FILE)

    def write(
        self, recipe: str, stage: str, partition: Partition, rows: pa.Table | Iterable[pa.Table]
    ) -> Path:
        """Replace one partition by a table, or by tables of the same schema (at least one) as they come.

        OSError when the disk does not take it: what was there stays.
        """
        path = self.path(recipe, stage, partition)
        self._replace(path, rows)
        return path

    def _replace(self, path: Path, rows: pa.Table | Iterable[pa.Table]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = iter([rows] if isinstance(rows, pa.Table) else rows)
        first = next(tables)

        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                with pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
                    for table in chain([first], tables):
                        writer.write_table(table)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error  # name the file
        finally:
            beside.unlink(missing_ok=True)

    def read(
        self, recipe: str, stage: str, partitions: Sequence[Partition], schema: pa.Schema
    ) -> pd.DataFrame:
        """The rows of these partitions, in their order. UserError when one was never materialized."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = []
        for partition in partitions:
            path = self.path(recipe, stage, partition)
            if not path.exists():
                where = ", ".join(f"{c} {v}" for c, v in partition.items())
                raise UserError(
                    f"{recipe}.{stage} has no rows for {where or 'it'} yet: materialize {stage} first."
                )
            # ParquetFile and not read_table: the latter would add the folders' names as columns
            tables.append(_fit(pq.ParquetFile(path).read(), schema))
        return pa.concat_tables([schema.empty_table(), *tables]).to_pandas()

    def partitions(self, recipe: str, stage: str, columns: Sequence[str]) -> list[dict[str, str]]:
        """The partitions on disk, sorted."""
        pattern = "/".join([*(f"{c}=*" for c in columns), FILE])
        found = sorted((self.root / recipe / stage).glob(pattern))
        return [
            {
                c: unquote(p.split("=", 1)[1])
                for c, p in zip(columns, f.parts[-1 - len(columns) : -1], strict=True)
            }
            for f in found
        ]


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table as the schema of today: columns that it did not have yet are unknown (null)."""
    import pyarrow as pa

    columns = [
        table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
        for f in schema
    ]
    return pa.table(columns, schema=schema)
