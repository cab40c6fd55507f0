"""The lake in a folder: one Parquet file a partition, in hive folders, replaced atomically.

    <root>/<recipe>/<stage>/round=2026-11-22/cell=negative/part.parquet
    <root>/.versions/<version>.json    what the recipe said when a stage was made, for people

A reader sees the old table or the new one; a full disk or a killed process leaves the old one (see
`files.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from synth_assets.resources.storage import files
from synth_assets.resources.storage.lake import FILE, VERSIONS, Partition
from synth_assets.resources.storage.looks import Looks
from synth_assets.resources.storage.parquet import UNREADABLE, ParquetRows, damaged, missing, writer, written

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class FolderLake(ParquetRows):
    """Partitions of stages of recipes, each a file of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, recipe: str, stage: str, partition: Partition) -> Path:
        """The file of a partition, whether or not it is there."""
        folders = [f"{column}={quote(value, safe='')}" for column, value in partition.items()]
        return self.root.joinpath(recipe, stage, *folders, FILE)

    def file(self, recipe: str, stage: str, partition: Partition) -> Path:
        return self.path(recipe, stage, partition)

    @property
    def tables(self) -> None:
        return None

    def __str__(self) -> str:
        return str(self.root)

    def place(self, recipe: str, stage: str = "", partition: Partition | None = None) -> str:
        return str(self.path(recipe, stage, partition or {}) if stage else self.root / recipe)

    @property
    def looks(self) -> Looks:
        return Looks(self.root)

    def note(self, name: str) -> str | None:
        path = self.root / name
        return path.read_text(encoding="utf-8") if path.exists() else None

    def write_note(self, name: str, words: str) -> None:
        if self.root.is_dir():
            files.write(self.root / name, words)

    def write(
        self,
        recipe: str,
        stage: str,
        partition: Partition,
        rows: pa.Table | Iterable[pa.Table],
        run_id: str | None = None,
    ) -> None:
        import pyarrow as pa

        files.private(self.root.parent)
        path = self.path(recipe, stage, partition)
        tables = iter([rows] if isinstance(rows, pa.Table) else rows)
        try:
            with files.replacing(path) as file:
                written(file, tables)
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error  # name the file

    def scan_sql(self, recipe: str, stage: str, partitions: Sequence[Partition]) -> str:
        from synth_assets.resources.storage.quoted import literal
        from synth_assets.resources.storage.warehouse import as_pattern

        paths = [literal(as_pattern(self.path(recipe, stage, place))) for place in partitions]
        return f"read_parquet([{', '.join(paths)}], hive_partitioning = false)"

    @contextmanager
    def _opened(self, recipe: str, stage: str, partition: Partition) -> Iterator[pq.ParquetFile]:
        import pyarrow.parquet as pq

        path = self.path(recipe, stage, partition)
        if not path.exists():
            raise missing(recipe, stage, partition, str(path))
        try:
            # ParquetFile and not read_table: the latter would add the folders' names as columns
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                yield file
        except UNREADABLE as error:
            raise damaged(recipe, stage, partition, str(path), error) from error

    def is_as_written(self, recipe: str, stage: str, partition: Partition) -> bool:
        """Whether the file is, byte for byte, what its rows make: checksums cover pages, and neither the
        statistics that queries rely on nor the names of columns. True where another version of the library
        wrote it, since nobody knows then."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        content = self.path(recipe, stage, partition).read_bytes()
        try:
            file, again = pq.ParquetFile(pa.BufferReader(content)), pa.BufferOutputStream()
            with writer(again, file.schema_arrow) as into:
                for i in range(file.num_row_groups):
                    into.write_table(file.read_row_group(i).combine_chunks())
        except UNREADABLE:
            return False
        made = again.getvalue()
        same_library = pq.read_metadata(pa.BufferReader(made)).created_by == file.metadata.created_by
        return made.to_pybytes() == content or not same_library

    def note_version(self, version: str, made_from: Callable[[], Mapping[str, Any]]) -> None:
        path = self._version(version)
        if not path.exists():
            files.private(self.root.parent)
            files.write(path, json.dumps(made_from(), ensure_ascii=False, indent=1, default=str))

    def version(self, version: str) -> dict[str, Any] | None:
        path = self._version(version)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def _version(self, version: str) -> Path:
        return self.root / VERSIONS / f"{version}.json"

    def recipes(self) -> list[str]:
        return sorted(folder.name for folder in self.root.glob("*/") if folder.name != VERSIONS)

    def everything(self, recipe: str, stage: str | None = None) -> Iterator[tuple[str, Partition]]:
        only = "*" if stage is None else escape(stage)
        for path in sorted((self.root / recipe).glob(f"{only}/**/{FILE}")):
            of, *folders = path.relative_to(self.root / recipe).parts[:-1]
            yield of, _partition(folders)

    def size(self, recipe: str, stage: str, partition: Partition) -> tuple[int, int]:
        import pyarrow.parquet as pq

        path = self.path(recipe, stage, partition)
        try:
            rows = pq.read_metadata(path).num_rows
        except (OSError, ValueError):
            rows = 0
        return rows, path.stat().st_size

    def modified(self, recipe: str, stage: str, partition: Partition) -> datetime:
        path = self.path(recipe, stage, partition)
        try:
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except FileNotFoundError:
            raise missing(recipe, stage, partition, str(path)) from None

    def unfinished(self) -> Iterator[tuple[str, str, str, int]]:
        """Recipe, stage, place and bytes of what killed processes left beside partitions."""
        for path in files.leftovers(self.root, FILE, within="**/"):
            recipe, stage = path.relative_to(self.root).parts[:2]
            yield recipe, stage, str(path), path.stat().st_size

    def tidy(self, at_work: Collection[str] = ()) -> None:
        """Nothing is left of what was replaced."""

    def discard(self, place: str) -> None:
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
        values = {column: quote(value, safe="") for column, value in only.items()}
        pattern = "/".join([*(f"{c}={values.get(c, '*')}" for c in columns), FILE])
        found = sorted((self.root / recipe / stage).glob(pattern))
        return [_partition(file.parts[-1 - len(columns) : -1]) for file in found]


def _partition(folders: Iterable[str]) -> dict[str, str]:
    """What folders of a path say."""
    pairs = (folder.partition("=") for folder in folders)
    return {column: unquote(value) for column, _, value in pairs}
