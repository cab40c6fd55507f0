"""The data home and what is in it: `$SYNTH_HOME`, by default `.synth` in the working directory."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.call_log.postgres import is_url
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage import disk
from synth_assets.resources.storage.lake import Lake
from synth_assets.resources.storage.warehouse import Warehouse

if TYPE_CHECKING:
    from synth_assets.resources.gateway.language_model import LanguageModel


def home() -> Path:
    """The data home's folder."""
    return Path(os.environ.get("SYNTH_HOME") or ".synth").absolute()


def recipes() -> Path:
    """The folder of the recipes: `$SYNTH_RECIPES`, by default `recipes` in the working directory."""
    return Path(os.environ.get("SYNTH_RECIPES") or "recipes").absolute()


def reports(recipe: str) -> Path:
    """The folder of a recipe's pages and pictures."""
    return home() / "reports" / recipe


def lake() -> Lake:
    """The rows that were made."""
    return Lake(home() / "lake")


def on_disk() -> str:
    """What this home takes on disk, for people."""
    there = lake()
    parts = ("round", "cell")
    made = [{p["round"] for p in there.partitions(r, "conditions", parts)} for r in there.recipes()]
    return disk.on_disk(home(), sum(map(len, made)))


def warehouse() -> Warehouse:
    """The views on the lake, as they were last shown."""
    return Warehouse(home() / "warehouse.duckdb", lake().root)


def place_of_calls() -> Path | str:
    """The database of the call log: `$SYNTH_CALL_LOG` (a SQLite file, or a postgresql URL), by default a file
    in the home. UserError for a URL of another kind."""
    where = os.environ.get("SYNTH_CALL_LOG")
    if not where:
        return home() / "calls.sqlite"
    return where if is_url(where) else Path(where).expanduser().absolute()


def call_log() -> CallLog:
    """Every model call that was made."""
    return CallLog(place_of_calls())


def language_model() -> LanguageModel:
    """The gateway to all models, over this home's call log."""
    from synth_assets.resources.gateway.language_model import LanguageModel

    return LanguageModel(call_log(), home() / "server")


@cache
def encoder() -> MiniLM:
    """The encoder of this process, with the vectors that it remembers."""
    return MiniLM()
