"""The inside of a query's process: this file is run by path, opens one data base, gives up its rights, and
answers queries line by line, each with its rows or with the reason why there are none.

Standard library and duckdb. Arguments: kind and path of the data base, folder of the installed packages,
seconds a query, MiB of memory, rows at the most. See synth_assets.resources.sandbox.sql.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from threading import Timer
from typing import Any

VALUE_BYTES = 10**6  # of one value in SQLite
RESULT_CHARACTERS = 32 * 10**6  # of a whole result
SQLITE_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
DUCKDB_OFF = (
    *("enable_external_access", "autoinstall_known_extensions", "autoload_known_extensions"),
    "python_enable_replacements",
)
REASONS = {  # of errors; any other is an `error`
    **{"SQLITE_READONLY": "forbidden", "PermissionException": "forbidden"},
    **{"SQLITE_INTERRUPT": "timed_out", "InterruptException": "timed_out"},
    **{"SQLITE_NOMEM": "out_of_memory", "OutOfMemoryException": "out_of_memory"},
}
Told = dict[str, Any]  # reason, and rows or error


def plain(value: Any) -> Any:
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
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def taken(cursor: Any, max_rows: int) -> Told:
    """The rows of a query."""
    if cursor.description is None:
        return told("error", "no query")
    rows, characters = list[Any](), 0
    while (row := cursor.fetchone()) is not None:
        rows.append(plain(row))
        characters += sum(_characters(value) for value in rows[-1])
        if len(rows) > max_rows or characters > RESULT_CHARACTERS:
            return told("too_large", f"more than {max_rows} rows or {RESULT_CHARACTERS} characters")
    return {"reason": "ok", "rows": rows}


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return len(json.dumps(value)) if isinstance(value, list | dict) else 0


def told(reason: str, error: object) -> Told:
    """Why there are no rows, in one line."""
    return {"reason": reason, "error": " ".join(str(error).split())[:500]}


class SQLite:
    """A SQLite file. Its authorizer lets through what reads, and nothing else."""

    def __init__(self, path: str, timeout_s: float) -> None:
        address = f"{Path(path).resolve().as_uri()}?mode=ro"
        self.connection, self.timeout_s = sqlite3.connect(address, uri=True, timeout=timeout_s), timeout_s
        self.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES)
        self.connection.text_factory = lambda b: b.decode("utf-8", "replace")
        self.connection.execute("select count(*) from sqlite_master").fetchall()  # opens all of its files
        self.denied: list[int] = []  # SQLite itself does not always tell that as the cause
        self.connection.set_authorizer(self._authorize)

    def _authorize(self, action: int, _first: str | None, second: str | None, *_: str | None) -> int:
        if action in SQLITE_READS and second not in ("load_extension", "fts3_tokenizer"):
            return sqlite3.SQLITE_OK
        self.denied.append(action)
        return sqlite3.SQLITE_DENY

    def ask(self, sql: str, max_rows: int) -> Told:
        self.denied.clear()
        end = time.monotonic() + self.timeout_s
        self.connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
        try:
            return taken(self.connection.execute(sql), max_rows)
        except (sqlite3.Error, sqlite3.Warning) as error:
            reason = REASONS.get(getattr(error, "sqlite_errorname", ""), "error")
            return told("forbidden" if self.denied else reason, error)


class DuckDB:
    """A DuckDB file, of which settings are locked and files of the world cannot be reached."""

    def __init__(self, path: str, timeout_s: float, memory_mib: int) -> None:
        import duckdb

        self.duckdb, self.timeout_s = duckdb, timeout_s
        settings: dict[str, Any] = dict.fromkeys(DUCKDB_OFF, False)
        settings |= {"memory_limit": f"{memory_mib}MiB", "temp_directory": "", "threads": 1}
        self.connection = duckdb.connect(
            path, read_only=True, config={**settings, "lock_configuration": True}
        )

    def ask(self, sql: str, max_rows: int) -> Told:
        clock = Timer(self.timeout_s, self.connection.interrupt)
        clock.daemon = True
        clock.start()
        try:
            statements = self.connection.extract_statements(sql)
            if len(statements) != 1:
                return told("error", f"{len(statements)} statements instead of one")
            if statements[0].type != self.duckdb.StatementType.SELECT:
                return told("forbidden", f"{statements[0].type.name} instead of SELECT")
            return taken(self.connection.execute(statements[0]), max_rows)
        except self.duckdb.Error as error:
            return told(REASONS.get(type(error).__name__, "error"), error)
        finally:
            clock.cancel()


def give_up_rights(packages: str, memory_mib: int) -> None:
    """From now on: no more memory than this, no file opened but those of libraries, none written, no process
    started, no socket opened, as far as this system keeps it."""
    sys.path.insert(0, str(Path(__file__).parent))
    import confined

    with_all_that_is_loaded = 0
    if Path("/proc/self/statm").exists():
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        with_all_that_is_loaded = pages * resource.getpagesize() // 2**20
    confined.limit(None, with_all_that_is_loaded + memory_mib)
    if sys.platform != "linux":
        return
    library = os.path.dirname(os.path.realpath(os.__file__))  # noqa: PTH120
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    if confined.drop_privileges(libc):
        readable = [library, packages, *(os.path.realpath(p) for p in confined.SYSTEM_LIBRARIES)]
        confined.landlock(libc, "", readable)
        confined.seccomp(libc)


def answers(ask: Callable[[str, int], Told], timeout_s: float, max_rows: int) -> Iterator[Told]:
    """Of each query on standard input."""
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, timeout_s + 1)  # of processor time; then the kernel ends this
        try:
            yield ask(json.loads(line), max_rows)
        except MemoryError:
            yield told("out_of_memory", "more memory than the limit")


def say(line: Told) -> None:
    print(json.dumps(line), flush=True)


def main() -> None:
    """Open the data base, say that it is open, and answer."""
    kind, path, packages = sys.argv[1:4]
    timeout_s, memory_mib, max_rows = float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6])
    sys.path.append(packages)
    try:
        base = SQLite(path, timeout_s) if kind == "sqlite" else DuckDB(path, timeout_s, memory_mib)
    except Exception as error:  # duckdb's are not known where it is not imported
        say(told("error", error))
        return
    give_up_rights(packages, memory_mib)
    say({"reason": "ok"})
    for answer in answers(base.ask, timeout_s, max_rows):
        say(answer)


if __name__ == "__main__":
    main()
