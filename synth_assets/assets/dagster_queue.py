"""Dagster's queue of runs, as far as it takes private modules: a run for whichever machine comes next."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any, cast

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, RepositoryPythonOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

CODE = ModuleCodePointer("synth_assets.code_location", "defs", working_directory=None)
DAEMON = "QUEUED_RUN_COORDINATOR"


def enqueue(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    assets: Collection[dg.AssetKey],
    tags: Mapping[str, str],
) -> str:
    """Ask for a run of these assets, which some process of the instance makes; its id. The command `dagster`
    is looked for where it is made: paths of this machine may be no paths there."""
    there = RepositoryPythonOrigin(sys.executable, CODE, entry_point=DEFAULT_DAGSTER_ENTRY_POINT)
    run = instance.create_run_for_job(
        job,
        status=dg.DagsterRunStatus.NOT_STARTED,
        tags=tags,
        asset_selection=set(assets),
        job_code_origin=there.get_job_origin(job.name),
    )
    return instance.submit_run(run.run_id, cast(Any, None)).run_id  # the queue needs no workspace


def has_queue(instance: dg.DagsterInstance) -> bool:
    """Whether runs wait in a queue for a daemon, which is Dagster's default."""
    return isinstance(instance.run_coordinator, QueuedRunCoordinator)


def heard_of_daemon(instance: dg.DagsterInstance) -> float | None:
    """When the daemon that takes runs from the queue said last that it lives, by its own clock, in seconds
    since 1970; None where there never was one."""
    beat = instance.get_daemon_heartbeats().get(DAEMON)
    return float(beat.timestamp) if beat else None


def cancel(instance: dg.DagsterInstance, run_id: str) -> None:
    """Take a run from the queue, or end it."""
    instance.run_coordinator.cancel_run(run_id)


def tried_again_by(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """The run that makes again what this failed one should have; empty where there is none yet; None where
    there will be none."""
    if run.status != dg.DagsterRunStatus.FAILURE or not instance.run_retries_enabled:
        return None
    if run.tags.get(WILL_RETRY_TAG, "true") != "true":  # the tag comes after the failure
        return None
    return run.tags.get(AUTO_RETRY_RUN_ID_TAG, "")
