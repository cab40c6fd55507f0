"""Tools of a step that need a process or a file: their names, and what they make of texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from synth_assets.core.asking import Result
from synth_assets.resources.sandbox.python import run_many
from synth_assets.resources.sandbox.sql import result_key, run_sql


def run(tool: str, settings: Mapping[str, Any], inputs: Sequence[str]) -> Iterator[Result]:
    """One Result an input, in their order; whatever an input does, those after it are worked on."""
    return TOOLS[tool](inputs, **settings)


def check(tool: str, settings: Mapping[str, Any]) -> None:
    """UserError when the tool cannot work at all: its file is not there, or of another format."""
    if tool == "sql":
        run_sql("SELECT 1", settings["file"])


def _python(inputs: Sequence[str], timeout_s: float, memory_mib: int) -> Iterator[Result]:
    """What each program prints."""
    for ran in run_many(inputs, timeout_s=timeout_s, memory_mib=memory_mib):
        yield Result(ran.reason, ran.stdout, ran.error)


def _sql(inputs: Sequence[str], file: str, timeout_s: float, ordered: bool) -> Iterator[Result]:
    """The rows of each query as canonical JSON; equal texts are equal results."""
    for query in inputs:
        found = run_sql(query, file, timeout_s)
        rows = found.rows
        if rows is not None and not ordered:
            rows = result_key(json.loads(rows))
        yield Result(found.reason, rows, found.error)


TOOLS: Mapping[str, Callable[..., Iterator[Result]]] = {"python": _python, "sql": _sql}
