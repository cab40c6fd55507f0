"""`synth run --launch`: the runs of a round, handed to Dagster's queue. Its daemon gives each to the launcher
that `dagster.yaml` names, on whichever machine; this process makes no rows, it waits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from synth_assets.assets.dagster_queue import cancel, enqueue, has_queue, heard_of_daemon, tried_again_by
from synth_assets.assets.failures import KIND, RoundFailed, why_failed
from synth_assets.assets.records import wrong_settings
from synth_assets.assets.rounds import Part, World, failed_checks, observed
from synth_assets.core.errors import CODES, Mistake, UserError
from synth_assets.partitions import columns
from synth_assets.resources import home

LAUNCHED = "synth/launched"  # tag of runs that `synth run --launch` asked for
POLL_S, SAY_S = 1.0, 4.0  # between two looks at the runs, and between two words at the most
SILENT_S = 90.0  # a daemon says every 30 seconds that it lives
AGAIN_S = 5.0  # in which a second Ctrl-C cancels
OPEN = {  # status of a run that goes on -> what is said of it
    "NOT_STARTED": "in the queue",
    "QUEUED": "in the queue",
    "STARTING": "starting",
    "STARTED": "being made",
    "CANCELING": "being cancelled",
}
UNFINISHED = dg.RunsFilter(statuses=[dg.DagsterRunStatus[name] for name in OPEN])


def launched(world: World, job: dg.JobDefinition, parts: Mapping[str, Part]) -> dict[str, str]:
    """One run a part, all at once, each on whichever machine; see `rounds.in_this_process`. A part that a run
    is at already is waited for. Raises RoundFailed where a check says no, UserError for any other failure,
    when all of them have ended."""
    _Daemon(world).needed()
    there = world.instance.get_runs(UNFINISHED)
    runs = {}
    for cell, (assets, partition) in parts.items():
        known = (run.run_id for run in there if _makes(run, assets, partition))
        runs[cell] = next(known, None) or _asked(world, job, assets, partition)
    names = {cell: _name(*part) for cell, part in parts.items()}
    ended = _Waiting(world, runs, names).for_all()
    _check(world.instance, {names[cell]: run for cell, run in ended.items()})
    return {cell: observed(world.instance, ended[cell].run_id, assets) for cell, (assets, _) in parts.items()}


def _makes(run: dg.DagsterRun, assets: Sequence[dg.AssetKey], partition: str | None) -> bool:
    return run.tags.get("dagster/partition") == partition and {*assets} <= {*(run.asset_selection or ())}


def _asked(world: World, job: dg.JobDefinition, assets: Sequence[dg.AssetKey], partition: str | None) -> str:
    of = {}
    if partition is not None:
        subset = job.get_subset(asset_selection={*assets})
        of = {**subset.get_tags_for_partition_key(partition, selected_asset_keys=assets)}
    return enqueue(world.instance, job, assets, {**of, LAUNCHED: "true", **world.tags})


def _name(assets: Sequence[dg.AssetKey], partition: str | None) -> str:
    """What is made, for people: recipe, round and cell, or the stages that belong to no round."""
    place = columns(partition).values() if partition else (asset.path[-1] for asset in assets)
    return " ".join([assets[0].path[-2], *place])


class _Daemon:
    """The process that takes runs from the queue, as it is heard of. Its clock may be another than ours: what
    counts is that it says something new."""

    def __init__(self, world: World) -> None:
        self._world, self._instance = world, world.instance
        self._said, self._at = heard_of_daemon(self._instance), time.monotonic()

    def needed(self) -> None:
        """UserError where there is none, or it says nothing."""
        try:
            queue = has_queue(self._instance)
        except Exception as error:  # Dagster reads this part of its settings only now
            raise wrong_settings(home.home(), error) or error from None
        if not queue:
            raise UserError(
                f"--launch needs Dagster's queue of runs: leave `run_coordinator` out of {_settings()}."
            )
        if self._said is None:
            raise _nobody()
        if abs(time.time() - self._said) < SILENT_S:
            return
        before = self._said
        while self._said == before:
            if self.silence() > SILENT_S:
                raise _nobody()
            self._world.say("waits for a word of the daemon that takes runs from the queue")
            time.sleep(SAY_S)

    def silence(self) -> float:
        """Seconds in which it has said nothing new."""
        said = heard_of_daemon(self._instance)
        if said != self._said:
            self._said, self._at = said, time.monotonic()
        return time.monotonic() - self._at


def _settings() -> Path:
    return home.home() / "dagster.yaml"


def _nobody() -> UserError:
    fix = "start `synth ui`, or `dagster-daemon run`, on a machine of it"
    words = f"no daemon takes runs from the queue of the Dagster instance in {_settings()}"
    return UserError(f"{words}: {fix}, and run this again. Runs that are in the queue wait there.", fix=fix)


class _Waiting:
    """For runs that others make; says what becomes of each, and within five seconds that it goes on."""

    def __init__(self, world: World, runs: Mapping[str, str], names: Mapping[str, str]) -> None:
        self._world, self._instance, self._names = world, world.instance, names
        self._runs, self._daemon = dict(runs), _Daemon(world)
        self._seen, self._spoken = dict[str, str](), time.monotonic()

    def for_all(self) -> dict[str, dg.DagsterRun]:
        """Part -> its run, which has ended. Ctrl-C ends the waiting and not the runs; a second one does."""
        try:
            while True:
                found = self._look()
                if not any(self._goes_on(run) for run in found.values()):
                    return found
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            self._stop()
            raise

    def _look(self) -> dict[str, dg.DagsterRun]:
        wanted = dg.RunsFilter(run_ids=list(self._runs.values()))
        by_id = {run.run_id: run for run in self._instance.get_runs(wanted)}
        found = {part: by_id[run_id] for part, run_id in self._runs.items()}
        for part, run in found.items():
            if again := tried_again_by(self._instance, run):
                self._say(f"{self._names[part]}: failed ({why_failed(self._instance, run)}): tried again")
                self._runs[part] = again
            elif self._seen.get(part) != (words := self._state(run)):
                self._seen[part] = words
                self._say(f"{self._names[part]}: {words}")
        silence = self._daemon.silence()
        if silence > SILENT_S and any(run.status.name == "QUEUED" for run in found.values()):
            raise _nobody()
        if time.monotonic() - self._spoken >= SAY_S:
            states = Counter(self._state(run) for run in found.values())
            words = ", ".join(f"{number} {words}" for words, number in states.items())
            alone = f"; the daemon is silent for {silence:.0f} s: nobody notices a run that dies"
            self._say(f"{words}{alone if silence > SILENT_S else ''}")
        return found

    def _goes_on(self, run: dg.DagsterRun) -> bool:
        return run.status.name in OPEN or tried_again_by(self._instance, run) is not None

    def _state(self, run: dg.DagsterRun) -> str:
        if run.status.name in OPEN:
            return OPEN[run.status.name]
        if run.status == dg.DagsterRunStatus.SUCCESS:
            return "done"
        if run.status == dg.DagsterRunStatus.CANCELED:
            return "cancelled"
        return "failed, tried again" if self._goes_on(run) else "failed"

    def _say(self, words: str) -> None:
        self._spoken = time.monotonic()
        self._world.say(words)

    def _stop(self) -> None:
        """Say what goes on, and end it where that is wanted."""
        left = [run for run in self._look().values() if run.status.name in OPEN]
        self._say(
            f"{len(left)} runs go on without this command; the same one waits for them again. Ctrl-C once "
            f"more, within {AGAIN_S:.0f} seconds, cancels them."
        )
        try:
            time.sleep(AGAIN_S)
        except KeyboardInterrupt:
            for run in left:
                cancel(self._instance, run.run_id)
            self._say(f"{len(left)} runs cancelled; what was answered is kept.")


def _check(instance: dg.DagsterInstance, ended: Mapping[str, dg.DagsterRun]) -> None:
    """RoundFailed or UserError, where a run has not ended well."""
    wrong = {name: run for name, run in ended.items() if run.status != dg.DagsterRunStatus.SUCCESS}
    checks = [mistake for run in wrong.values() for mistake in failed_checks(instance, run.run_id)]
    if checks:
        raise RoundFailed(checks)
    if wrong:
        mistakes = [_mistake(instance, name, run) for name, run in wrong.items()]
        raise UserError("\n".join(map(str, mistakes)), mistakes=mistakes)


def _mistake(instance: dg.DagsterInstance, name: str, run: dg.DagsterRun) -> Mistake:
    cancelled = run.status == dg.DagsterRunStatus.CANCELED
    why = "cancelled; the same command goes on" if cancelled else why_failed(instance, run).rstrip(".")
    kind = run.tags.get(KIND) or ("stopped" if cancelled else "system")
    code = kind if kind in CODES else "unexpected"
    return Mistake(f"{name}: {why}. Its log, in the UI: /runs/{run.run_id}", code)
