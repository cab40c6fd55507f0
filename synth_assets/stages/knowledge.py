"""How much of what conditions can take (lines, pieces, leaves, triples, rows) the rounds have used."""

from __future__ import annotations

from collections.abc import Iterable

from synth_assets.contracts.measure import Share
from synth_assets.contracts.provider import Provider
from synth_assets.stages.run import Run
from synth_assets.stages.stage import Table
from synth_assets.stages.values import around


def shares(run: Run, generations: Table, filtered: Table, seeds: Table) -> dict[str, Share]:
    """Condition -> its items, those that rows of all rounds so far were asked for with, and those of kept
    rows."""
    looks, attributes = around(run, seeds), run.recipe.attributes
    sources = {name: source for name, source in attributes.items() if isinstance(source, Provider)}
    items = {name: frozenset(source.items(name, looks) or ()) for name, source in sources.items()}
    asked = [generations, run.before("conditions", list(attributes))]
    kept = [filtered, run.before("filtered", list(attributes))]
    return {
        name: Share(len(there), *(len(there & _taken(sources[name], name, rows)) for rows in (asked, kept)))
        for name, there in items.items()
        if there
    }


def _taken(source: Provider, name: str, tables: Iterable[Table]) -> set[str]:
    values = (value for rows in tables for value in rows[name].dropna().unique())
    return {item for value in values for item in source.items_of(value)}
