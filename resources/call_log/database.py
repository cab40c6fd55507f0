"""The database of the call log: SQLite in a file, or Postgres where several machines share it.

Statements are written once, in SQL that both take, with `?` for values; `_in_postgres` has what differs.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from threading import Lock
from typing import Any, TypeVar

from synth_assets.core.errors import UserError

Execute = Callable[..., list[tuple[Any, ...]]]  # statement, values -> rows
Item = TypeVar("Item")
CHUNK = 500  # identities or rows a statement; databases take a limited number of values
FULL = "free some space and run again, what is saved stays"


@dataclass(eq=False)
class _Link:
    """What a process has of a database: one connection, for one thread at a time."""

    lock: Lock = field(default_factory=Lock)
    connection: Any = None


class Database(ABC):
    """Opened at the first use, safe for many threads and processes, also for the child of a fork.

    Raises UserError, naming the database, for whatever it or the disk says.
    """

    begin: str  # the statement that starts a transaction, and waits for that of another process
    names: str  # a query: what there is, tables and indexes, and each column as `table.column`

    def __init__(self, name: str) -> None:
        self.name = name  # what errors call it; holds no secret
        self._links: dict[int, _Link] = {}  # by process id: a child leaves its parent's link alone

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that one statement gives, committed when this returns."""
        link = self._link()
        with link.lock:
            return self._run(self._connected(link), statement, values)

    @contextmanager
    def transaction(self) -> Iterator[Execute]:
        """Statements that take effect together, or not at all; other processes wait."""
        link = self._link()
        with link.lock:
            connection = self._connected(link)
            try:
                self._run(connection, self.begin)
                yield partial(self._run, connection)
                self._run(connection, "COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise

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
        return UserError(f"call log {self.name}: {says}; {self._fix(error)}.")

    def _is_lost(self, connection: Any) -> bool:
        """Whether the other side has closed it."""
        return False

    @abstractmethod
    def _open(self) -> Any: ...

    @abstractmethod
    def _run(self, connection: Any, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    @abstractmethod
    def _roll_back(self, connection: Any) -> None: ...

    @abstractmethod
    def _fix(self, error: Exception) -> str: ...


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
