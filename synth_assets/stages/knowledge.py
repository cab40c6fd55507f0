"""How much of what conditions can take (lines, pieces, leaves, triples, rows) the rounds have used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from synth_assets.contracts.measure import Share
from synth_assets.contracts.provider import Provider
from synth_assets.stages.run import Run
from synth_assets.stages.stage import Table
from synth_assets.stages.values import around


def shares(run: Run, generations: Table, filtered: Table, seeds: Table) -> dict[str, Share]:
    """Condition -> its items, those that rows of all rounds so far were asked for with, and those of kept
    rows."""
    found, columns = _items(run, seeds), list(run.recipe.attributes)
    asked = [generations, run.before("conditions", columns)] if found else []
    kept = [filtered, run.before("filtered", columns)] if found else []
    return {
        name: Share(len(items), *(len(items & _taken(run, name, rows)) for rows in (asked, kept)))
        for name, items in found.items()
    }


def unused(run: Run) -> dict[str, int]:
    """Condition -> how many of its items no round before the run's took."""
    rows = [run.before("conditions", list(run.recipe.attributes))]
    return {
        name: len(items - _taken(run, name, rows)) for name, items in _items(run, run.read("seeds")).items()
    }


def _items(run: Run, seeds: Table) -> dict[str, frozenset[str]]:
    looks = around(run, seeds)
    found = {name: source.items(name, looks) for name, source in _sources(run).items()}
    return {name: frozenset(items) for name, items in found.items() if items}


def _taken(run: Run, name: str, tables: Iterable[Table]) -> set[str]:
    source = _sources(run)[name]
    values = (value for rows in tables for value in rows[name].dropna().unique())
    return {item for value in values for item in source.items_of(value)}


def _sources(run: Run) -> Mapping[str, Provider]:
    return {name: source for name, source in run.recipe.attributes.items() if isinstance(source, Provider)}
