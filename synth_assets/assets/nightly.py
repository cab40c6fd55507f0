"""What runs by itself: the nightly schedule of a recipe, and the stages that follow its rows."""

import os
import time
from collections.abc import Collection
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets.alerts import WEBHOOK, tell
from synth_assets.assets.dagster_internals import hold, running_schedules, scheduled
from synth_assets.assets.factory import LANGUAGE_MODEL_POOL, Assets, key, partitions_of
from synth_assets.assets.failures import end_dead_runs
from synth_assets.assets.keeper import Keeper, Night
from synth_assets.assets.known_again import remember
from synth_assets.assets.morning import note
from synth_assets.assets.unchanged import Known
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import home
from synth_assets.stages.graph import cut_by

EVERY_SECONDS = 30
AWAY_SECONDS = 600  # without a look: the daemon was away, or the machine slept


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


def schedule(recipe: Recipe, job: dg.JobDefinition, assets: Assets) -> dg.ScheduleDefinition:
    """Asks for what the keeper of rounds says is next: an earlier night that is not whole, or tonight's."""

    @dg.schedule(
        name=name(recipe),
        cron_schedule=recipe.nightly.cron if recipe.nightly else "",
        job=job,
        execution_timezone=recipe.timezone,
        description="Tonight's round; before it, earlier nights that are not whole.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        keeper = keep(recipe, context.instance, assets, context.scheduled_execution_time)
        night = keeper.next(keeper.due(tonight=True))
        if night is None:
            return dg.SkipReason(keeper.ended or "an earlier night is being made, or in the way.")
        return request(night, context.instance, job)

    return nightly


def keeps(recipe: Recipe, job: dg.JobDefinition, assets: Assets) -> dg.SensorDefinition:
    """Looks every minute, while the schedule is on, which nights are not whole, and asks for the next."""

    @dg.sensor(
        name=f"{recipe.name}_keep",
        job=job,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends runs whose process is gone, makes nights whole that failed or were cut off, in "
        f"order, and tells the webhook ${WEBHOOK} of each night that needs somebody, once.",
    )
    def keep_rounds(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        end_dead_runs(context.instance)
        keeper = keep(recipe, context.instance, assets)
        if keeper.on_since is None:
            return dg.SkipReason(f"the schedule {name(recipe)} is off.")
        if time.time() - (context.last_tick_completion_time or 0.0) > AWAY_SECONDS:
            return dg.SkipReason("the first look for a while: what the schedule missed, it asks for itself.")
        nights = keeper.due(tonight=keeper.asked_since(keeper.on_since))
        note(recipe, keeper.lake, nights)
        told = tell(recipe, keeper, nights, context.cursor)
        night = keeper.next(nights)
        requests = [request(night, context.instance, job)] if night else []
        return dg.SensorResult(run_requests=requests, cursor=told)

    return keep_rounds


def keep(recipe: Recipe, instance: dg.DagsterInstance, assets: Assets, now: datetime | None = None) -> Keeper:
    """The keeper of a recipe's rounds, over this data home."""
    remember(recipe, home.lake(), instance)
    return Keeper(Known(recipe, instance, assets, home.lake(), home.call_log(), home.encoder()), now)


def request(night: Night, instance: dg.DagsterInstance, job: dg.JobDefinition) -> dg.RunRequest:
    """The run that makes a night whole. Each is asked for once."""
    earlier = dg.RunsFilter(job_name=job.name, tags={"dagster/partition": night.round})
    last = next(iter(instance.get_run_ids(earlier, limit=1)), "")  # their number falls when they are cleaned
    return dg.RunRequest(run_key=f"{night.round}/{last}", partition_key=night.round)


def freshness(recipe: Recipe) -> dg.FreshnessPolicy | None:
    """A round should be there when the next one begins: late by half a night is a warning, by a whole one a
    failure. None where the recipe has no schedule, or rounds that end."""
    if recipe.nightly is None or recipe.rounds:
        return None
    nights = scheduled(recipe.nightly.cron, recipe.timezone, date(2026, 1, 1), date(2026, 12, 31))
    days = [date.fromisoformat(night) for night in nights]
    gap = max((b - a for a, b in pairwise(days)), default=timedelta(days=365))
    return dg.FreshnessPolicy.time_window(fail_window=2 * gap, warn_window=1.5 * gap)


def switched_on() -> set[str]:
    """Names of the schedules that are on, in the Dagster instance of this process if it has one, whose pool
    holds from now on. A switch that is turned later counts from the next load of the code location."""
    if not Path(os.environ.get("DAGSTER_HOME") or "nowhere").is_dir():
        return set()
    with dg.DagsterInstance.get() as instance:
        hold(instance, LANGUAGE_MODEL_POOL)
        return running_schedules(instance)


def follow(recipe: Recipe, assets: Collection[dg.AssetKey]) -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates the automation conditions of the recipe's assets, and of no others."""
    return dg.AutomationConditionSensorDefinition(
        f"{recipe.name}_follow",
        target=dg.AssetSelection.assets(*assets),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Materializes seeds once, and a round's filters, weights and metrics after its scores.",
    )
