"""The lake in an object store: a Delta table a recipe and stage, a partition replaced in one commit.

    <prefix>/<recipe>/<stage>/_delta_log/...     which file holds which partition
    <prefix>/<recipe>/<stage>/<digest>.parquet   the files: those of a folder
    <prefix>/.versions/, <prefix>/.notes/        as in a folder

To replace a key of an object store is no rename: who reads meanwhile may see half of each. A commit of a
Delta table is one (Armbrust et al. 2020): a reader sees the version before it or the one after it. A commit
names files of ours, so that rows keep their order and their Parquet types.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from hashlib import file_digest, sha256
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from synth_assets.core.errors import NotInstalled, UserError
from synth_assets.resources.machine import temporary
from synth_assets.resources.storage import files
from synth_assets.resources.storage.delta_sql import EXTRA
from synth_assets.resources.storage.lake import FILE, VERSIONS, Partition
from synth_assets.resources.storage.looks import Looks
from synth_assets.resources.storage.objects import Objects
from synth_assets.resources.storage.parquet import UNREADABLE, ParquetRows, damaged, missing, written

if TYPE_CHECKING:
    import deltalake
    import pyarrow as pa
    import pyarrow.parquet as pq

SCHEMES = ("s3", "gs", "az", "file")
PART = "p_"  # begins the names of the columns that Delta cuts a table by: rows have their own
ATTEMPTS = 50  # to commit beside others
WAIT_S = 0.5  # at the most, before another
KEPT_HOURS = 7 * 24  # of files that were replaced: readers may still be at them
OPTIONS = {"aws_conditional_put": "etag"}  # all else comes from the usual variables, AWS_ACCESS_KEY_ID say
Place = tuple[tuple[str, str], ...]  # a partition: columns with values


class Held(NamedTuple):
    """A file that holds a partition, and what Delta says of it."""

    path: str  # in the table
    rows: int
    size: int  # bytes
    values: dict[str, str | None]  # of Delta's columns
    modified: datetime  # UTC

    @property
    def digest(self) -> str:
        """The SHA-256 of what was written."""
        return self.path.partition("-")[0]


class DeltaLake(ParquetRows):
    """Partitions of stages of recipes, each a file of a Delta table."""

    def __init__(self, where: str, cache: Path) -> None:
        """`where`: s3://bucket/prefix, or gs, az, file; `cache`: a folder of this machine, for what it saw.
        UserError for another scheme, NotInstalled without deltalake."""
        self.looks = Looks(cache)
        self.where = where.rstrip("/")
        if self.where.partition("://")[0] not in SCHEMES or "://" not in self.where:
            known = ", ".join(f"{each}://" for each in SCHEMES)
            raise UserError(f"SYNTH_LAKE is {where}: write an address that begins with one of {known}")
        if find_spec("deltalake") is None:
            raise NotInstalled(f"SYNTH_LAKE is {where}, and deltalake is not there: {EXTRA}")
        self._objects = Objects(self.where)
        self._known = threading.local()  # tables that were opened: what is new of them is read alone

    @property
    def tables(self) -> DeltaLake:
        return self

    def __str__(self) -> str:
        return self.where

    def place(self, recipe: str, stage: str = "", partition: Partition | None = None) -> str:
        folders = [f"{column}={quote(value, safe='')}" for column, value in (partition or {}).items()]
        return "/".join([self.where, recipe, *filter(None, [stage]), *folders])

    def file(self, recipe: str, stage: str, partition: Partition) -> Path:
        """A copy on this machine, which goes with this process."""
        held = self._there(recipe, stage, partition)
        path = self._copies / held.path / FILE
        if not path.exists():
            with files.replacing(path) as file:
                file.write(self._content(recipe, stage, held) or b"")
        return path

    @cached_property
    def _copies(self) -> Path:
        return temporary()

    def note(self, name: str) -> str | None:
        found = self._objects.get(f".notes/{name}")
        return None if found is None else found.decode()

    def write_note(self, name: str, words: str) -> None:
        self._objects.put(f".notes/{name}", words.encode())

    def note_version(self, version: str, made_from: Callable[[], Mapping[str, Any]]) -> None:
        if self._objects.get(name := f"{VERSIONS}/{version}.json") is None:
            text = json.dumps(made_from(), ensure_ascii=False, indent=1, default=str)
            self._objects.put(name, text.encode())

    def version(self, version: str) -> dict[str, Any] | None:
        found = self._objects.get(f"{VERSIONS}/{version}.json")
        return None if found is None else json.loads(found)

    def uri(self, recipe: str, stage: str) -> str:
        """The Delta table of a stage."""
        return f"{self.where}/{recipe}/{stage}"

    def delta(self, recipe: str, stage: str) -> deltalake.DeltaTable | None:
        """The table as it is now; None where nothing was ever made."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        known = self._known.tables = getattr(self._known, "tables", {})
        try:
            if (table := known.get((recipe, stage))) is None:
                where = self.uri(recipe, stage)
                table = known[recipe, stage] = DeltaTable(where, storage_options=OPTIONS)
            else:
                table.update_incremental()
        except TableNotFoundError:
            known.pop((recipe, stage), None)
            return None
        return table

    def write(
        self, recipe: str, stage: str, partition: Partition, rows: pa.Table | Iterable[pa.Table]
    ) -> None:
        """Replace one partition in one commit. UserError where a column has another type than in the other
        partitions, which nobody could read with them."""
        import pyarrow as pa

        tables = iter([rows] if isinstance(rows, pa.Table) else rows)
        first = next(tables)
        spooled = self._copies / f"{uuid.uuid4().hex}.parquet"
        try:
            with spooled.open("wb") as file:
                written(file, chain([first], tables))
            new = self._upload(recipe, stage, partition, spooled)
        finally:
            spooled.unlink(missing_ok=True)
        self._commit(recipe, stage, partition, first.schema, new)

    def _upload(self, recipe: str, stage: str, partition: Partition, file: Path) -> Held:
        """Put a file where no commit names it yet."""
        import pyarrow.parquet as pq

        values: dict[str, str | None] = {f"{PART}{c}": quote(v, safe="") for c, v in partition.items()}
        with file.open("rb") as content:
            name = f"{file_digest(content, 'sha256').hexdigest()}-{uuid.uuid4().hex[:8]}.parquet"
        self._objects.upload(f"{recipe}/{stage}/{name}", file)
        return Held(name, pq.read_metadata(file).num_rows, file.stat().st_size, values, datetime.now(UTC))

    def _commit(self, recipe: str, stage: str, partition: Partition, schema: pa.Schema, new: Held) -> None:
        from deltalake import CommitProperties
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import AddAction

        said = CommitProperties(custom_metadata={"synth/partition": json.dumps(dict(partition))})
        stats = json.dumps({"numRecords": new.rows})
        added = AddAction(new.path, new.size, new.values, _now(), True, stats)
        done = False
        for attempt in range(ATTEMPTS):
            table = self._table(recipe, stage, schema, list(new.values))
            if not done:
                old = _files(table).get(tuple(partition.items()))
                actions = [added, *([_removed(old)] if old else [])]
            elif not (actions := self._doubled(recipe, stage, partition)):
                return
            try:
                table.create_write_transaction(
                    actions, "append", table.schema(), list(new.values), commit_properties=said
                )
                done = True
            except CommitFailedError:  # another partition, or another writer of this one, came before
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0, WAIT_S))

    def _doubled(self, recipe: str, stage: str, partition: Partition) -> list[Any]:
        """What removes all but the last file of a partition: two that were the first of it at the same time
        are no conflict to Delta."""
        table, place = self.delta(recipe, stage), tuple(partition.items())
        found = [held for at, held in _every(table) if at == place] if table is not None else []
        return [_removed(held) for held in found[:-1]]

    def _table(self, recipe: str, stage: str, schema: pa.Schema, cut: list[str]) -> deltalake.DeltaTable:
        """The table as it is now, made if need be, with all columns of this schema."""
        import pyarrow as pa
        from deltalake import DeltaTable, Schema

        wanted = Schema.from_arrow(
            pa.schema([*(pa.field(f.name, f.type) for f in schema), *((name, pa.string()) for name in cut)])
        )
        table = self.delta(recipe, stage)
        if table is None:
            where = self.uri(recipe, stage)
            return DeltaTable.create(where, wanted, "ignore", cut or None, storage_options=OPTIONS)
        there = {field.name: field for field in table.schema().fields}
        for field in wanted.fields:
            if field.name in there and there[field.name].type != field.type:
                now, was = (json.loads(each.to_json())["type"] for each in (field, there[field.name]))
                raise UserError(
                    f"{recipe}.{stage}: the column {field.name} is {now} now, and {was} in the rounds at "
                    f"{self.uri(recipe, stage)}: give it another name, or the recipe one."
                )
        new = [field for field in wanted.fields if field.name not in there]
        if new:
            table.alter.add_columns(new)
            return self._table(recipe, stage, schema, cut)
        return table

    def _held(self, recipe: str, stage: str) -> dict[Place, Held]:
        """Partition -> its file, sorted as paths are."""
        table = self.delta(recipe, stage)
        return {} if table is None else _files(table)

    def _there(self, recipe: str, stage: str, partition: Partition) -> Held:
        """The file of a partition. UserError where there is none."""
        held = self._held(recipe, stage).get(tuple(partition.items()))
        if held is None:
            raise missing(recipe, stage, partition, self.place(recipe, stage, partition))
        return held

    def _content(self, recipe: str, stage: str, held: Held) -> bytes | None:
        return self._objects.get(f"{recipe}/{stage}/{held.path}")

    @contextmanager
    def _opened(self, recipe: str, stage: str, partition: Partition) -> Iterator[pq.ParquetFile]:
        import pyarrow.parquet as pq

        held = self._there(recipe, stage, partition)
        try:
            with self._objects.opened(f"{recipe}/{stage}/{held.path}") as file:
                yield pq.ParquetFile(file, page_checksum_verification=True)
        except UNREADABLE as error:
            raise damaged(recipe, stage, partition, self.place(recipe, stage, partition), error) from error

    def scan_sql(self, recipe: str, stage: str, partitions: Sequence[Partition]) -> str:
        where = " or ".join(f"({_of(place)})" for place in partitions) or "false"
        return f"({self.select(recipe, stage)} where {where})"

    def select(self, recipe: str, stage: str) -> str:
        """All rows of a stage as DuckDB reads them, in a connection that is ready (see delta_sql)."""
        from synth_assets.resources.storage.quoted import literal

        ours = f"columns(c -> not starts_with(c, {literal(PART)}))"
        return f"select {ours} from delta_scan({literal(self.uri(recipe, stage))})"

    def is_as_written(self, recipe: str, stage: str, partition: Partition) -> bool:
        held = self._there(recipe, stage, partition)
        content = self._content(recipe, stage, held)
        return content is not None and sha256(content).hexdigest() == held.digest

    def recipes(self) -> list[str]:
        return [name for name in self._objects.folders() if not name.startswith(".")]

    def everything(self, recipe: str, stage: str | None = None) -> Iterator[tuple[str, Partition]]:
        for each in self._objects.folders(recipe) if stage is None else [stage]:
            for place in self._held(recipe, each):
                yield each, dict(place)

    def size(self, recipe: str, stage: str, partition: Partition) -> tuple[int, int]:
        held = self._there(recipe, stage, partition)
        return held.rows, held.size

    def modified(self, recipe: str, stage: str, partition: Partition) -> datetime:
        return self._there(recipe, stage, partition).modified

    def unfinished(self) -> Iterator[tuple[str, str, str, int]]:
        """Nothing: what no commit names, `tidy` removes."""
        return iter(())

    def remove(self, recipe: str, stage: str, partition: Partition) -> None:
        table = self.delta(recipe, stage)
        if table is not None:
            table.delete(_of(partition))

    def discard(self, place: str) -> None:
        """Nothing: see `unfinished`."""

    def tidy(self) -> None:
        """Remove the files that were replaced or removed a week ago, or earlier."""
        for recipe in self.recipes():
            for stage in self._objects.folders(recipe):
                if (table := self.delta(recipe, stage)) is not None:
                    table.vacuum(retention_hours=KEPT_HOURS, dry_run=False)

    def has(self, recipe: str, stage: str, partition: Partition) -> bool:
        return tuple(partition.items()) in self._held(recipe, stage)

    def partitions(
        self, recipe: str, stage: str, columns: Sequence[str], **only: str
    ) -> list[dict[str, str]]:
        found = (dict(place) for place in self._held(recipe, stage))
        return [place for place in found if [*place] == [*columns] and only.items() <= place.items()]


