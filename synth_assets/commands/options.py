"""What several commands do with their options."""

from __future__ import annotations

import sys
from datetime import date
from typing import TYPE_CHECKING

from synth_assets.core.errors import UserError
from synth_assets.recipe import columns

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.resources.storage.lake import Lake
    from synth_assets.resources.storage.warehouse import Warehouse


def recipe_named(name: str) -> Recipe:
    from synth_assets.recipe.load import load
    from synth_assets.resources.home import recipes

    return load(recipes() / f"{name}.yaml")


def with_rows(recipe: Recipe, rows: int | None) -> Recipe:
    if rows is None:
        return recipe
    if rows < 1:
        raise UserError(f"--rows {rows}: ask for at least one row.")
    return recipe.model_copy(update={"rows": rows})


def current_warehouse() -> Warehouse:
    """The warehouse with all recipes as they are now; what is wrong with some of them is no obstacle."""
    from synth_assets.stages.views import current

    warehouse, wrong = current()
    for words in wrong:
        print(f"note: {words}", file=sys.stderr)
    return warehouse


def recipes_named(name: str | None) -> list[Recipe]:
    """This recipe, or all of them."""
    from synth_assets.resources.home import recipes

    return (
        [recipe_named(name)]
        if name
        else [recipe_named(path.stem) for path in sorted(recipes().glob("*.yaml"))]
    )


def as_day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UserError(f"{text!r} is no date: write it as {date.today().isoformat()}.") from None


def latest(recipe: Recipe, lake: Lake) -> str:
    """The last round that has scores."""
    found = lake.partitions(recipe.name, "scores", columns.STAGES["scores"])
    if not found:
        raise UserError(f"{recipe.name} has no scores yet: run `synth run {recipe.name}` first.")
    return max(place["round"] for place in found)
