"""What runs by itself: the nightly schedule of a recipe, and the stages that follow its rows."""

from typing import Any

import dagster as dg

from partitions import cell_key, today
from synth_assets.assets.stage import key, partitions_of
from synth_assets.recipe import Recipe

MADE_BY_CELL = ("conditions", "generations", "scores")


def cells_job(recipe: Recipe) -> Any:  # dagster's unresolved job has no public name
    """Conditions, generations and scores of one cell; what comes after follows by automation."""
    return dg.define_asset_job(
        f"{recipe.name}_cell",
        selection=[key(recipe, stage) for stage in MADE_BY_CELL],
        partitions_def=partitions_of(recipe, "generations"),
        description="Make one cell of one round, up to its scores.",
    )


def schedule(recipe: Recipe, job: Any) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{recipe.name}_nightly",
        cron_schedule=str(recipe.schedule),
        job=job,
        execution_timezone=recipe.timezone,
        description="Today's round, one run a cell; its filters, weights and metrics follow.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        round_ = context.scheduled_execution_time.date().isoformat() if context else today(recipe.timezone)
        return [
            dg.RunRequest(run_key=f"{round_}/{c}", partition_key=cell_key(round_, c)) for c in recipe.cells
        ]

    return nightly


def follow(recipe: Recipe) -> dg.AutomationConditionSensorDefinition:
    return dg.AutomationConditionSensorDefinition(
        f"{recipe.name}_follow",
        target=dg.AssetSelection.groups(recipe.name),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Materializes seeds once, and a round's filters, weights and metrics after its scores.",
    )
