"""Tools of a step that need a process or a file: their names, and what they make of texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from synth_assets.core.asking import Result
from synth_assets.resources.sandbox.python import run_many
from synth_assets.resources.sandbox.sql import run_queries, run_sql


def run(tool: str, settings: Mapping[str, Any], inputs: Sequence[str]) -> Iterable[Result]:
    """One Result an input, in their order; whatever an input does, those after it are worked on."""
    if tool == "python":
        return run_many(inputs, **settings)
    return run_queries(inputs, **settings)


def check(tool: str, settings: Mapping[str, Any]) -> None:
    """UserError when the tool cannot work at all: its file is not there, or of another format."""
    if tool == "sql":
        run_sql("SELECT 1", settings["file"])
