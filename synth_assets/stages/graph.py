"""The stages of a recipe, each after those that it reads."""

from __future__ import annotations

from synth_assets.recipe.recipe import Recipe
from synth_assets.stages import (
    conditions,
    filtered,
    generations,
    grown,
    labelled,
    metrics,
    reviews,
    scores,
    seeds,
    tables,
    values,
    vectors,
    weighted,
)
from synth_assets.stages.stage import Stage


def graph(recipe: Recipe) -> list[Stage]:
    """All stages of a recipe that are made; `feedback` is made by `metrics`."""
    return [
        seeds.stage(recipe),
        *([values.stage(recipe)] if recipe.listed else []),
        *([grown.stage(recipe)] if recipe.growing else []),
        conditions.stage(recipe),
        *(generations.stage(recipe, name) for name in recipe.steps),
        *(each.stage(recipe) for each in (scores, filtered)),
        *([reviews.stage(recipe)] if recipe.review else []),
        *([vectors.stage(recipe)] if recipe.vectors else []),
        *(each.stage(recipe) for each in (labelled, weighted, metrics)),
    ]


def cut_by(recipe: Recipe, *columns: str) -> list[Stage]:
    """The stages whose partitions are cut by these columns, and no others: none, round, or round and cell."""
    return [stage for stage in graph(recipe) if tables.stages(recipe)[stage.name] == columns]


def ends(recipe: Recipe) -> set[str]:
    """The stages that no other rests on."""
    stages = graph(recipe)
    read = {name for stage in stages for name in (*stage.reads, *stage.after)}
    return {stage.name for stage in stages if not read & {stage.name, *stage.also}}
