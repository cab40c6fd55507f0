"""How much of what conditions can take (lines, pieces, leaves, triples, rows) the rounds have used."""

from __future__ import annotations

from collections import Counter
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
    return {name: _share(sources[name], name, there, asked, kept) for name, there in items.items() if there}


def _share(
    source: Provider, name: str, there: frozenset[str], asked: Iterable[Table], kept: Iterable[Table]
) -> Share:
    used, times = _rows_with(source, name, asked), _rows_with(source, name, kept)
    counts = {item: times[item] for item in sorted(there)}
    return Share(len(there), len(there & used.keys()), len(there & times.keys()), counts)


def _rows_with(source: Provider, name: str, tables: Iterable[Table]) -> Counter[str]:
    """Item -> rows that have it."""
    found = Counter[str]()
    for rows in tables:
        for value, count in rows[name].value_counts().items():
            found.update(dict.fromkeys(source.items_of(value), int(count)))
    return found
