"""Dagster's records in a data home: which file of them is damaged, and what is lost with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from shlex import quote

import dagster as dg
from dagster_shared.serdes import deserialize_value

from synth_assets.assets.failures import RoundFailed
from synth_assets.core.errors import UserError, reasons
from synth_assets.resources.storage import files

DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
FILES = {  # pattern in the home -> what goes with it
    "history/runs.db": "the list of runs",
    "history/runs/index.db": "what was made when: `synth verify` has it from the lake",
    "schedules/schedules.db": "which schedules are on: switch them on again in the UI",
    "history/runs/.db": "the log of what no run has said",
    "history/runs/*.db": "the log of one run",
}
DRIVER = (
    "dagster-postgres needs the driver psycopg2, and SQLAlchemy takes postgresql:// for another one: begin "
    "`postgres_url` with postgresql+psycopg2://, or write `scheme: postgresql+psycopg2` in `postgres_db`"
)
# column -> what Dagster reads it with
READ: Mapping[str, Callable[[str], object]] = {
    "runs.status": dg.DagsterRunStatus,
    **dict.fromkeys(("runs.run_body", "event_logs.event"), deserialize_value),
    **dict.fromkeys(("asset_check_executions.evaluation_event", "job_ticks.tick_body"), deserialize_value),
    **dict.fromkeys(("jobs.job_body", "instigators.instigator_body"), deserialize_value),
}


@contextmanager
def readable(folder: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a home. UserError names the file of it that cannot be read, and what to do."""
    try:
        with files.locked(folder / "dagster.lock"):  # two that make the tables at once trip over each other
            instance = dg.DagsterInstance.get()
    except Exception as error:
        raise _damage(folder, error) or wrong_settings(folder, error) or error from error.__cause__
    with instance:
        check_driver(folder, instance.run_storage)
        try:
            yield instance
        except Exception as error:
            if found := _damage(folder, error):
                raise found from error
            raise


def check_driver(folder: Path, storage: object) -> None:
    """UserError where Dagster's storage is in Postgres, and SQLAlchemy would reach it by another driver than
    dagster-postgres is written for: runs fail in the middle."""
    from sqlalchemy.engine import make_url

    url = getattr(storage, "postgres_url", None)
    if url and make_url(url).get_dialect().driver != "psycopg2":
        raise UserError(f"{folder / 'dagster.yaml'}: {DRIVER}.", "wrong_value", DRIVER)


def check(folder: Path) -> None:
    """UserError where a database is damaged that commands read or write. Logs of runs are only shown."""
    for file in FILES:
        if "*" not in file and (folder / file).exists() and not _is_whole(folder / file):
            raise _said(folder, folder / file, FILES[file])


def _damage(folder: Path, error: BaseException) -> UserError | None:
    """Which file is damaged, where that is the reason of an error: its database says so, or nobody has
    foreseen it, and there is something in a file that cannot be read."""
    names = [e.sqlite_errorname for e in reasons(error) if hasattr(e, "sqlite_errorname")]
    if any(name.startswith(DAMAGED) for name in names):
        is_whole = _is_whole
    elif names or isinstance(error, UserError | RoundFailed | OSError):
        return None
    else:
        is_whole = _is_read
    for file, lost in ((file, lost) for pattern, lost in FILES.items() for file in folder.glob(pattern)):
        if not is_whole(file):
            return _said(folder, file, lost)
    return None


def _said(folder: Path, file: Path, lost: str) -> UserError:
    aside = quote(str(folder / "damaged"))
    words = (
        f"{file} is damaged. It is Dagster's, and holds no rows and no calls: stop `synth ui` if it runs, "
        "move the file away with those beside it "
        f"(`mkdir -p {aside} && mv {quote(str(file))}* {aside}`), and run again. With it goes {lost}."
    )
    return UserError(words, "damaged")


def wrong_settings(folder: Path, error: BaseException) -> UserError | None:
    """What is wrong with the settings, where neither the system nor a database refused anything."""
    if any(isinstance(e, ModuleNotFoundError) and e.name == "psycopg" for e in reasons(error)):
        return UserError(f"{folder / 'dagster.yaml'}: {DRIVER}.", "wrong_value", DRIVER)
    databases = ("sqlite3", "sqlalchemy", "alembic")
    if any(isinstance(e, OSError) or type(e).__module__.startswith(databases) for e in reasons(error)):
        return None
    says = " ".join(str(error).split())[:200] or type(error).__name__
    fix = "correct it, or delete it: the next command writes it anew"
    return UserError(f"{folder / 'dagster.yaml'} cannot be used ({says}): {fix}.", "damaged")


def _is_whole(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.DatabaseError as error:
        return not getattr(error, "sqlite_errorname", "").startswith(DAMAGED)


def _is_read(file: Path) -> bool:
    """Whether each value of it is one that Dagster can have written: a flipped bit is a matter of no page."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            columns = (
                "SELECT t.name, c.name, c.type FROM sqlite_master AS t, pragma_table_info(t.name) AS c "
                "WHERE t.type = 'table'"
            )
            for table, column, kind in connection.execute(columns).fetchall():
                is_time = kind in ("DATETIME", "TIMESTAMP")
                if read := datetime.fromisoformat if is_time else READ.get(f"{table}.{column}"):
                    values = f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL'
                    for (value,) in connection.execute(values):
                        read(value)
    except Exception:  # whatever
        return False
    return True
