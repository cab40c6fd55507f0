"""What can be read of a damaged SQLite file, put into a new one in its place."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.database import CHUNK, chunks, marks
from synth_assets.resources.call_log.log import CallLog, insert
from synth_assets.resources.call_log.rows import COLUMNS, holds, identity_in

NEEDED = ("identity", "messages", "parameters", "model", "endpoint", "outcome", "attempts", "time")
SMALLEST = 50  # bytes that a row takes, at the least
BESIDE = {  # tables that are not calls, but for what other processes are doing right now
    "budget": ("scope", "amount"),
    "batches": (
        *("key", "provider_id", "status", "process", "model", "endpoint", "caps"),
        *("run_id", "asset", "partition_key", "time"),
    ),
    "batched": ("batch", "identity", "request", "reserved", "spent"),
}


def salvage(path: Path) -> str:
    """Put the file aside under another name, and into a new one the calls of it that hold, the budget and the
    batches; returns what was done, in words. UserError where the disk does not take it: then the damaged file
    is where it was."""
    aside = next(name for n in count(1) if not (name := path.with_name(f"{path.name}.damaged-{n}")).exists())
    _move(path, aside)
    log = CallLog(path)
    try:
        with closing(sqlite3.connect(aside)) as old:
            old.text_factory = partial(str, encoding="utf-8", errors="replace")
            old.execute("PRAGMA writable_schema = ON")  # a file that was cut is read as far as it goes
            kept, lost = _copy(old, log, aside.stat().st_size)
    except UserError:
        log.close()
        _move(aside, path)
        raise
    return f"{aside} is what was damaged; {kept:,} calls of it are in a new {path}{_not_kept(lost)}"


def _move(path: Path, to: Path) -> None:
    """With the latest calls, which are in a file beside it until nobody has it open any more."""
    for end in ("-shm", "-wal"):
        to.with_name(to.name + end).unlink(missing_ok=True)
    path.rename(to)
    with suppress(FileNotFoundError):
        path.with_name(f"{path.name}-wal").rename(to.with_name(f"{to.name}-wal"))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)


def _not_kept(lost: Sequence[str]) -> str:
    return (
        f"; {', '.join(lost)} could not be read: what was spent, the lake knows" if "budget" in lost else ""
    )


def _copy(old: sqlite3.Connection, log: CallLog, size: int) -> tuple[int, list[str]]:
    """How many calls there were, and which other tables could not be read to their end."""
    kept, lost = 0, []
    there = set[str]()
    with suppress(sqlite3.Error):
        there = {name for _, name, *_ in old.execute("PRAGMA table_info(calls)")}
    if there:
        names = [name if name in there else "NULL" for name in COLUMNS]
        query = f"SELECT {', '.join(names)} FROM calls"
        for rows in chunks(filter(_is_whole, _calls(old, query, _last(old, size)))):
            with log.transaction() as execute:
                insert(execute, [tuple(map(row.get, COLUMNS)) for row in rows])
            kept += len(rows)
    for table, columns in BESIDE.items():
        try:
            found = old.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
        except sqlite3.Error:
            lost.append(table)
            continue
        with log.transaction() as execute:
            for row in found:
                execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {marks(len(row))}", row)
    return kept, lost


def _last(old: sqlite3.Connection, size: int) -> int:
    """A number that no row is behind."""
    for query in ("SELECT seq FROM sqlite_sequence WHERE name = 'calls'", "SELECT max(id) FROM calls"):
        with suppress(sqlite3.Error, TypeError, ValueError):
            if 0 < (last := int(old.execute(query).fetchone()[0])) <= size // SMALLEST:
                return last
    return size // SMALLEST


def _calls(old: sqlite3.Connection, query: str, last: int) -> Iterator[dict[str, Any]]:
    """Every row that can be read, in their order. Where some at once cannot, one by one."""
    for start in range(0, last + 1, CHUNK):
        try:
            among = f"{query} WHERE id > ? AND id <= ? ORDER BY id"
            found = old.execute(among, (start, start + CHUNK)).fetchall()
        except sqlite3.Error:
            found = []
            for number in range(start + 1, start + CHUNK + 1):
                with suppress(sqlite3.Error):
                    found += old.execute(f"{query} WHERE id = ?", (number,)).fetchall()
        yield from (dict(zip(COLUMNS, row, strict=True)) for row in found)


def _is_whole(row: dict[str, Any]) -> bool:
    """Whether it is a call with the answer that was stored; without a digest, only the question tells."""
    there = all(row[name] is not None for name in NEEDED)
    return there and holds(row) and (not row["messages"] or row["identity"] == identity_in(row))
