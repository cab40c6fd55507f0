"""What `remember` and `metrics.knowledge` need around them in the recipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from synth_assets.contracts.provider import Pool, Provider
from synth_assets.contracts.section import wrong

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

NOTHING_COUNTED = "no condition has a source whose items can be counted, as `{file: PATH}` has"
LATER = ("words", "snippets", "some_of", "number", "day")


def remembering(recipe: Recipe) -> Iterator[ValueError]:
    """Something is taken in turn, or can be counted."""
    if recipe.metrics.knowledge and not counts(recipe):
        yield wrong(f"{NOTHING_COUNTED}: leave it out", "metrics", "knowledge")
    if not recipe.remember:
        return
    if recipe.task.annotate:
        yield wrong("each text that is annotated is one of one round anyway: leave it out", "remember")
    elif recipe.design == "latin":
        why = "latin draws the rows of a round by themselves: write `design: balanced`, or coverage"
        yield wrong(why, "remember")
    elif not any(_in_turn(recipe, name) for name in recipe.attributes):
        listed = any(n != recipe.cell and not isinstance(v, Provider) for n, v in recipe.attributes.items())
        fix = "write `design: balanced`, or coverage, for listed values" if listed else "leave it out"
        yield wrong(f"nothing is taken in turn: {fix}", "remember")


def turns(recipe: Recipe) -> str:
    """How the recipe remembers, for its version: values that depend on others, and those of some draws, came
    to it later than the rest."""
    sources = [values for values in recipe.attributes.values() if isinstance(values, Provider)]
    later = any(v.name in LATER or (isinstance(v, Pool) and v.depends) for v in sources)
    return "turns/2" if later else "turns/1"


def counts(recipe: Recipe) -> bool:
    """Whether any condition has a source whose items can be counted."""
    return any(map(_counted, recipe.attributes.values()))


def _counted(values: object) -> bool:
    if not isinstance(values, Provider) or (isinstance(values, Pool) and values.depends):
        return False
    return type(values).items is not Provider.items


def _in_turn(recipe: Recipe, name: str) -> bool:
    values = recipe.attributes[name]
    if isinstance(values, Provider):
        return values.remembers or isinstance(values, Pool)
    return recipe.design != "product" and name != recipe.cell
