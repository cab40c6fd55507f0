"""Tools of a step that need a process or a file: their names, and what they make of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from synth_assets.core.asking import Result
from synth_assets.resources.sandbox.python import run_many
from synth_assets.resources.sandbox.sql import run_sql


def run(tool: str, settings: Mapping[str, Any], inputs: Sequence[str]) -> Iterable[Result]:
    """One Result an input, in their order; whatever an input does, those after it are worked on."""
    return TOOLS[tool](inputs, **settings)


def check(tool: str, settings: Mapping[str, Any]) -> None:
    """UserError when the tool cannot work at all: its file is not there, or of another format."""
    if tool == "sql":
        run_sql("SELECT 1", settings["file"])


def _sql(inputs: Sequence[str], file: str, timeout_s: float, ordered: bool) -> Iterator[Result]:
    """The rows of each query as canonical JSON; equal texts are equal results."""
    return (run_sql(query, file, timeout_s, ordered=ordered) for query in inputs)


TOOLS: Mapping[str, Callable[..., Iterable[Result]]] = {"python": run_many, "sql": _sql}
