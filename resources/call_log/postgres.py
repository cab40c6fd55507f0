"""The call log's database on a server that several machines share: Postgres."""

from __future__ import annotations

import re
import select
import time
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.database import FULL, Database, SQLite

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2")
HOST = r"(\[[0-9a-fA-F:.%]+\]|[^@/?#:,\[\]]*)(:\d*)?"
URL = re.compile(  # strict, so that no part of a mistyped password is taken for a host and shown
    rf"[a-z0-9+]+://([^@/?#]*@)?(?P<place>{HOST}(,{HOST})*(/[^@/?#]*)?)(\?[^@#]*)?"
)
WELL_FORMED = (
    "it is no URL like postgresql://user:password@host:5432/database; correct SYNTH_CALL_LOG (in a user or "
    "password, write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25)"
)
CONNECTION = {  # unless the URL says otherwise
    "connect_timeout": "15",
    "keepalives_idle": "60",
    "tcp_user_timeout": "60000",  # milliseconds until a machine that is gone is given up
    "client_encoding": "utf8",
}
LOCK = int.from_bytes(b"calllog", "big")  # of this database's transactions, as a server knows locks: a number
RESTART = 60.0  # seconds that a server which was there may be away, before paid answers are given up
# the server itself ends the transaction of a machine that was cut off, before others give up waiting for it
SETTINGS = "SET idle_in_transaction_session_timeout = '30s'; SET lock_timeout = '60s'"


def is_url(where: Path | str) -> bool:
    """Whether this is a database's URL, and no path. UserError when its scheme is not known."""
    scheme, found, _ = str(where).partition("://")
    if found and scheme not in SCHEMES:
        raise UserError(
            f"call log: unknown scheme {scheme!r} in SYNTH_CALL_LOG. Known: {', '.join(SCHEMES)}, "
            "as in postgresql://user:password@host:5432/database; or give the path of a SQLite file."
        )
    return bool(found)


def open_database(where: Path | str) -> Database:
    """The database at a path (SQLite) or a URL (Postgres). Nothing is touched before its first use."""
    return Postgres(str(where)) if is_url(where) else SQLite(Path(where))


class Postgres(Database):
    """A server that several machines share, through psycopg. Tables stand in the user's default schema."""

    # one writer at a time, as in SQLite, while anybody reads; the lock ends with the transaction
    beside = "BEGIN ISOLATION LEVEL READ COMMITTED"
    begin = f"{beside}; SELECT pg_advisory_xact_lock({LOCK})"
    returning = " RETURNING identity"
    tables = """

CREATE TABLE IF NOT EXISTS shares (  -- see synth_assets.resources.gateway.share
    scope TEXT NOT NULL,
    process TEXT NOT NULL,
    calls INTEGER NOT NULL,       -- set aside for it
    waits INTEGER NOT NULL,       -- 1: it would have more
    until REAL NOT NULL,          -- seconds since 1970
    PRIMARY KEY (scope, process)
)"""
    clock = "SELECT extract(epoch FROM clock_timestamp())::double precision"
    names = (
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace UNION ALL "
        "SELECT relname || '.' || attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
        "WHERE relnamespace = current_schema()::regnamespace"
    )

    def __init__(self, url: str) -> None:
        parts = URL.fullmatch(url)
        if parts is None:
            raise UserError(f"call log: {WELL_FORMED}.")
        super().__init__(f"postgresql://{parts['place']}")
        self._url = "postgresql" + url[url.index("://") :]
        self._was_there = False

    def _open(self) -> Any:
        try:
            import psycopg
            from psycopg.conninfo import conninfo_to_dict
        except ImportError as error:
            fix = 'pip install "synth-assets[postgres]"'
            raise UserError(f"call log {self.name}: Postgres needs psycopg: {fix}.") from error
        try:
            given: dict[str, Any] = {**CONNECTION, **conninfo_to_dict(self._url)}
        except psycopg.Error:
            raise UserError(f"call log {self.name}: {WELL_FORMED}.") from None  # it may quote the password
        until = time.monotonic() + (RESTART if self._was_there else 0.0)
        while True:
            try:
                connection = psycopg.connect(**given, autocommit=True, cursor_factory=psycopg.RawCursor)
                connection.execute(SETTINGS)
                self._was_there = True
                return connection
            except psycopg.Error as error:
                if time.monotonic() > until:
                    raise self._named(error) from error
            time.sleep(0.2)

    def _is_lost(self, connection: Any) -> bool:
        """Whether the server has closed it: it says nothing else unasked."""
        if connection.closed:
            return True
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _run(self, connection: Any, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        import psycopg

        try:
            sent = [_without_nul(value) for value in values] or None
            # what has no values may be several statements, which cannot be prepared
            cursor = connection.execute(_in_postgres(statement), sent, prepare=None if sent else False)
            rows = [] if cursor.description is None else cursor.fetchall()
        except psycopg.Error as error:
            raise self._named(error) from error
        return [tuple(map(_with_nul, row)) for row in rows]

    def _roll_back(self, connection: Any) -> None:
        import psycopg

        try:
            connection.rollback()
        except psycopg.Error:  # it is lost, and the transaction with it
            connection.close()

    def _fix(self, error: Exception) -> str:
        state = getattr(error, "sqlstate", None)
        if state is None or state.startswith(("08", "28", "3D", "57P")):  # no connection, or none any more
            return "check that the server runs, and host, user, password and database in SYNTH_CALL_LOG"
        return FULL if state == "53100" else "check the database, and what its user may do"


@lru_cache(maxsize=1000)
def _in_postgres(statement: str) -> str:
    """`?` as `$1`, `$2`, ...; and SQLite's types, which Postgres calls otherwise."""
    number = count(1)
    statement = re.sub(
        r"'[^']*'|\"[^\"]*\"|--[^\n]*|\?",  # text, names and comments stay as they are
        lambda found: f"${next(number)}" if found[0] == "?" else found[0],
        statement,
    )
    if statement.lstrip().startswith(("CREATE", "ALTER")):
        key = "INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        for ours, theirs in (key, ("INTEGER", "BIGINT"), ("REAL", "DOUBLE PRECISION")):
            statement = statement.replace(ours, theirs)
    return statement


# Text in Postgres cannot hold NUL, and an answer can. SUBSTITUTE 0 stands for it there, and SUBSTITUTE 1 for
# that character itself; every other text is stored as it is.
SUBSTITUTE = "\x1a"


def _without_nul(value: Any) -> Any:
    if isinstance(value, str) and ("\0" in value or SUBSTITUTE in value):
        return value.replace(SUBSTITUTE, SUBSTITUTE + "1").replace("\0", SUBSTITUTE + "0")
    return value


def _with_nul(value: Any) -> Any:
    if isinstance(value, str) and SUBSTITUTE in value:
        return value.replace(SUBSTITUTE + "0", "\0").replace(SUBSTITUTE + "1", SUBSTITUTE)
    return value
