"""What Dagster keeps of old runs: finding it, and removing it without what rows on disk rest on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from synth_assets.assets.dagster_internals import (
    log_file,
    old_ticks,
    purge_log_of_no_run,
    purge_ticks,
    runs_of_what_is_there,
    shrink,
)
from synth_assets.assets.keeper import NIGHTS

FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
ENDED = [dg.DagsterRunStatus.SUCCESS, *FAILED]


@dataclass(frozen=True)
class History:
    """What is older than a day: `runs` that go with all that is said of them, `logs` of runs that stay,
    because what they made last of a partition is still the last, `ticks` of schedules and sensors; in bytes
    what the files of the runs take."""

    before: datetime
    runs: list[str]
    logs: list[str]
    ticks: int
    bytes: int

    def __bool__(self) -> bool:
        return bool(self.runs or self.logs or self.ticks)


def history(instance: dg.DagsterInstance, before: datetime) -> History:
    """What is older. Runs that failed are looked at for NIGHTS days, and stay as long."""
    kept = runs_of_what_is_there(instance)
    failed_since = datetime.now(UTC) - timedelta(days=NIGHTS)
    runs, logs, size = list[str](), list[str](), 0
    for record in instance.get_run_records(dg.RunsFilter(statuses=ENDED, created_before=before)):
        run = record.dagster_run
        if run.status in FAILED and record.create_timestamp.astimezone(UTC) >= failed_since:
            continue
        sizes = [file.stat().st_size for file in _files(instance, run.run_id)]
        if run.run_id not in kept:
            runs.append(run.run_id)
        elif sizes:
            logs.append(run.run_id)
        size += sum(sizes)
    return History(before, runs, logs, old_ticks(instance, before), size)


def remove(instance: dg.DagsterInstance, old: History, home: Path) -> None:
    """Remove it, and give the room back to the disk."""
    for run_id in old.runs:
        instance.delete_run(run_id)
    for run_id in (*old.runs, *old.logs):
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        for file in _files(instance, run_id):
            file.unlink(missing_ok=True)
    purge_ticks(instance, old.before)
    purge_log_of_no_run(instance, old.before)
    for file in sorted(home.glob("*/**/*.db")):
        if file.stem in ("index", "runs", "schedules"):
            shrink(file)


def _files(instance: dg.DagsterInstance, run_id: str) -> Iterator[Path]:
    """The files that are of one run alone: its log, and what its stages printed."""
    log = log_file(instance, run_id)
    places = [log, log.with_name(f"{log.name}-wal"), log.with_name(f"{log.name}-shm")] if log else []
    printed = Path(instance.storage_directory()) / run_id
    yield from (place for place in places if place.is_file())
    yield from (file for file in printed.glob("**/*") if file.is_file())