def _every(table: deltalake.DeltaTable) -> list[tuple[Place, Held]]:
    """Partitions with their files, the last one of a partition last."""
    import pyarrow as pa

    cut, found = table.metadata().partition_columns, list[tuple[Place, Held]]()
    adds = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    for each in sorted(adds, key=lambda file: (file["modification_time"], file["path"])):
        values = {name: str(each[f"partition.{name}"]) for name in cut}
        place = tuple((name.removeprefix(PART), unquote(value)) for name, value in values.items())
        at = datetime.fromtimestamp(each["modification_time"] / 1000, UTC)
        found.append((place, Held(each["path"], each["num_records"], each["size_bytes"], {**values}, at)))
    return found


def _files(table: deltalake.DeltaTable) -> dict[Place, Held]:
    """Partition -> its file."""
    found = dict(_every(table))
    return dict(sorted(found.items(), key=lambda item: [f"{c}={v}" for c, v in item[1].values.items()]))


def _removed(held: Held) -> Any:
    from deltalake.transaction import RemoveAction

    return RemoveAction(held.path, True, _now(), size=held.size, partition_values=held.values)


def _now() -> int:
    return int(time.time() * 1000)


def _of(partition: Partition) -> str:
    """The rows of a partition, in SQL: what is quoted has no quotation mark."""
    return " and ".join(f"{PART}{c} = '{quote(v, safe='')}'" for c, v in partition.items()) or "true"
