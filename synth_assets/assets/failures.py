"""Why runs failed: noted where they do, and read where it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from synth_assets.assets.dagster_internals import recipes_and_round
from synth_assets.assets.logged_model import UNANSWERED
from synth_assets.core.causes import Causes
from synth_assets.core.errors import Mistake, UserError
from synth_assets.recipe.columns import STAGES
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.call_log.leases import LEASE_S, RENEW_S
from synth_assets.resources.storage.lake import Lake
from synth_assets.resources.storage.process import lives, this_process

KIND, WHY = "synth/failed", "synth/why"  # tags of runs
PROCESS_TAG = "synth/process"  # of runs: who makes them
HEARD = "synth/heard"  # when the run's process last said that it lives, in seconds since 1970
WITHIN = "synth/within"  # the run of a whole round that a run is a part of
DIED = "The process ended before the run did; what was paid is in the call log."
MOST = 1_000  # characters of a reason
UNFINISHED = dg.RunsFilter(
    statuses=[dg.DagsterRunStatus[name] for name in ("NOT_STARTED", "STARTED", "STARTING", "CANCELING")]
)


class RoundFailed(Exception):
    """A blocking check said no; the message has the reasons."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it."""
        return [f"stopped by a check:\n{self}"]


@dataclass(frozen=True)
class Failed:
    """A run that failed. `kind` is a code of `core.errors.CODES`, `died` or `error`."""

    kind: str
    why: str
    ended: float  # seconds since 1970
    within: bool  # is part of the run of a whole round, which failed with it
    at: str = ""  # the cell that it was at, if it was at one


def kind_of(error: BaseException) -> str:
    """What sort of failure it is: whether the same thing may go well in a while depends on it."""
    if isinstance(error, RoundFailed | UserError):
        return error.mistakes[0].code
    if isinstance(error, KeyboardInterrupt):
        return "stopped"
    return "system" if isinstance(error, OSError) else "error"


def note(instance: dg.DagsterInstance, run_id: str, error: BaseException) -> None:
    """Write down why a run fails."""
    words = str(error) or type(error).__name__
    instance.add_run_tags(run_id, {KIND: kind_of(error), WHY: words[:MOST]})


def failed(instance: dg.DagsterInstance, recipe: str, since: datetime) -> Mapping[str, list[Failed]]:
    """Round -> the runs of it that failed since then, the earliest first."""
    statuses = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    found: dict[str, list[Failed]] = {}
    for record in instance.get_run_records(dg.RunsFilter(statuses=statuses, created_after=since)):
        run = record.dagster_run
        recipes, round_ = recipes_and_round(run)
        if recipe in recipes and round_:
            ended = record.end_time or record.update_timestamp.timestamp()
            kind = run.tags.get(KIND) or ("stopped" if run.status == statuses[1] else "error")
            why = why_failed(instance, run)
            cell = run.tags.get("dagster/partition", "").rpartition("|")[0]
            found.setdefault(round_, []).append(Failed(kind, why, ended, WITHIN in run.tags, cell))
    return {round_: sorted(runs, key=lambda run: run.ended) for round_, runs in found.items()}


def why_failed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Why a run has failed: as it was noted, or else as Dagster's log has it."""
    stopped = run.tags.get(KIND) == "stopped" or run.status == dg.DagsterRunStatus.CANCELED
    return run.tags.get(WHY) or ("stopped." if stopped else _said(instance, run.run_id))


def unanswered(lake: Lake, recipe: Recipe, round_: str) -> str:
    """How many calls of a round are without an answer, and the commonest cause; empty if there are none."""
    causes, known = Causes(), set[str]()  # one that two stages ask for is one
    for place in lake.partitions(recipe.name, "calls", STAGES["calls"], round=round_):
        for call in lake.table(recipe.name, "calls", place, ["call_id", "outcome", "error"]).to_pylist():
            if call["outcome"] in UNANSWERED and call["call_id"] not in known:
                known.add(call["call_id"])
                causes.add(call["error"] or call["outcome"])
    return f"{len(causes):,} calls are without an answer ({causes})" if causes else ""


def _said(instance: dg.DagsterInstance, run_id: str) -> str:
    """What Dagster's log has of a failure of a run that was started otherwise than as a round."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        error = entry.get_dagster_event().step_failure_data.error
        while error and error.cause:
            error = error.cause
        if error:
            return error.message.partition(": ")[2].strip()[:MOST] or error.message.strip()
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        return str(entry.get_dagster_event().message).strip()[:MOST]
    return "it is not known why"


def lives_here() -> dict[str, str]:
    """The tags of a run that this process makes now."""
    return {PROCESS_TAG: this_process(), HEARD: f"{time.time():.0f}"}


_made_here = set[str]()  # runs that are heard of


@contextmanager
def heard_of(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Meanwhile a run says every few seconds that its process lives: from another machine, or another
    container, nobody sees it."""
    ended = threading.Event()

    def say() -> None:
        while not ended.wait(RENEW_S):
            with suppress(Exception):  # the next time, then
                instance.add_run_tags(run_id, {HEARD: f"{time.time():.0f}"})

    thread = threading.Thread(target=say, name="heard", daemon=True)
    thread.start()
    _made_here.add(run_id)
    try:
        yield
    finally:
        _made_here.discard(run_id)
        ended.set()
        thread.join()


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Runs whose process was killed are ended, by whatever they were started: they would look busy for ever,
    and keep their place in the pool."""
    for run in instance.get_runs(filters=UNFINISHED):
        process, heard = run.tags.get(PROCESS_TAG), run.tags.get(HEARD)
        # a database of runs that lost its last words has runs of this process that are over
        over = process == this_process() and heard and run.run_id not in _made_here
        if process and (over or _is_gone(process, heard)):
            instance.add_run_tags(run.run_id, {KIND: "died", WHY: DIED})
            instance.report_run_failed(run, DIED)


def _is_gone(process: str, heard: str | None) -> bool:
    """Whether a run's process has ended: that is seen or, where it cannot be, nothing is heard of it."""
    alive = lives(process)
    if alive is None and heard:
        return time.time() - float(heard) > LEASE_S
    return alive is False
