"""All recipes as one code location: their graphs, and the resources that they share."""

from collections.abc import Collection, Mapping, Sequence

import dagster as dg

from synth_assets.assets import collect, factory, nightly, plan, report, rounds
from synth_assets.assets.alerts import alert_on_failure
from synth_assets.assets.dagster_internals import named
from synth_assets.assets.io import LakeIOManager
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import home
from synth_assets.stages.graph import graph


def stage_assets(recipe: Recipe, scheduled: Collection[str] = ()) -> factory.Assets:
    """The assets of a recipe's stages, and what a round tells the next. `scheduled`: names of the schedules
    that are switched on; only where rounds come by themselves, one can be late."""
    late = nightly.freshness(recipe) if nightly.name(recipe) in scheduled else None
    stages = [factory.build(recipe, s, late if s.name == "metrics" else None) for s in graph(recipe)]
    return [*stages, factory.feedback_spec(recipe)]


def recipe_definitions(recipe: Recipe, scheduled: Collection[str] = ()) -> dg.Definitions:
    """The asset graph of one recipe, its jobs, its nightly schedule and its sensors."""
    assets, job = stage_assets(recipe, scheduled), nightly.cells_job(recipe)
    schedules: Sequence[dg.ScheduleDefinition] = [nightly.schedule(recipe, job)] if recipe.schedule else []
    sensors: list[dg.SensorDefinition] = [nightly.follow(recipe)]
    if recipe.mode == "batch":
        sensors.append(collect.sensor(recipe, job))
    return dg.Definitions(
        assets=[*assets, plan.build(recipe, assets), report.build(recipe)],
        jobs=[job, rounds.job(recipe, assets)],
        schedules=schedules,
        sensors=sensors,
    )


def build(found: Mapping[str, Recipe], scheduled: Collection[str] = ()) -> dg.Definitions:
    """Definitions of these recipes, on the data home of this process. `scheduled`: see `stage_assets`."""
    lake, warehouse = home.lake(), home.warehouse()
    shown = f"Writes rows to the lake, and shows them in {warehouse.path}."
    return dg.Definitions.merge(
        dg.Definitions(
            resources={
                "io_manager": named(LakeIOManager(lake, warehouse, found.__getitem__), shown),
                "lake": named(lake, f"The rows that were made: Parquet files in {lake.root}."),
                "language_model": named(home.language_model(), "All models. What its log holds is free."),
                "encoder": named(home.encoder(), "Texts to vectors, for what is alike and what is varied."),
            },
            sensors=[alert_on_failure()],
            executor=dg.in_process_executor,  # a run is one partition: its steps share the loaded encoder
        ),
        *(recipe_definitions(recipe, scheduled) for recipe in found.values()),
    )
