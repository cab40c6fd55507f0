"""What runs by itself: the nightly schedule of a recipe, and the stages that follow its rows."""

import os
from collections.abc import Collection
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from synth_assets.assets.dagster_internals import running_schedules, scheduled
from synth_assets.assets.factory import key, partitions_of
from synth_assets.partitions import cell_key
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages.graph import cut_by

CAUGHT_UP = 31  # nights at the most


def made_by_cell(recipe: Recipe) -> list[dg.AssetKey]:
    """What is made of a cell by itself; the rest is made of a whole round."""
    return [key(recipe, stage.name) for stage in cut_by(recipe, "round", "cell")]


def cells_job(recipe: Recipe) -> Any:  # dagster's unresolved job has no public name
    """Conditions, generations and scores of one cell; what comes after follows by automation."""
    return dg.define_asset_job(
        f"{recipe.name}_cell",
        selection=made_by_cell(recipe),
        partitions_def=partitions_of(recipe, "generations"),
        executor_def=dg.in_process_executor,
        description="Make one cell of one round, up to its scores.",
    )


def name(recipe: Recipe) -> str:
    """What the recipe's schedule is called."""
    return f"{recipe.name}_nightly"


def schedule(recipe: Recipe, job: Any) -> dg.ScheduleDefinition:
    """Asks for the cells of tonight's round, and of missed ones if the recipe wants to catch up."""

    @dg.schedule(
        name=name(recipe),
        cron_schedule=str(recipe.schedule),
        job=job,
        execution_timezone=recipe.timezone,
        description="Today's round, one run a cell; its filters, weights and metrics follow.",
    )
    def nightly(
        context: dg.ScheduleEvaluationContext, synth_lake: dg.ResourceParam[Lake]
    ) -> list[dg.RunRequest]:
        tonight = context.scheduled_execution_time.astimezone(ZoneInfo(recipe.timezone)).date()
        rounds = [tonight.isoformat()]
        if recipe.missed_nights == "catch_up":
            rounds = _missed(recipe, synth_lake, tonight) + rounds
        return [
            dg.RunRequest(run_key=f"{round_}/{cell}", partition_key=cell_key(round_, cell))
            for round_ in rounds
            for cell in recipe.cells
        ]

    return nightly


def _missed(recipe: Recipe, lake: Lake, tonight: date) -> list[str]:
    """The nights since the last round that was made, which no daemon was there for; the latest of them."""
    made = [p["round"] for p in lake.partitions(recipe.name, "conditions", ("round", "cell"))]
    before = [round_ for round_ in made if round_ < tonight.isoformat()]
    if not before:
        return []
    last, yesterday = date.fromisoformat(max(before)), tonight - timedelta(days=1)
    return scheduled(str(recipe.schedule), recipe.timezone, last, yesterday)[-CAUGHT_UP:]


def freshness(recipe: Recipe) -> dg.FreshnessPolicy | None:
    """A round should be there when the next one begins: late by half a night is a warning, by a whole one a
    failure. None where the recipe has no schedule."""
    if not recipe.schedule:
        return None
    nights = scheduled(recipe.schedule, recipe.timezone, date(2026, 1, 1), date(2026, 12, 31))
    days = [date.fromisoformat(night) for night in nights]
    gap = max((b - a for a, b in pairwise(days)), default=timedelta(days=365))
    return dg.FreshnessPolicy.time_window(fail_window=2 * gap, warn_window=1.5 * gap)


def switched_on() -> set[str]:
    """Names of the schedules that are on, in the Dagster instance of this process if it has one. A switch
    that is turned later counts from the next load of the code location."""
    if not Path(os.environ.get("DAGSTER_HOME") or "nowhere").is_dir():
        return set()
    with dg.DagsterInstance.get() as instance:
        return running_schedules(instance)


def follow(recipe: Recipe, assets: Collection[dg.AssetKey]) -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates the automation conditions of the recipe's assets, and of no others."""
    return dg.AutomationConditionSensorDefinition(
        f"{recipe.name}_follow",
        target=dg.AssetSelection.assets(*assets),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Materializes seeds once, and a round's filters, weights and metrics after its scores.",
    )
