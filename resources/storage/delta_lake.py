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
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from hashlib import file_digest, sha256
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from synth_assets.core.content import content_hash
from synth_assets.core.errors import NotInstalled, UserError
from synth_assets.resources.machine import temporary
from synth_assets.resources.storage import azure, files
from synth_assets.resources.storage.delta_files import (
    PART,
    Held,
    Place,
    added,
    files_of,
    is_new,
    removed,
    values_of,
)
from synth_assets.resources.storage.delta_sql import EXTRA
from synth_assets.resources.storage.lake import DATA_VERSION, FILE, VERSIONS, Partition
from synth_assets.resources.storage.looks import Looks
from synth_assets.resources.storage.objects import OPTIONS, Objects, unreached
from synth_assets.resources.storage.parquet import UNREADABLE, ParquetRows, damaged, missing, written
from synth_assets.resources.storage.quoted import identifier, literal

if TYPE_CHECKING:
    import deltalake
    import pyarrow as pa
    import pyarrow.parquet as pq

SCHEMES = ("s3", "gs", "az", "file")
ATTEMPTS = 50  # to commit beside others
WAIT_S = 0.5  # at the most, before another
KEPT_HOURS = 7 * 24  # of files that were replaced: readers may still be at them
ODD = "%#?*[]"  # in an address: libraries read each of them in another way


