"""What a stage is: one function from tables to a table, and what is known of it without running it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from synth_assets.contracts.model_spec import NamedModel
from synth_assets.recipe.recipe import Recipe

Table = Any  # a pandas DataFrame: named so that loading the definitions does not import pandas


class Check(NamedTuple):
    """A check: the question that it answers, the fields of the recipe that move the answer, and the command
    that shows what they do."""

    asks: str
    moved_by: tuple[str, ...]
    shown_by: str
    stops: bool = True  # what comes after, where it is red; else only a release waits for it

    def command(self, recipe: str) -> str:
        """The command, of a recipe."""
        return self.shown_by.format(recipe=recipe)

    def advice(self, recipe: str) -> str:
        """What to do where it is red."""
        return f"What moves it: {', '.join(self.moved_by)}. What that does: {self.command(recipe)}"


ANSWERED = {
    "answered": Check(
        "Did the budget allow every request, and did the endpoint answer it? "
        "(Those without an answer are asked again next time.)",
        ("budget", "model"),
        "synth sql --query failed_calls",
    ),
}


class Verdict(NamedTuple):
    """One thing that a check looks at."""

    fine: bool
    words: str
    blocks: bool = True
    numbers: Mapping[str, Any] = {}


class Chart(NamedTuple):
    """Numbers that are best looked at; whoever shows them draws them (see report/charts.py)."""

    kind: Literal["bars", "histogram", "panels", "intervals", "places", "front"]
    title: str
    values: Any


class Markdown(str):
    """A table or list for people."""


@dataclass(frozen=True)
class Made:
    """What a stage made: rows, numbers and charts about them, verdicts of its checks, tables besides."""

    rows: Table
    numbers: Mapping[str, Any] = field(default_factory=dict)
    verdicts: Mapping[str, Sequence[Verdict]] = field(default_factory=dict)  # check -> what it looks at
    beside: Mapping[str, Made] = field(default_factory=dict)  # stage -> what was made for it


@dataclass(frozen=True)
class Stage:
    """One stage of a recipe: assets, plan and `tune` run its functions, each with another `Run`.

    `compute(run, **tables)` is given the rows of the stages that it `reads`. `asks` is the part of it that
    asks a model or a tool: it is given those of the tables that it names, or None where one is not made yet,
    and returns the rows that would come of it, if they do.
    """

    name: str
    compute: Callable[..., Made]
    reads: Sequence[str] = ()
    given: str | None = None  # key of an asset that is no stage, whose value `compute` has as `given`
    after: Sequence[str] = ()  # stages that it looks at through its run, and so comes after
    sections: Sequence[str] = ()  # of the recipe: its version (see recipe/versions.py)
    checks: Mapping[str, Check] = field(default_factory=dict)
    also: Mapping[str, str] = field(default_factory=dict)  # stage that it makes besides -> what that is
    asks: Callable[..., Table | None] | None = None
    model: str | NamedModel | None = None  # whom it asks where nothing else is said
    pays: bool = False  # whether this recipe makes it ask anything
    batches: bool = False  # whether its requests may go by way of a Batch API
    foretold: bool = False  # cheap and without a model: a plan makes it, to see whether its rows change
    follows: bool = False  # looks at the rounds before, and so comes after those that are being made
    ahead: bool = False  # asks what stages after it ask, and is planned by the rows that come of it


def asset_name(recipe: Recipe, stage: str) -> str:
    """What the call log and Dagster call the stage."""
    return f"{recipe.name}/{stage}"


def unique_ids(rows: Table) -> Verdict:
    """Row ids are there and unique. (Columns and types hold by then: a table that breaks them is refused.)"""
    unique = bool(rows["row_id"].notna().all() and rows["row_id"].is_unique)
    words = "there and unique" if unique else "missing or repeated: two conditions made the same row"
    return Verdict(unique, f"Row ids are {words}.")


def short(value: Any) -> str:
    """A value as one short line that cannot break out of the cell of a table."""
    if isinstance(value, dict):
        return ", ".join(f"{short(k)} {short(v)}" for k, v in value.items())
    if isinstance(value, Collection) and not isinstance(value, str):  # a list, or an array from the lake
        return ", ".join(map(short, value))
    if value is None or value != value:
        return ""
    text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    text = " ".join(text.split()).replace("|", "&#124;").replace("<", "&lt;").replace("![", "! [")
    return text if len(text) <= 120 else text[:119] + "…"
