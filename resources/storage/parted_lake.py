"""A lake in which `weighted` is stored in parts (see parts.py). Whoever reads it has whole rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.core.content import content_hash
from synth_assets.core.errors import UserError
from synth_assets.resources.machine import temporary
from synth_assets.resources.storage import files, parts
from synth_assets.resources.storage.lake import DATA_VERSION, FILE, Lake, Partition
from synth_assets.resources.storage.parquet import damaged, fit, in_pandas, written

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    import pyarrow as pa

    from synth_assets.resources.storage.delta_lake import DeltaLake
    from synth_assets.resources.storage.looks import Looks

AT_ONCE = 8  # parts that are read: an object store is far away


class PartedLake:
    """Partitions of stages of recipes, in another lake."""

    def __init__(self, files: Lake) -> None:
        """`files`: where the files of stages and parts are."""
        self._files = files

    def write(
        self,
        recipe: str,
        stage: str,
        partition: Partition,
        rows: pa.Table | Iterable[pa.Table],
        run_id: str | None = None,
    ) -> None:
        import pyarrow as pa

        if stage != parts.STAGE or not isinstance(rows, pa.Table) or (found := parts.split(rows)) is None:
            self._files.write(recipe, stage, partition, rows, run_id)
            return
        lines, made = found
        if self.tables is not None:  # a commit says the version of the rows, and not of the lines
            said = {**lines.schema.metadata, DATA_VERSION: content_hash(rows)}
            lines = lines.replace_schema_metadata(said)
        self._keep(recipe, made)
        self._files.write(recipe, stage, partition, lines, run_id)
        for part in made.keys() - {*self._parts(recipe)}:  # `tidy` removed it, since no round had named it
            self._files.write(recipe, parts.PARTS, _place(part), made[part])

    def _keep(self, recipe: str, made: Mapping[str, pa.Table]) -> None:
        """Write the parts that are not there, or not as they were written."""

        def is_there(part: str) -> bool:
            try:
                return self._files.table(recipe, parts.PARTS, _place(part)).equals(made[part])
            except UserError:
                return False

        for part, there in zip(made, _at_once(is_there, made), strict=True):
            if not there:
                self._files.write(recipe, parts.PARTS, _place(part), made[part])

    def read(
        self, recipe: str, stage: str, partitions: Sequence[Partition], schema: pa.Schema
    ) -> pd.DataFrame:
        if stage != parts.STAGE:
            return self._files.read(recipe, stage, partitions, schema)
        return in_pandas(stage, (self.table(recipe, stage, p, schema.names) for p in partitions), schema)

    def table(
        self, recipe: str, stage: str, partition: Partition, columns: Sequence[str] | None = None
    ) -> pa.Table:
        import pyarrow as pa

        if (lines := self._lines(recipe, stage, partition)) is None:
            return self._files.table(recipe, stage, partition, columns)
        return pa.concat_tables(self._of_parts(recipe, lines, columns))

    def stream(self, recipe: str, stage: str, partition: Partition, schema: pa.Schema) -> Iterator[pa.Table]:
        if (lines := self._lines(recipe, stage, partition)) is None:
            yield from self._files.stream(recipe, stage, partition, schema)
            return
        for line in parts.lines(lines):
            place, first = _place(line.part), 0
            for rows in self._files.stream(recipe, parts.PARTS, place, parts.schemas(schema)[parts.PARTS]):
                yield fit(parts.whole(rows, line, schema.names, first), schema)
                first += len(rows)

    def _lines(self, recipe: str, stage: str, partition: Partition) -> pa.Table | None:
        """Which parts a partition has; None where its rows are in its own file."""
        if stage != parts.STAGE:
            return None
        lines = self._files.table(recipe, stage, partition, parts.LINES)
        if not parts.is_split(lines.schema):
            return None
        if not len(lines):
            none = ValueError("it names no rows")
            raise damaged(recipe, stage, partition, self.place(recipe, stage, partition), none)
        return lines

    def _of_parts(self, recipe: str, lines: pa.Table, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        names = parts.columns(lines.schema, columns)

        def rows(line: parts.Line) -> pa.Table:
            found = self._files.table(recipe, parts.PARTS, _place(line.part), [*names, parts.POSITION])
            return parts.whole(found, line, names)

        yield from _at_once(rows, parts.lines(lines))

    def file(self, recipe: str, stage: str, partition: Partition) -> Path:
        path = self._files.file(recipe, stage, partition)
        if self._lines(recipe, stage, partition) is None:
            return path
        whole = _copies() / files.sha256(path) / FILE
        if not whole.exists():
            with files.replacing(whole) as into:
                written(into, iter([self.table(recipe, stage, partition)]))
        return whole

    def scan_sql(self, recipe: str, stage: str, partitions: Sequence[Partition]) -> str:
        lines = [(place, self._lines(recipe, stage, place)) for place in partitions]
        split = [place for place, of in lines if of is not None]
        at_once = self._files.scan_sql(recipe, stage, [place for place, of in lines if of is None])
        if not split:
            return at_once
        stored = self._files.scan_sql(recipe, stage, split)
        of_parts = self._files.scan_sql(recipe, parts.PARTS, [*map(_place, self._parts(recipe))])
        names = next(parts.columns(of.schema) for _, of in lines if of is not None)
        joined = parts.joined(stored, of_parts, names)
        return joined if len(split) == len(lines) else f"(from {joined} union all by name from {at_once})"

    def is_as_written(self, recipe: str, stage: str, partition: Partition) -> bool:
        if stage == parts.PARTS:
            return self._is_whole(recipe, partition[parts.PART])
        if not self._files.is_as_written(recipe, stage, partition):
            return False
        lines = self._lines(recipe, stage, partition)
        return lines is None or all(self._is_whole(recipe, part) for part in lines[parts.PART].to_pylist())

    def _is_whole(self, recipe: str, part: str) -> bool:
        """Whether a part has the rows that it is named by, and its file is as it was written."""
        place = _place(part)
        try:
            rows = self._files.table(recipe, parts.PARTS, place)
            return parts.name(rows) == part and self._files.is_as_written(recipe, parts.PARTS, place)
        except UserError:
            return False

    def _parts(self, recipe: str) -> list[str]:
        found = self._files.partitions(recipe, parts.PARTS, parts.CUTS[parts.PARTS])
        return [place[parts.PART] for place in found]

    def tidy(self, at_work: Collection[str] = ()) -> None:
        for recipe in self.recipes():
            if recipe not in at_work:
                with suppress(UserError):  # a round's file is damaged: nobody knows what it has
                    self._remove_unnamed(recipe)
        self._files.tidy(at_work)

    def _remove_unnamed(self, recipe: str) -> None:
        """Remove the parts that no round has any more."""
        rounds = self.partitions(recipe, parts.STAGE, parts.CUTS[parts.STAGE])
        lines = (self._lines(recipe, parts.STAGE, place) for place in rounds)
        named = {part for each in lines if each is not None for part in each[parts.PART].to_pylist()}
        for part in {*self._parts(recipe)} - named:
            self.remove(recipe, parts.PARTS, _place(part))

    def everything(self, recipe: str, stage: str | None = None) -> Iterator[tuple[str, Partition]]:
        found = self._files.everything(recipe, stage)
        return ((of, place) for of, place in found if stage or of != parts.PARTS)

    def size(self, recipe: str, stage: str, partition: Partition) -> tuple[int, int]:
        rows, size = self._files.size(recipe, stage, partition)
        try:
            lines = self._lines(recipe, stage, partition)
        except UserError:  # damaged
            return 0, size
        return rows if lines is None else sum(lines[parts.ROWS].to_pylist()), size

    def has(self, recipe: str, stage: str, partition: Partition) -> bool:
        return self._files.has(recipe, stage, partition)

    def partitions(
        self, recipe: str, stage: str, columns: Sequence[str], **only: str
    ) -> list[dict[str, str]]:
        return self._files.partitions(recipe, stage, columns, **only)

    def recipes(self) -> list[str]:
        return self._files.recipes()

    def modified(self, recipe: str, stage: str, partition: Partition) -> datetime:
        return self._files.modified(recipe, stage, partition)

    def remove(self, recipe: str, stage: str, partition: Partition) -> None:
        self._files.remove(recipe, stage, partition)

    def unfinished(self) -> Iterator[tuple[str, str, str, int]]:
        return self._files.unfinished()

    def discard(self, place: str) -> None:
        self._files.discard(place)

    def place(self, recipe: str, stage: str = "", partition: Partition | None = None) -> str:
        return self._files.place(recipe, stage, partition)

    def __str__(self) -> str:
        return str(self._files)

    @property
    def tables(self) -> DeltaLake | None:
        return self._files.tables

    @property
    def looks(self) -> Looks:
        return self._files.looks

    def note(self, name: str) -> str | None:
        return self._files.note(name)

    def write_note(self, name: str, words: str) -> None:
        self._files.write_note(name, words)

    def note_version(self, version: str, made_from: Callable[[], Mapping[str, Any]]) -> None:
        self._files.note_version(version, made_from)

    def version(self, version: str) -> dict[str, Any] | None:
        return self._files.version(version)


@cache
def _copies() -> Path:
    return temporary()


def _at_once(do: Callable[[Any], Any], of: Iterable[Any]) -> Iterator[Any]:
    """What comes of each, in their order; few more than are wanted."""
    each = iter(of)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while some := list(islice(each, AT_ONCE)):
            yield from pool.map(do, some)


def _place(part: str) -> dict[str, str]:
    return {parts.PART: part}
