"""What makes rounds quick in the process of the tests; processes that tests start have none of it.

What a round repeats is done once, charts that differ in numbers alone are drawn once, reports are left out.
Dagster's SQLite files, which it opens anew for each statement, stay open, and no file waits for the disk:
tests kill processes, not the machine.
"""

from __future__ import annotations

import functools
import gc
import os
import re
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def quick_rounds() -> Iterator[None]:
    gc.freeze()  # the libraries stay: no need to look through them again and again
    gc.set_threshold(100_000, 50, 50)
    if not {"synth_assets.cli", "synth_assets.code_location"} & set(sys.modules):  # nothing here makes rounds
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch_dagster(patch)
        patch_ours(patch)
        yield


def patch_ours(patch: pytest.MonkeyPatch) -> None:
    from synth_assets.assets import rounds
    from synth_assets.recipe import schema
    from synth_assets.report import charts

    def but_for_numbers(*chart: Any) -> str:
        return re.sub(r"[-\d.e]*\d[-\d.e, ()]*", "0", repr(chart))

    patch.setattr(rounds, "BESIDE", ())
    patch.setattr(os, "fsync", lambda _: None)
    patch.setattr(charts, "markdown", made_once(charts.markdown, but_for_numbers))

    def methods() -> str:
        return repr([registry.known for registry, _ in schema.KINDS])

    patch.setattr(schema, "schema", made_once(schema.schema, methods))


def patch_dagster(patch: pytest.MonkeyPatch) -> None:
    from alembic.script import ScriptDirectory
    from dagster import DagsterEventType
    from dagster._core.instance.runs.run_domain import RunDomain
    from dagster._core.log_manager import DagsterLogManager
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    def folder(config: Any) -> str:
        return config.get_main_option("script_location")  # of the migrations, read for each new file

    patch.setattr(ScriptDirectory, "from_config", made_once(ScriptDirectory.from_config, folder))
    empty: dict[str, bytes] = {}

    def create_engine(url: str, **_: Any) -> Any:
        path = Path(url.removeprefix("sqlite:///"))
        if empty and not path.exists():
            made = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
            made.write_bytes(empty.get(path.name, empty["of_a_run.db"]))
            with suppress(FileExistsError):  # another process was quicker
                os.link(made, path)
            made.unlink()
        return engine(url)

    for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):  # one for each statement
        patch.setattr(module, "create_engine", create_engine)
    empty.update(empty_files())

    log = DagsterLogManager.log_dagster_event
    unread = {kind.value for kind in DagsterEventType if kind.name.startswith(UNREAD)}

    def log_what_is_read(
        self: Any, level: Any, msg: str, dagster_event: Any, *more: Any, **named: Any
    ) -> None:
        if dagster_event.event_type_value not in unread:
            log(self, level, msg, dagster_event, *more, **named)

    patch.setattr(DagsterLogManager, "log_dagster_event", log_what_is_read)
    patch.setattr(RunDomain, "_log_asset_planned_events", lambda *_: None)


def empty_files() -> dict[str, bytes]:
    """Dagster's files before anything happened: to make all their tables takes longer than what tests do
    with them."""
    from dagster import DagsterInstance

    with TemporaryDirectory() as folder, DagsterInstance.local_temp(folder) as instance:
        with instance.event_log_storage.run_connection("of_a_run"):
            pass
        instance.schedule_storage.all_instigator_state()
        found = {}
        for path in Path(folder).rglob("*.db"):
            with closing(sqlite3.connect(path)) as connection:
                found[path.name] = connection.serialize()
    return found


# events that the UI shows, and that neither Dagster nor the platform reads again
UNREAD = (
    "STEP_INPUT",
    "STEP_OUTPUT",
    "STEP_START",
    "STEP_SUCCESS",
    "LOADED_INPUT",
    "HANDLED_OUTPUT",
    "ENGINE_",
    "LOGS_",
    "RESOURCE_INIT_",
)


@functools.lru_cache(maxsize=64)
def engine(url: str) -> Any:
    import sqlalchemy

    made = sqlalchemy.create_engine(url, connect_args={"timeout": 30})
    sqlalchemy.event.listen(made, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
    path = Path(made.url.database)

    def same_file(_: Any, record: Any, __: Any) -> None:
        """A connection to a file that was removed or replaced is not used again."""
        now = path.stat().st_ino if path.exists() else None
        if record.info.setdefault("file", now) != now:
            raise sqlalchemy.exc.DisconnectionError

    sqlalchemy.event.listen(made, "checkout", same_file)
    made.dispose = lambda *_, **__: None  # others use it too
    return made


def made_once(make: Callable[..., Any], key: Callable[..., Any]) -> Callable[..., Any]:
    """The same thing for arguments of the same key."""
    made: dict[Any, Any] = {}

    def find(*given: Any, **named: Any) -> Any:
        if (of := key(*given, **named)) not in made:
            made[of] = make(*given, **named)
        return made[of]

    return find
