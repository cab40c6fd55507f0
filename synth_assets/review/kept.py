"""Decisions that the lake has and the store has not: a store that was lost comes back as far as that goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synth_assets.annotation.votes import read
from synth_assets.contracts.decision import Decision
from synth_assets.core.errors import UserError

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.resources.decisions import Decisions
    from synth_assets.resources.storage.lake import Lake


def lost(recipe: Recipe, lake: Lake, store: Decisions) -> list[Decision]:
    """As they held when the stage `reviews` was made last; what they had corrected is not among them."""
    if recipe.review is None:
        return []
    known = {each.decision_id for each in store.all(recipe.name)}
    found = []
    for place in lake.partitions(recipe.name, "reviews", ("round",)):
        try:
            rows = lake.table(recipe.name, "reviews", place).to_pylist()
        except UserError:  # which is said by itself
            continue
        found += [_decision(recipe.name, row) for row in rows if row["decision_id"] not in known]
    return found


def _decision(recipe: str, row: dict[str, Any]) -> Decision:
    return Decision(recipe=recipe, **{**row, "value": read(row["kind"], row["value"])})
