"""Run a query that nobody has read on a SQLite or DuckDB file: it may read the tables of that file only."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

from synth_assets.core.asking import Result
from synth_assets.core.errors import UserError
from synth_assets.core.identity import canonical

VALUE_BYTES = 10**6  # of one value in SQLite
RESULT_CHARACTERS = 32 * 10**6  # of all text and bytes of a result
DUCKDB_MEMORY = "512MB"
DUCKDB_OFF = ("enable_external_access", "autoinstall_known_extensions", "autoload_known_extensions")
SQLITE_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)

REASONS = {  # of errors; any other is an `error`
    **{"SQLITE_READONLY": "forbidden", "PermissionException": "forbidden"},
    **{"SQLITE_INTERRUPT": "timed_out", "InterruptException": "timed_out"},
    **{"SQLITE_NOMEM": "out_of_memory", "OutOfMemoryException": "out_of_memory"},
}
Take = Callable[[Any], Result]  # makes a cursor's rows a Result


def run_sql(
    sql: str, file: str | Path, timeout_s: float = 5, max_rows: int = 10_000, ordered: bool = True
) -> Result:
    """The rows of one SELECT on a data base file, as `result_key` writes them, or why there are none.

    A query that writes, attaches, reads other files or changes settings is `forbidden`; one that gives more
    than `max_rows` rows, or 32 million characters, is `too_large`, since half a result equals no other.
    Raises UserError when `file` is not there, cannot be opened, or is neither SQLite nor DuckDB.
    """
    path = Path(file)
    if not path.is_file():
        raise UserError(f"{path}: no such data base file. Correct its path.")
    take = partial(_taken, max_rows=max_rows, ordered=ordered)
    with path.open("rb") as opened:
        start = opened.read(16)
    if start == b"SQLite format 3\0":
        return _sqlite(sql, path, timeout_s, take)
    if start[8:12] == b"DUCK":
        return _duckdb(sql, path, timeout_s, take)
    raise UserError(f"{path}: neither a SQLite nor a DuckDB file. Known: SQLite 3, DuckDB.")


def result_key(rows: Sequence[Sequence[Any]], ordered: bool = False) -> str:
    """Equal results have equal keys: canonical JSON of the rows, sorted unless their order counts. 1, 1.0 and
    the decimal 1.00 are equal; so a sum does not differ by the type of its column."""
    lines = [canonical([_plain(v) for v in row]) for row in rows]
    return f"[{','.join(lines if ordered else sorted(lines))}]"


def _plain(value: Any) -> Any:
    """A data base's value as JSON knows it."""
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _sqlite(sql: str, path: Path, timeout_s: float, take: Take) -> Result:
    address = f"{path.resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=timeout_s)) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES)
        connection.text_factory = lambda b: b.decode("utf-8", "replace")
        denied: list[int] = []
        connection.set_authorizer(_only_reads(denied))
        end = time.monotonic() + timeout_s
        connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
        try:
            return take(connection.execute(sql))
        except (sqlite3.Error, sqlite3.Warning) as error:
            reason = REASONS.get(getattr(error, "sqlite_errorname", ""), "error")
            return Result("forbidden" if denied else reason, error=_line(error))
        except MemoryError:
            return Result("out_of_memory", error="more memory than there is")


def _only_reads(denied: list[int]) -> Callable[..., int]:
    """An authorizer that notes what it denies: SQLite itself does not always tell that as the cause."""

    def authorize(action: int, _first: str | None, second: str | None, *_: str | None) -> int:
        if action in SQLITE_READS and second not in ("load_extension", "fts3_tokenizer"):
            return sqlite3.SQLITE_OK
        denied.append(action)
        return sqlite3.SQLITE_DENY

    return authorize


def _duckdb(sql: str, path: Path, timeout_s: float, take: Take) -> Result:
    import duckdb

    settings: dict[str, Any] = dict.fromkeys(DUCKDB_OFF, False)
    settings |= {"memory_limit": DUCKDB_MEMORY, "threads": 1, "lock_configuration": True}
    try:
        opened = duckdb.connect(str(path), read_only=True, config=settings)
    except duckdb.Error as error:  # another process writes to it, or it is of another version
        raise UserError(f"{path}: cannot be opened to read: {_line(error)}") from None
    with opened as connection:
        clock = Timer(timeout_s, connection.interrupt)
        clock.daemon = True
        clock.start()
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1:
                return Result("error", error=f"{len(statements)} statements instead of one")
            if statements[0].type != duckdb.StatementType.SELECT:
                return Result("forbidden", error=f"{statements[0].type.name} instead of SELECT")
            return take(connection.execute(statements[0]))
        except duckdb.Error as error:
            return Result(REASONS.get(type(error).__name__, "error"), error=_line(error))
        finally:
            clock.cancel()


def _taken(cursor: Any, max_rows: int, ordered: bool) -> Result:
    if cursor.description is None:
        return Result("error", error="no query")
    rows, characters = [], 0
    while (row := cursor.fetchone()) is not None:
        rows.append(row)
        characters += sum(len(v) for v in row if isinstance(v, str | bytes))
        if len(rows) > max_rows or characters > RESULT_CHARACTERS:
            return Result("too_large", error=f"more than {max_rows} rows or {RESULT_CHARACTERS} characters")
    return Result("ok", result_key(rows, ordered))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
