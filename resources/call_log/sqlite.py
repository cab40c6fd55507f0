"""The call log's database in a file: SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synth_assets.resources.call_log.database import FULL, Database


class SQLite(Database):
    """One file; any SQLite client can read it while others write."""

    begin = "BEGIN IMMEDIATE"
    names = (
        "SELECT name FROM sqlite_master UNION ALL SELECT t.name || '.' || c.name "
        "FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'"
    )

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path, timeout=30, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA busy_timeout = 30000")
            connection.execute("PRAGMA journal_mode = WAL")
            # survives kill -9; a power cut may cost the last rows
            connection.execute("PRAGMA synchronous = NORMAL")
        except (sqlite3.Error, OSError) as error:
            raise self._named(error) from error
        return connection

    def _run(
        self, connection: sqlite3.Connection, statement: str, values: Sequence[Any] = ()
    ) -> list[tuple[Any, ...]]:
        try:
            return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")

    def _fix(self, error: Exception) -> str:
        full = "full" in str(error) or "No space left" in str(error)
        return FULL if full else "check the file and its folder"
