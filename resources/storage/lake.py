"""The lake: one Parquet file a partition, in hive folders, replaced atomically. Parquet is the truth.

    <root>/<recipe>/<stage>/round=2026-11-22/cell=negative/part.parquet
    <root>/.versions/<version>.json    what the recipe said when a stage was made, for people

A reader sees the old table or the new one; a full disk or a killed process leaves the old one (see
`files.py`). Pages carry checksums: a file that has changed since is an error, never other rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from synth_assets.core.errors import UserError
from synth_assets.resources.storage import files
from synth_assets.resources.storage.looks import Looks

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synth_assets.resources.storage.delta_lake import DeltaLake

Partition = Mapping[str, str]  # column -> value, e.g. {"round": "2026-11-22", "cell": "negative"}
FILE = "part.parquet"
VERSIONS = ".versions"  # no recipe has such a name
SHOWN = ("seeds", "conditions")  # stages whose values stand in prompts as they are
ROWS_AT_ONCE = 10_000
UNREADABLE = (OSError, ValueError, NotImplementedError, KeyError)  # with their kinds in Arrow


class Lake:
    """Partitions of stages of recipes, each a file."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, recipe: str, stage: str, partition: Partition) -> Path:
        """The file of a partition, whether or not it is there."""
        folders = [f"{column}={quote(value, safe='')}" for column, value in partition.items()]
        return self.root.joinpath(recipe, stage, *folders, FILE)

    def file(self, recipe: str, stage: str, partition: Partition) -> Path:
        """A file of this machine that holds one partition, to read."""
        return self.path(recipe, stage, partition)

    @property
    def tables(self) -> DeltaLake | None:
        """Itself, where its rows are Delta tables, and no files of this machine."""
        return None

    def __str__(self) -> str:
        return str(self.root)

    def place(self, recipe: str, stage: str = "", partition: Partition | None = None) -> str:
        """Where a partition is, or all that a recipe has, for people."""
        return str(self.path(recipe, stage, partition or {}) if stage else self.folder(recipe))

    def folder(self, recipe: str) -> Path:
        """Where all rows of a recipe are."""
        return self.root / recipe

    @property
    def looks(self) -> Looks:
        """What was found at the last look at each round."""
        return Looks(self.root)

    def note(self, name: str) -> str | None:
        """What `write_note` kept; None where there is nothing."""
        path = self.root / name
        return path.read_text(encoding="utf-8") if path.exists() else None

    def write_note(self, name: str, words: str) -> None:
        """Keep something beside the rows, if there are any."""
        if self.root.is_dir():
            files.write(self.root / name, words)

    def write(
        self, recipe: str, stage: str, partition: Partition, rows: pa.Table | Iterable[pa.Table]
    ) -> Path:
        """Replace one partition by a table, or by tables of the same schema (at least one) as they come.
        OSError when the disk does not take it: what was there stays."""
        import pyarrow as pa

        files.private(self.root.parent)
        path = self.path(recipe, stage, partition)
        tables = iter([rows] if isinstance(rows, pa.Table) else rows)
        try:
            with files.replacing(path) as file:
                written(file, tables)
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error  # name the file
        return path

    def read(
        self, recipe: str, stage: str, partitions: Sequence[Partition], schema: pa.Schema
    ) -> pd.DataFrame:
        """The rows of these partitions, in their order. Raises what `table` raises."""
        import pyarrow as pa

        tables = [fit(self.table(recipe, stage, place, schema.names), schema) for place in partitions]
        whole = stage in SHOWN  # in prompts 2020 does not become 2020.0 where another row has no value
        return pa.concat_tables([schema.empty_table(), *tables]).to_pandas(integer_object_nulls=whole)

    def table(
        self, recipe: str, stage: str, partition: Partition, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """One partition as it is on disk, or those of these columns that it has. When the file is missing or
        damaged, a UserError names it and the repair."""
        with self._opened(recipe, stage, partition) as file:
            there = [name for name in file.schema_arrow.names if columns is None or name in columns]
            return file.read(there or None)

    def stream(self, recipe: str, stage: str, partition: Partition, schema: pa.Schema) -> Iterator[pa.Table]:
        """The rows of one partition in tables of some thousand rows, with the columns of today's schema."""
        import pyarrow as pa

        with self._opened(recipe, stage, partition) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                yield fit(pa.Table.from_batches([batch]), schema)

    def scan_sql(self, recipe: str, stage: str, partitions: Sequence[Partition]) -> str:
        """The rows of these partitions as DuckDB reads them, to stand behind `from`."""
        from synth_assets.resources.storage.quoted import literal
        from synth_assets.resources.storage.warehouse import as_pattern

        paths = [literal(as_pattern(self.path(recipe, stage, place))) for place in partitions]
        return f"read_parquet([{', '.join(paths)}], hive_partitioning = false)"

    @contextmanager
    def _opened(self, recipe: str, stage: str, partition: Partition) -> Iterator[pq.ParquetFile]:
        import pyarrow.parquet as pq

        path = self.path(recipe, stage, partition)
        where = ", ".join(f"{c} {v}" for c, v in partition.items()) or "it"
        repair = f"`synth verify {recipe} --repair` makes it again from the call log"
        if not path.exists():
            raise UserError(
                f"{recipe}.{stage} has no rows for {where} yet: materialize {stage} first. "
                f"(There is no {path}; if it was there, {repair}.)"
            )
        try:
            # ParquetFile and not read_table: the latter would add the folders' names as columns
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                yield file
        except UNREADABLE as error:
            raise UserError(f"{recipe}.{stage}, {where}: {path} is damaged ({error}): {repair}.") from error

    def is_as_written(self, recipe: str, stage: str, partition: Partition) -> bool:
        """Whether the file is, byte for byte, what its rows make: checksums cover pages, and neither the
        statistics that queries rely on nor the names of columns. True where another version of the library
        wrote it, since nobody knows then."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        content = self.path(recipe, stage, partition).read_bytes()
        try:
            file, again = pq.ParquetFile(pa.BufferReader(content)), pa.BufferOutputStream()
            with _writer(again, file.schema_arrow) as writer:
                for i in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(i).combine_chunks())
        except UNREADABLE:
            return False
        made = again.getvalue()
        same_library = pq.read_metadata(pa.BufferReader(made)).created_by == file.metadata.created_by
        return made.to_pybytes() == content or not same_library

    def note_version(self, version: str, made_from: Callable[[], Mapping[str, Any]]) -> None:
        """Keep what a version of a stage rests on, the first time that rows are made by it."""
        path = self._version(version)
        if not path.exists():
            files.private(self.root.parent)
            files.write(path, json.dumps(made_from(), ensure_ascii=False, indent=1, default=str))

    def version(self, version: str) -> dict[str, Any] | None:
        """What `note_version` kept; None where that is not known."""
        path = self._version(version)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def _version(self, version: str) -> Path:
        return self.root / VERSIONS / f"{version}.json"

    def recipes(self) -> list[str]:
        """Recipes that have anything here, sorted."""
        return sorted(folder.name for folder in self.root.glob("*/") if folder.name != VERSIONS)

    def everything(self, recipe: str) -> Iterator[tuple[str, Partition]]:
        """Stage and partition of all that a recipe has, also of stages that nobody knows."""
        for path in sorted((self.root / recipe).glob(f"*/**/{FILE}")):
            stage, *folders = path.relative_to(self.root / recipe).parts[:-1]
            yield stage, _partition(folders)

    def size(self, recipe: str, stage: str, partition: Partition) -> tuple[int, int]:
        """Rows (0 where they are damaged) and bytes of one partition."""
        import pyarrow.parquet as pq

        path = self.path(recipe, stage, partition)
        try:
            rows = pq.read_metadata(path).num_rows
        except (OSError, ValueError):
            rows = 0
        return rows, path.stat().st_size

    def unfinished(self) -> Iterator[tuple[str, str, str, int]]:
        """Recipe, stage, place and bytes of what killed processes left beside partitions."""
        for path in files.leftovers(self.root, FILE, within="**/"):
            recipe, stage = path.relative_to(self.root).parts[:2]
            yield recipe, stage, str(path), path.stat().st_size

    def tidy(self) -> None:
        """Remove what no reader can be at any more; here nothing is left of what was replaced."""

    def discard(self, place: str) -> None:
        """Remove what a killed process left."""
        Path(place).unlink(missing_ok=True)

    def remove(self, recipe: str, stage: str, partition: Partition) -> None:
        """Remove one partition, and the folders that it leaves empty."""
        path = self.path(recipe, stage, partition)
        path.unlink(missing_ok=True)
        for folder in path.relative_to(self.root).parents[:-1]:
            try:
                (self.root / folder).rmdir()
            except OSError:  # something is in it
                return

    def has(self, recipe: str, stage: str, partition: Partition) -> bool:
        return self.path(recipe, stage, partition).exists()

    def partitions(
        self, recipe: str, stage: str, columns: Sequence[str], **only: str
    ) -> list[dict[str, str]]:
        """The partitions on disk, sorted; `only` those with these values of some columns."""
        values = {column: quote(value, safe="") for column, value in only.items()}
        pattern = "/".join([*(f"{c}={values.get(c, '*')}" for c in columns), FILE])
        found = sorted((self.root / recipe / stage).glob(pattern))
        return [_partition(file.parts[-1 - len(columns) : -1]) for file in found]


def _partition(folders: Iterable[str]) -> dict[str, str]:
    """What folders of a path say."""
    pairs = (folder.partition("=") for folder in folders)
    return {column: unquote(value) for column, _, value in pairs}


def written(file: Any, tables: Iterator[pa.Table]) -> None:
    """Write tables of one schema, one at least, into one Parquet file."""
    first = next(tables)
    with _writer(file, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)


@contextmanager
def _writer(file: Any, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Without Arrow's own schema in it, a table that is read and written again makes the same file."""
    import pyarrow.parquet as pq

    options: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True, "store_schema": False}
    with pq.ParquetWriter(file, schema, **options) as writer:
        yield writer
        if schema.metadata:
            writer.add_key_value_metadata(schema.metadata)


def fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with the columns of this schema: those that it did not have yet are unknown (null)."""
    import pyarrow as pa

    n, there = len(table), table.column_names
    columns = [table[f.name].cast(f.type) if f.name in there else pa.nulls(n, f.type) for f in schema]
    return pa.table(columns, schema=schema)
