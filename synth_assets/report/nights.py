"""What a night brought: its rows, what they cost, and what changed in the metrics since the one before."""

from __future__ import annotations

from typing import Any

from synth_assets.recipe.recipe import Recipe
from synth_assets.report.metrics import COMPARED, Metrics, difference, in_short
from synth_assets.report.one_round import ask, by_name
from synth_assets.report.pages import general
from synth_assets.resources.storage.warehouse import Warehouse

NOTHING = {"made": "nothing was made", "kept": None, "cost": None, "changed": ""}
MOST = 4  # metrics that are named
PARTS = ("seeds + weighted", "filtered")  # sets of which a morning is told
COUNTS = "select asked, accepted, kept, cost from {recipe}.rounds where round = $round"
BEFORE = """select distinct round::varchar as round from {recipe}.metrics
where round <= $round order by 1 desc limit 2"""
METRICS = "select * from {recipe}.metrics where round = $round"


def brought(recipe: Recipe, warehouse: Warehouse, round_: str) -> dict[str, Any]:
    """`made` and `changed` in words, rows that were kept, and dollars; None is what is not known."""
    warehouse = warehouse.held()
    there = next(iter(ask(warehouse, recipe.name, COUNTS, round=round_)), None)
    if there is None:
        return NOTHING
    days = [row["round"] for row in ask(warehouse, recipe.name, BEFORE, round=round_)]
    words = ""
    if len(days) == 2 and days[0] == round_:
        now, before = (by_name(ask(warehouse, recipe.name, METRICS, round=day)) for day in days)
        words = changed(before, now)
    return {"made": _made(there), "kept": there["kept"], "cost": there["cost"], "changed": words}


def _made(there: dict[str, Any]) -> str:
    for name, words in (("kept", "kept"), ("accepted", "generated")):
        if there[name] is not None:
            return f"{there[name]:,} of {there['asked'] or 0:,} rows {words}"
    return f"{there['asked'] or 0:,} rows asked for, none is made"


def changed(before: Metrics, now: Metrics) -> str:
    """The metrics that a terminal shows, with what they are more or less than before: those first whose
    interval leaves zero out."""
    found = []
    for key, value in now.items():
        if key in before and key[1] in PARTS and in_short(*key, value[0]):
            more, low, high = difference(before[key], value, key[0])
            if more:
                sure = low is not None and high is not None and (low > 0 or high < 0)
                of = "" if key[0] not in COMPARED else f" ({key[1]})"
                found.append((not sure, f"{key[0]}{of} {general(value[0])} ({general(more, '+')})"))
    return ", ".join(words for _, words in sorted(found, key=lambda item: item[0])[:MOST])
