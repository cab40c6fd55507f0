"""The data home and what is in it: `$SYNTH_HOME`, by default `.synth` in the working directory.

Who only reads makes none, and needs no right to write: what it has to write for itself goes to `aside()`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.log import CallLog, Why
from synth_assets.resources.call_log.mending import CALLS, PLACE, mend
from synth_assets.resources.call_log.postgres import is_url
from synth_assets.resources.decisions import Decisions
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.machine import temporary
from synth_assets.resources.storage import disk, files
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.resources.storage.lake import Lake
from synth_assets.resources.storage.parted_lake import PartedLake
from synth_assets.resources.storage.warehouse import Warehouse

if TYPE_CHECKING:
    from synth_assets.resources.gateway.language_model import LanguageModel
    from synth_assets.resources.storage.shared_folders import SharedFolders

WRITTEN = (  # in place, not put in it whole
    *("lake", "lake/*", "looks", "calls.sqlite", "reviews.sqlite", "history", "schedules"),
)


def home() -> Path:
    """The data home's folder, whether or not it is there."""
    return _folder("SYNTH_HOME", ".synth")


def as_address(folder: Path) -> Path:
    """The folder by a path that can be a part of an address, as in `sqlite:///path`: a link to it, as long as
    this process lives, where its own path would be read as one with escapes or a query."""
    path = str(folder)
    return _linked(folder) if "?" in path or unquote(path) != path else folder


@cache
def _linked(folder: Path) -> Path:
    link = temporary() / "home"
    link.symlink_to(folder, target_is_directory=True)
    return link


def recipes() -> Path:
    """The folder of the recipes: `$SYNTH_RECIPES`, by default `recipes` in the working directory."""
    return _folder("SYNTH_RECIPES", "recipes")


def _folder(variable: str, default: str) -> Path:
    said = os.environ.get(variable) or default
    try:
        return Path(said).expanduser().absolute()
    except RuntimeError:  # nobody knows where this user's home is
        raise UserError(f"{variable} is {said}, and this user has no home: write the whole path.") from None


def needed() -> Path:
    """The data home, for who has nothing to read where there is none: UserError says so. Where the rows are
    in a store there is something, and it is made."""
    if not home().is_dir() and os.environ.get("SYNTH_LAKE"):
        return made()
    if not home().is_dir():
        raise UserError(
            f"no data home at {home()}: set SYNTH_HOME, or go where `recipes/` is. The first `synth run` "
            "makes one."
        )
    return home()


def made() -> Path:
    """The data home, made if need be, for who writes into it. UserError where this user cannot."""
    folder = home()
    try:
        files.private(folder)
        why = "" if is_writable() else _why_not(folder)
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        raise UserError(
            f"the data home {folder} cannot be written ({why}): get the right to, or set SYNTH_HOME to a "
            "folder of your own. Commands that only read work as it is."
        )
    return folder


def is_writable() -> bool:
    """Whether it is there and this user may write into it, and what is in it."""
    return home().is_dir() and next(_refused(home()), None) is None


def _refused(folder: Path) -> Iterator[Path]:
    """What of it this user may not write."""
    inside = (path for name in WRITTEN for path in folder.glob(name))
    return (path for path in (folder, *inside) if not os.access(path, os.W_OK))


def _why_not(folder: Path) -> str:
    """Why it cannot be written."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return "its file system is read-only"
    path = next(_refused(folder), folder)
    try:
        return f"{path} belongs to {path.owner()}"
    except KeyError:
        return f"{path} belongs to user {path.stat().st_uid}"


def aside() -> Path:
    """Where a command that only reads writes what it needs for itself: the home, or a folder of this process
    where the home is not there or cannot be written."""
    return home() if is_writable() else _aside(home())


@cache
def _aside(folder: Path) -> Path:
    """With the views and Dagster's records of that home, as they are now."""
    kept = temporary()
    for name in ("warehouse.duckdb", "warehouse.json", "looks", "dagster.yaml", "history", "schedules"):
        if (folder / name).is_dir():
            shutil.copytree(folder / name, kept / name, copy_function=shutil.copyfile)
        elif (folder / name).exists():
            shutil.copyfile(folder / name, kept / name)
    return kept


def reports(recipe: str) -> Path:
    """The folder of a recipe's pages and pictures: in the home, or among temporary files where that cannot be
    written."""
    if is_writable():
        return home() / "reports" / recipe
    return Path(tempfile.gettempdir(), f"synth-reports-{os.getuid()}", recipe)


