"""Where the call log is: a path is a SQLite file, a URL a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.postgres import Postgres
from synth_assets.resources.call_log.sqlite import SQLite

if TYPE_CHECKING:
    from synth_assets.resources.call_log.database import Database

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2")


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
