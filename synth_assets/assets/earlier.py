"""Which earlier rounds of a recipe are being made, or were asked for."""

import time
from collections.abc import Iterator

import dagster as dg

from synth_assets.assets.dagster_internals import recipes_and_round
from synth_assets.assets.factory import key
from synth_assets.assets.failures import HEARD
from synth_assets.recipe.recipe import Recipe

LAST = "metrics"  # of a round's stages: with it the round tells the next one what it knows
AT_WORK = ("STARTING", "STARTED", "CANCELING")
NOT_BEGUN = ("NOT_STARTED", "QUEUED")
SILENT_S = 120.0  # without a word a run may wait for a place that this one holds
LATEST = 50  # backfills that are looked at


def at_work(instance: dg.DagsterInstance, recipe: Recipe, round_: str) -> Iterator[str]:
    """Earlier rounds whose last stages a run is at work on."""
    for run, of in _runs(instance, recipe, AT_WORK):
        if of < round_ and (HEARD in run.tags or _said_something(instance, run.run_id)):
            yield of


def _said_something(instance: dg.DagsterInstance, run_id: str) -> bool:
    last = instance.get_records_for_run(run_id, limit=1, ascending=False).records
    return bool(last) and time.time() - last[0].event_log_entry.timestamp < SILENT_S


def asked_for(instance: dg.DagsterInstance, recipe: Recipe, round_: str) -> Iterator[str]:
    """Earlier rounds that runs or backfills that are not over were asked for, as wholes."""
    yield from (of for _, of in _runs(instance, recipe, (*AT_WORK, *NOT_BEGUN)) if of < round_)
    for backfill in instance.get_backfills(limit=LATEST):
        data = backfill.asset_backfill_data
        if backfill.status.name == "REQUESTED" and data is not None:
            rounds = data.target_subset.partitions_subsets_by_asset_key.get(key(recipe, LAST))
            yield from (of for of in (rounds.get_partition_keys() if rounds else ()) if of < round_)


def _runs(
    instance: dg.DagsterInstance, recipe: Recipe, statuses: tuple[str, ...]
) -> Iterator[tuple[dg.DagsterRun, str]]:
    """Runs that make the last stage of a round, and the round."""
    wanted = dg.RunsFilter(statuses=[dg.DagsterRunStatus[name] for name in statuses])
    for run in instance.get_runs(filters=wanted):
        _, round_ = recipes_and_round(run)
        whole = run.job_name == f"{recipe.name}_round"
        if round_ and (whole or key(recipe, LAST) in (run.asset_selection or ())):
            yield run, round_
