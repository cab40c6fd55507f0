"""The call log's database: SQLite in a file, or Postgres (`postgres.py`) where several machines share it.

Statements are written once, in SQL that both take, with `?` for values.
"""

from __future__ import annotations

import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote

from synth_assets.core.errors import UserError
from synth_assets.resources.storage.files import private

Rows = list[tuple[Any, ...]]
Execute = Callable[..., Rows]  # statement, values -> rows
Item = TypeVar("Item")
CHUNK = 500  # identities or rows a statement; databases take a limited number of values
FULL = "free some space and run again, what is saved stays"
DAMAGED = "`synth verify --repair` saves what can be read of it, and has the rest from the lake"
WAIT_S = 30.0  # for other processes that write


@dataclass(eq=False)
class _Link:
    """What a process has of a database: one connection, for one thread at a time."""

    lock: Lock = field(default_factory=Lock)
    connection: Any = None


class Database(ABC):
    """Opened at the first use, safe for many threads and processes, also for the child of a fork. UserError,
    naming the database, for whatever it or the disk says."""

    what = "call log"  # for people
    begin: str  # the statement that starts a transaction, and waits for that of another process
    beside: str = ""  # that waits only for rows which both change; empty: there is none such
    returning: str = ""  # of an insert: which rows were new; empty: who waits for all others knows it
    clock: str = ""  # a query: seconds since 1970 as all who share it see them; empty: this machine's
    tables: str = ""  # beside those of all databases, as `tables.sql` has them
    names: str  # a query: what there is, tables and indexes, and each column as `table.column`
    shrinks: Sequence[str] = ()  # statements

    def __init__(self, name: str) -> None:
        self.name = name  # what errors call it; holds no secret
        self._links: dict[int, _Link] = {}  # by process id: a child leaves its parent's link alone

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """The rows that one statement gives, committed when this returns."""
        link = self._link()
        with link.lock:
            return self._run(self._connected(link), statement, values)

    @contextmanager
    def transaction(self, alone: bool = True) -> Iterator[Execute]:
        """Statements that take effect together, or not at all; other processes wait. Not `alone`, those wait
        that change the same rows, where the database can do so: each statement then sees what others have
        committed before it."""
        link = self._link()
        with link.lock:
            connection = self._connected(link)
            try:
                self._run(connection, self.begin if alone else self.beside or self.begin)
                yield partial(self._run, connection)
                self._run(connection, "COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise

    def now(self, execute: Execute) -> float:
        """Seconds since 1970, by the server's clock where there is one."""
        return float(execute(self.clock)[0][0]) if self.clock else time.time()

    def shrink(self) -> None:
        """Give what was removed back to the disk, where the database does not do so by itself."""
        for statement in self.shrinks:
            self.execute(statement)

    def close(self) -> None:
        """End this process's connection; the next use opens another."""
        link = self._link()
        with link.lock:
            if link.connection is not None:
                link.connection.close()
                link.connection = None

    def _link(self) -> _Link:
        process = os.getpid()
        return self._links.get(process) or self._links.setdefault(process, _Link())

    def _connected(self, link: _Link) -> Any:
        """The connection of a link that is locked."""
        if link.connection is not None and self._is_lost(link.connection):
            link.connection.close()
            link.connection = None
        if link.connection is None:
            link.connection = self._open()
        return link.connection

    def _named(self, error: Exception) -> UserError:
        """What the database or the disk says, with its name and what to do."""
        says = " ".join(str(error).split())
        code = "damaged" if self._is_damage(error) else "mistake"
        return UserError(f"{self.what} {self.name}: {says}; {self._fix(error)}.", code)

    def damage(self) -> str:
        """What is wrong with it as a whole, in words; empty: nothing, as far as this can be known."""
        return ""

    def _is_lost(self, connection: Any) -> bool:
        """Whether the other side has closed it."""
        return False

    def _is_damage(self, error: Exception) -> bool:
        """Whether what is stored is not as the database wrote it."""
        return False

    @abstractmethod
    def _open(self) -> Any: ...

    @abstractmethod
    def _run(self, connection: Any, statement: str, values: Sequence[Any] = ()) -> Rows: ...

    @abstractmethod
    def _roll_back(self, connection: Any) -> None: ...

    @abstractmethod
    def _fix(self, error: Exception) -> str: ...


class SQLite(Database):
    """One file; any SQLite client can read it while others write."""

    begin = "BEGIN IMMEDIATE"
    synchronous = "NORMAL"  # survives kill -9; a power cut may cost the last rows
    damaged = DAMAGED
    shrinks = ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)")
    names = (
        "SELECT name FROM sqlite_master UNION ALL SELECT t.name || '.' || c.name "
        "FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'"
    )

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    def _open(self) -> sqlite3.Connection:
        try:
            if self.is_only_to_read():
                return self._opened_to_read()
            private(self._path.parent)
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            connection.execute(f"PRAGMA busy_timeout = {WAIT_S * 1000:.0f}")
            _in_time(lambda: connection.execute("PRAGMA journal_mode = WAL"))
            connection.execute(f"PRAGMA synchronous = {self.synchronous}")
        except (sqlite3.Error, OSError) as error:
            raise self._named(error) from error
        return connection

    def is_only_to_read(self) -> bool:
        """Whether it is somebody else's. SQLite writes beside the file too."""
        places = (self._path, self._path.parent)
        return self._path.exists() and not all(os.access(place, os.W_OK) for place in places)

    def _opened_to_read(self) -> sqlite3.Connection:
        """With the last rows, which are in a file beside it as long as somebody writes, or was killed. SQLite
        wants to make that file, unless it is told that nobody writes."""
        beside = self._path.with_name(f"{self._path.name}-wal")
        options = "mode=ro" if beside.exists() else "immutable=1"
        name = f"file:{quote(str(self._path))}?{options}"
        return sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False)

    def _run(self, connection: sqlite3.Connection, statement: str, values: Sequence[Any] = ()) -> Rows:
        try:
            return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            if "Could not decode" not in str(error):  # of a changed bit: such a row does not hold
                raise self._named(error) from error
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.text_factory = str

    def damage(self) -> str:
        try:
            ((says,),) = self.execute("PRAGMA integrity_check(1)")
        except UserError as error:
            if error.code != "damaged":
                raise
            return str(error)
        return "" if says == "ok" else f"{self.what} {self.name}: {' '.join(says.split())}; {self.damaged}."

    def _is_damage(self, error: Exception) -> bool:
        return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")

    def _fix(self, error: Exception) -> str:
        if self._is_damage(error):
            return self.damaged
        full = "full" in str(error) or "No space left" in str(error)
        return FULL if full else "check the file and its folder"


def _in_time(change: Callable[[], Any]) -> None:
    """A change that does not wait for other processes by itself, whatever its connection is told."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            change()
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > until:
                raise
        time.sleep(0.01)


@lru_cache
def marks(n: int, width: int = 0) -> str:
    """`(?, ?)` for n values; for n rows of some width, `(?, ?), (?, ?)`."""
    if width:
        return ", ".join([marks(width)] * n)
    return f"({', '.join('?' * n)})"


def chunks(items: Iterable[Item], size: int = CHUNK) -> Iterator[list[Item]]:
    """Lists of so many items, the last one shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
