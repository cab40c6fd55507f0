"""The warehouse's views follow the recipes: one that appears, changes or disappears is shown so."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.home import recipes, warehouse
from synth_assets.resources.storage.warehouse import Shown, Warehouse
from synth_assets.stages import tables


def show(recipe: Recipe, target: Warehouse | None = None, others: Iterable[str] = ()) -> Warehouse:
    """The warehouse (by default that of this home), which shows this recipe and no longer those whose file is
    gone. `others`: names of recipes that have no file there."""
    target = target or warehouse()
    target.show_all({recipe.name: _shown(recipe)}, _there(others))
    return target


def with_views(recipe: Recipe) -> Warehouse:
    """The warehouse of this home with the views of this recipe, for a process that asks them alone: other
    machines may have made the rows. Views of other recipes stay."""
    target = warehouse()
    with suppress(OSError):  # a full disk: they stay as they were
        target.show_all({recipe.name: _shown(recipe)})
    return target


def _shown(recipe: Recipe) -> Shown:
    schemas = tables.schemas(recipe)
    # rows of cells that the recipe no longer has are on disk until `synth clean` removes them
    only = {stage: ("cell", [*recipe.cells, "all"]) for stage, s in schemas.items() if "cell" in s.names}
    if recipe.labels:
        only["weighted"] = ("label", recipe.labels)
    return schemas, tables.stages(recipe), only


def _there(others: Iterable[str] = ()) -> list[str] | None:
    """The recipes that there are; elsewhere than where they are, nothing is known of them."""
    here = recipes()
    return [*others, *(path.stem for path in here.glob("*.yaml"))] if here.is_dir() else None


def current() -> tuple[Warehouse, list[str]]:
    """The warehouse of this home with all recipes as they are now, and what is wrong with some of them.

    The views of a recipe whose file is wrong stay as they were.
    """
    target, wrong, shown = warehouse(), [], {}
    for path in sorted(recipes().glob("*.yaml")):
        try:
            shown[path.stem] = _shown(load(path))
        except UserError as error:
            wrong.append(f"the views of {path.stem} are as they were: {error}")
    if shown:
        target.show_all(shown, _there())
    return target, [*wrong, *target.troubles().values()]
