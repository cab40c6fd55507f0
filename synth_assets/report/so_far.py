"""What there is of a recipe's rounds, and whether they have ended."""

from __future__ import annotations

from synth_assets.core.errors import UserError
from synth_assets.evaluation.ended import Metrics, SoFar, ended
from synth_assets.evaluation.verdict import measure
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.rounds import from_files
from synth_assets.report.one_round import ask
from synth_assets.resources.storage.lake import Lake
from synth_assets.resources.storage.quoted import identifier
from synth_assets.resources.storage.warehouse import Warehouse

FREE = "('rate_limited', 'provider_error', 'timed_out')"  # outcomes that cost nothing where nobody says so
METRICS = """select round::varchar as round, name, slice, value, low, high from {recipe}.metrics
where name in ($measure, $measure || '_change') order by round"""
SPENT = f"""select coalesce(sum(cost), 0) as spent,
count(*) filter (where cost is null and outcome not in {FREE}) as unpriced
from (select distinct on (call_id) cost, outcome from {{recipe}}.calls)"""
KEPT = "select count(*) as kept from {recipe}.filtered"
TAKEN = """select {column} as value, min(round) < $last as before, max(round) = $last as now
from {recipe}.conditions where {column} is not null and round <= $last group by 1"""


def rounds_of(recipe: Recipe, lake: Lake) -> list[str]:
    """Of which there is anything, the earliest first."""
    return sorted({place["round"] for place in lake.partitions(recipe.name, "conditions", ("round", "cell"))})


def why_ended(recipe: Recipe, lake: Lake, warehouse: Warehouse) -> str | None:
    """That the rounds have ended, and why, in a sentence; None where the next one may begin. Where it cannot
    be known, that one may not."""
    if recipe.rounds is None or not (rounds := rounds_of(recipe, lake)):
        return None
    try:
        why = ended(recipe, so_far(recipe, rounds, warehouse.held()))
    except UserError as error:
        return f"It cannot be read whether the rounds have ended: {error}"
    return why and f"The rounds have ended: {why}."


def so_far(recipe: Recipe, rounds: list[str], warehouse: Warehouse) -> SoFar:
    """What these rounds of the recipe have come to; only what its `until` asks is looked up."""
    assert recipe.rounds is not None
    until, name = recipe.rounds.until, recipe.name
    metrics: dict[str, list[dict[str, object]]] = {}
    if until.accuracy is not None or until.no_gain is not None:
        for row in ask(warehouse, name, METRICS, measure=measure(recipe)):
            metrics.setdefault(row["round"], []).append(row)
    kept = spent = unpriced = 0
    if until.accepted is not None:
        (kept,) = ask(warehouse, name, KEPT)[0].values()
    if until.budget is not None:
        spent, unpriced = ask(warehouse, name, SPENT)[0].values()
    new = dict[str, int]()
    if until.no_new_documents and len(rounds) > 1:
        for column, source in from_files(recipe).items():
            taken = ask(warehouse, name, TAKEN.replace("{column}", identifier(column)), last=rounds[-1])
            of_last, of_others = (
                {item for row in taken if row[when] for item in source.items_of(str(row["value"]))}
                for when in ("now", "before")
            )
            new[column] = len(of_last - of_others)
    of: dict[str, Metrics] = dict(metrics)
    return SoFar(rounds, of, kept, spent, unpriced, new)
