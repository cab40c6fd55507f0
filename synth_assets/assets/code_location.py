"""All recipes as one code location: their graphs, and the resources that they share."""

from collections.abc import Mapping, Sequence

import dagster as dg

from synth_assets.assets import collect, factory, nightly, plan, report
from synth_assets.assets.alerts import alert_on_failure
from synth_assets.assets.io import LakeIOManager
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import home
from synth_assets.stages.graph import graph


def stage_assets(recipe: Recipe) -> factory.Assets:
    """The assets of a recipe's stages, and what a round tells the next."""
    late = nightly.freshness(recipe)
    stages = [factory.build(recipe, s, late if s.name == "metrics" else None) for s in graph(recipe)]
    return [*stages, factory.feedback_spec(recipe)]


def recipe_definitions(recipe: Recipe) -> dg.Definitions:
    """The asset graph of one recipe, its job, its nightly schedule and its sensors."""
    assets, job = stage_assets(recipe), nightly.cells_job(recipe)
    schedules: Sequence[dg.ScheduleDefinition] = [nightly.schedule(recipe, job)] if recipe.schedule else []
    sensors: list[dg.SensorDefinition] = [nightly.follow(recipe)]
    if recipe.mode == "batch":
        sensors.append(collect.sensor(recipe, job))
    return dg.Definitions(
        assets=[*assets, plan.build(recipe, assets), report.build(recipe)],
        jobs=[job],
        schedules=schedules,
        sensors=sensors,
    )


def build(found: Mapping[str, Recipe]) -> dg.Definitions:
    """Definitions of these recipes, on the data home of this process."""
    lake = home.lake()
    return dg.Definitions.merge(
        dg.Definitions(
            resources={
                "io_manager": LakeIOManager(lake, home.warehouse(), found.__getitem__),
                "lake": lake,
                "language_model": home.language_model(),
                "encoder": home.encoder(),
            },
            sensors=[alert_on_failure()],
            executor=dg.in_process_executor,  # a run is one partition: its steps share the loaded encoder
        ),
        *map(recipe_definitions, found.values()),
    )
