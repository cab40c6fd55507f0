"""The warehouse's views follow the recipes: one that appears, changes or disappears is shown so."""

from __future__ import annotations

from collections.abc import Iterable

from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.home import recipes, warehouse
from synth_assets.resources.storage.warehouse import Warehouse
from synth_assets.stages import tables


def show(recipe: Recipe, target: Warehouse | None = None, others: Iterable[str] = ()) -> Warehouse:
    """The warehouse (by default that of this home), which shows this recipe and no longer those whose file is
    gone. `others`: names of recipes that have no file there."""
    target = target or warehouse()
    schemas = tables.schemas(recipe)
    # rows of cells that the recipe no longer has are on disk until `synth clean` removes them
    only = {stage: ("cell", [*recipe.cells, "all"]) for stage, s in schemas.items() if "cell" in s.names}
    if recipe.labels:
        only["weighted"] = ("label", recipe.labels)
    target.show(recipe.name, schemas, tables.stages(recipe), only)
    if recipes().is_dir():  # elsewhere than where the recipes are, nothing is known of them
        target.keep([recipe.name, *others, *(path.stem for path in recipes().glob("*.yaml"))])
    return target


def current() -> tuple[Warehouse, list[str]]:
    """The warehouse of this home with all recipes as they are now, and what is wrong with some of them.

    The views of a recipe whose file is wrong stay as they were.
    """
    target, wrong = warehouse(), []
    for path in sorted(recipes().glob("*.yaml")):
        try:
            show(load(path), target)
        except UserError as error:
            wrong.append(f"the views of {path.stem} are as they were: {error}")
    return target, [*wrong, *target.troubles().values()]