def shared(
    folder: Path,
    only: str | None = None,
    is_edited: Callable[[bytes], bool] = lambda content: False,
    changed: bool = False,
) -> Path:
    """A folder of files that people edit or read, with what other machines of the same lake have changed; of
    all its files or of `only` one. `changed`: by this process just now, for them to see. UserError where the
    store does not answer, or a file `is_edited` here and there."""
    if where := os.environ.get("SYNTH_LAKE"):
        _folders(where, home()).make_same(folder, only, is_edited, changed)
    return folder


@cache
def _folders(where: str, at: Path) -> SharedFolders:
    from synth_assets.resources.storage.objects import Objects
    from synth_assets.resources.storage.shared_folders import SharedFolders

    return SharedFolders(Objects(where), (at if is_writable() else temporary()) / "shared")


def lake() -> Lake:
    """The rows that were made: in the home, or at `$SYNTH_LAKE`, as s3://bucket/prefix. UserError where other
    machines could have these rows and no calls."""
    if not (where := os.environ.get("SYNTH_LAKE")):
        return PartedLake(FolderLake(home() / "lake"))
    if not is_url(place_of_calls()):
        log = "SYNTH_CALL_LOG=postgresql://USER:PASSWORD@HOST/DATABASE"
        raise UserError(f"SYNTH_LAKE is {where}: machines that share rows share the call log: set {log}")
    return _in_a_store(where, home() / "lake")


@cache
def _in_a_store(where: str, seen: Path) -> Lake:
    """One for all of this process: it knows the tables that it opened."""
    from synth_assets.resources.storage.delta_lake import DeltaLake

    return PartedLake(DeltaLake(where, seen))


def on_disk() -> str:
    """What this home takes on disk, for people."""
    there = lake()
    parts = ("round", "cell")
    made = [{p["round"] for p in there.partitions(r, "conditions", parts)} for r in there.recipes()]
    return disk.on_disk(home(), sum(map(len, made)))


def warehouse(reads: bool = True) -> Warehouse:
    """The views on the lake, as they were last shown. Not `reads`: where they are written, be it there or
    not."""
    at = aside() if reads else home()
    return Warehouse(at / "warehouse.duckdb", home() / "lake", empty=at / "lake", tables=lake().tables)


def place_of_calls() -> Path | str:
    """The database of the call log: `$SYNTH_CALL_LOG` (a SQLite file, or a postgresql URL), by default a file
    in the home. UserError for a URL of another kind."""
    where = os.environ.get("SYNTH_CALL_LOG")
    if not where:
        return home() / "calls.sqlite"
    return where if is_url(where) else Path(where).expanduser().absolute()


def call_log(mends: bool = True) -> CallLog:
    """Every model call that was made. With `mends` what it has lost comes back from the lake, where this user
    may write."""
    where = place_of_calls()
    if where == home() / "calls.sqlite" and not where.exists():
        where = aside() / "calls.sqlite"
    return mended(where, lake()) if mends and is_writable() else CallLog(where)


def mended(where: Path | str, rows: Lake) -> CallLog:
    """A call log that has what it lost from these rows, and what this home paid before its rows were in a
    store."""

    def mend_all(log: CallLog, why: Why) -> None:
        for each in (rows, *_of_before()):
            mend(log, each, why)

    return CallLog(where, mend_all)


def _of_before() -> Iterator[Lake]:
    """The rows of this home, where they are no longer those that are gone by, if there are any with calls."""
    before = PartedLake(FolderLake(home() / "lake"))
    if os.environ.get("SYNTH_LAKE") and any(before.partitions(r, CALLS, PLACE) for r in before.recipes()):
        yield before


def decisions() -> Decisions:
    """What people decided about rows."""
    path = home() / "reviews.sqlite"
    if not (where := os.environ.get("SYNTH_LAKE")):
        return Decisions(path)
    from synth_assets.resources.shared_decisions import SharedDecisions
    from synth_assets.resources.storage.objects import Objects

    return SharedDecisions(path, Objects(where))


def language_model() -> LanguageModel:
    """The gateway to all models, over this home's call log. UserError where that cannot be written."""
    from synth_assets.resources.gateway.language_model import LanguageModel

    return LanguageModel(mended(place_of_calls(), lake()), made() / "server")


@cache
def encoder() -> MiniLM:
    """The encoder of this process, with the vectors that it remembers."""
    return MiniLM(store=vectors)


def vectors() -> Path | None:
    """The folder of the vectors of texts; none where there is no home, as who only reads makes none."""
    return home() / "vectors" if home().is_dir() else None
