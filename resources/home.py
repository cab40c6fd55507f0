"""Where everything lives: `$SYNTH_HOME`, by default `.synth` in the working directory."""

from __future__ import annotations

import os
from pathlib import Path

from synth_assets.resources.call_log.where import is_url
from synth_assets.resources.storage.warehouse import Warehouse


def home() -> Path:
    return Path(os.environ.get("SYNTH_HOME") or ".synth").absolute()


def call_log() -> Path | str:
    """The database of the call log: `$SYNTH_CALL_LOG`, by default a file in the home.

    A path is a SQLite file, a postgresql URL a server. UserError for a URL of another kind.
    """
    where = os.environ.get("SYNTH_CALL_LOG")
    if not where:
        return home() / "calls.sqlite"
    return where if is_url(where) else Path(where).expanduser().absolute()


def recipes() -> Path:
    """The folder of the recipes: `$SYNTH_RECIPES`, by default `recipes` in the working directory."""
    return Path(os.environ.get("SYNTH_RECIPES") or "recipes").absolute()


def warehouse() -> Warehouse:
    return Warehouse(home() / "warehouse.duckdb", home() / "lake")
