"""The Dagster layer: one thin module a stage, and the factory that puts a recipe's graph together."""

from collections.abc import Sequence

import dagster as dg

from synth_assets.assets import (
    collect,
    conditions,
    feedback,
    filtered,
    generations,
    labelled,
    metrics,
    nightly,
    plan,
    report,
    scores,
    seeds,
    values,
    weighted,
)
from synth_assets.recipe import Recipe

STAGES = (seeds, conditions, scores, filtered, labelled, weighted, metrics, feedback, plan, report)


def recipe_definitions(recipe: Recipe) -> dg.Definitions:
    """The asset graph of one recipe, its job, its nightly schedule and its sensors."""
    job = nightly.cells_job(recipe)
    schedules: Sequence[dg.ScheduleDefinition] = [nightly.schedule(recipe, job)] if recipe.schedule else []
    sensors: list[dg.SensorDefinition] = [nightly.follow(recipe)]
    if recipe.mode == "batch":
        sensors.append(collect.sensor(recipe, job))
    return dg.Definitions(
        assets=[
            *(stage.build(recipe) for stage in STAGES),
            *([values.build(recipe)] if recipe.listed else []),
            *(generations.build(recipe, stage) for stage in recipe.step_stages),
        ],
        jobs=[job],
        schedules=schedules,
        sensors=sensors,
    )