class DeltaLake(ParquetRows):
    """Partitions of stages of recipes, each a file of a Delta table."""

    def __init__(self, where: str, cache: Path) -> None:
        """`where`: s3://bucket/prefix, or gs, az, file; `cache`: a folder of this machine, for what it saw.
        UserError for another scheme, NotInstalled without deltalake."""
        self.looks = Looks(cache)
        self.where = where.rstrip("/")
        scheme, of, path = self.where.partition("://")
        if scheme not in SCHEMES or not of:
            known = ", ".join(f"{each}://" for each in SCHEMES)
            raise UserError(f"SYNTH_LAKE is {where}: write an address that begins with one of {known}")
        if odd := sorted({*path} & {*ODD} | {*path.removeprefix("/").split("/")} & {"", ".", ".."}):
            said = ", ".join(each or "empty parts" for each in odd)
            raise UserError(f"SYNTH_LAKE is {where}: name a bucket, or bucket and prefix, without {said}")
        if scheme == "az":
            azure.account(os.environ)
        if find_spec("deltalake") is None:
            raise NotInstalled(f"SYNTH_LAKE is {where}, and deltalake is not there: {EXTRA}")
        self._objects = Objects(self.where)
        self._known = _Known()

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

        known = self._known.tables
        try:
            if (table := known.get((recipe, stage))) is None:
                where = self.uri(recipe, stage)
                table = known[recipe, stage] = DeltaTable(where, storage_options=OPTIONS)
            else:
                table.update_incremental()
        except TableNotFoundError:
            known.pop((recipe, stage), None)
            return None
        except OSError as error:
            raise unreached(self.where, error) from None
        return table

    def write(
        self,
        recipe: str,
        stage: str,
        partition: Partition,
        rows: pa.Table | Iterable[pa.Table],
        run_id: str | None = None,
    ) -> None:
        """Replace one partition in one commit, which says the data version (of a table that comes as one) and
        the run. UserError where a column has another type than in the other partitions, which nobody could
        read with them."""
        import pyarrow as pa

        said = {"dagster/run_id": run_id} if run_id else {}
        if isinstance(rows, pa.Table):
            version = (rows.schema.metadata or {}).get(DATA_VERSION)
            said[DATA_VERSION.decode()] = version.decode() if version else content_hash(rows)
        tables = iter([rows] if isinstance(rows, pa.Table) else rows)
        first = next(tables)
        spooled = self._copies / f"{uuid.uuid4().hex}.parquet"
        try:
            with spooled.open("wb") as file:
                written(file, chain([first], tables))
            new = self._upload(recipe, stage, partition, spooled)
        finally:
            spooled.unlink(missing_ok=True)
        self._replace(recipe, stage, partition, new, first.schema, said)

    def _upload(self, recipe: str, stage: str, partition: Partition, file: Path) -> Held:
        """Put a file where no commit names it yet."""
        import pyarrow.parquet as pq

        with file.open("rb") as content:
            name = f"{file_digest(content, 'sha256').hexdigest()}-{uuid.uuid4().hex[:8]}.parquet"
        self._objects.upload(f"{recipe}/{stage}/{name}", file)
        rows, size = pq.read_metadata(file).num_rows, file.stat().st_size
        return Held(name, rows, size, values_of(partition), datetime.now(UTC))

    def _replace(
        self,
        recipe: str,
        stage: str,
        partition: Partition,
        new: Held | None = None,
        schema: pa.Schema | None = None,
        said: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """One commit after which this file, or none, holds the partition. It is the next after the version
        that was read, or it fails and all is read anew: what Delta takes for no conflict (two that write a
        partition first, say) would leave both."""
        from deltalake import CommitProperties
        from deltalake.exceptions import CommitFailedError

        custom = {"synth/partition": json.dumps(dict(partition)), **said}
        properties = CommitProperties(custom_metadata=custom, max_commit_retries=0)
        for attempt in range(ATTEMPTS):
            try:
                if new is None or schema is None:
                    table = self.delta(recipe, stage)
                else:
                    table = self._table(recipe, stage, schema, new)
                old = files_of(table).get(tuple(partition.items())) if table else None
                if not table or not (new or old) or (attempt and old and new and old.digest == new.digest):
                    return  # the rows are there: who asked heard no answer, or another had the same
                actions = [*([removed(old)] if old else []), *([added(new)] if new else [])]
                cut = [*values_of(partition)]
                table.create_write_transaction(
                    actions, "append", table.schema(), cut, commit_properties=properties
                )
                return
            except CommitFailedError:  # somebody came before
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0, WAIT_S))
            except OSError as error:
                raise unreached(self.where, error) from None

    def _table(self, recipe: str, stage: str, schema: pa.Schema, new: Held) -> deltalake.DeltaTable:
        """The table as it is now, made if need be, with all columns of this schema."""
        import pyarrow as pa
        from deltalake import DeltaTable, Schema

        cut = {name: pa.date32() if name == f"{PART}round" else pa.string() for name in new.values}
        wanted = Schema.from_arrow(pa.schema([*((f.name, f.type) for f in schema), *cut.items()]))
        table = self.delta(recipe, stage)
        if table is None:
            where = self.uri(recipe, stage)
            return DeltaTable.create(where, wanted, "ignore", [*cut] or None, storage_options=OPTIONS)
        try:
            if more := [field for field in wanted.fields if is_new(field, table.schema().fields)]:
                table.alter.add_columns(more)
                return self._table(recipe, stage, schema, new)
        except TypeError as error:
            at = f"in the rounds at {self.uri(recipe, stage)}"
            raise UserError(
                f"{recipe}.{stage}: {error} {at}: give it another name, or the recipe one."
            ) from None
        return table

    def _held(self, recipe: str, stage: str) -> dict[Place, Held]:
        """Partition -> its file, sorted as paths are."""
        table = self.delta(recipe, stage)
        if table is None:
            return {}
        version, found = self._known.held.get((recipe, stage), (None, {}))
        if version != table.version():
            found = files_of(table)
            self._known.held[recipe, stage] = table.version(), found
        return found

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
            if self._is_whole(recipe, stage, held):  # the store broke off, or does not answer
                raise OSError(f"{self.place(recipe, stage, partition)} was not read: {error}") from error
            raise damaged(recipe, stage, partition, self.place(recipe, stage, partition), error) from error

    def scan_sql(self, recipe: str, stage: str, partitions: Sequence[Partition]) -> str:
        held = [self._there(recipe, stage, place).path for place in partitions]
        paths = [literal(f"{self.uri(recipe, stage)}/{path}") for path in held]
        return f"read_parquet([{', '.join(paths)}], hive_partitioning = false)"

    def select(self, recipe: str, stage: str) -> str:
        """All rows of a stage as DuckDB reads them, in a connection that is ready (see delta_sql). Files that
        a query leaves out by round or cell are not read: what cuts the table stands for the rows' own."""
        table = self.delta(recipe, stage)
        cut = table.metadata().partition_columns if table is not None else []
        own = {name: name.removeprefix(PART) for name in cut}
        shown = [f"{identifier(name)} as {identifier(column)}" for name, column in own.items()]
        others = ", ".join(map(literal, [*own, *own.values(), ""]))
        shown.append(f"columns(c -> c not in ({others}))")
        return f"select {', '.join(shown)} from delta_scan({literal(self.uri(recipe, stage))})"

    def is_as_written(self, recipe: str, stage: str, partition: Partition) -> bool:
        return self._is_whole(recipe, stage, self._there(recipe, stage, partition))

    def _is_whole(self, recipe: str, stage: str, held: Held) -> bool:
        """OSError where the store does not answer."""
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
        """Nothing: see `tidy`."""
        return iter(())

    def remove(self, recipe: str, stage: str, partition: Partition) -> None:
        self._replace(recipe, stage, partition)

    def discard(self, place: str) -> None:
        """Nothing: see `tidy`."""

    def tidy(self, at_work: Collection[str] = ()) -> None:
        """Remove the files that were replaced or removed a week ago or earlier, and those that no commit ever
        named, which killed processes left."""
        for recipe in self.recipes():
            for stage in self._objects.folders(recipe):
                if (table := self.delta(recipe, stage)) is not None:
                    table.vacuum(retention_hours=KEPT_HOURS, dry_run=False, full=True)

    def has(self, recipe: str, stage: str, partition: Partition) -> bool:
        return tuple(partition.items()) in self._held(recipe, stage)

    def partitions(
        self, recipe: str, stage: str, columns: Sequence[str], **only: str
    ) -> list[dict[str, str]]:
        found = (dict(place) for place in self._held(recipe, stage))
        return [place for place in found if [*place] == [*columns] and only.items() <= place.items()]


class _Known(threading.local):
    """Tables that a thread opened: what is new of them is read alone; and the files that they had."""

    def __init__(self) -> None:
        self.tables = dict[tuple[str, str], Any]()
        self.held = dict[tuple[str, str], tuple[int, dict[Place, Held]]]()
