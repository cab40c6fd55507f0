"""The keeper of rounds: which rounds of a recipe are whole, what is in the way of the others, and what is to
be made next. Schedule, sensor and `synth nights` ask it, and nobody else decides.

A round's state is read from what is on disk and in the logs. Runs say why something is not there, and how
often it was tried; that a run has ended well says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo

import dagster as dg

from synth_assets.assets.dagster_internals import last_tick, rounds_at_work, scheduled, switched_on_at
from synth_assets.assets.failures import Failed, failed
from synth_assets.assets.made_rounds import MadeRounds
from synth_assets.assets.unchanged import Known
from synth_assets.report.so_far import rounds_of, why_ended
from synth_assets.report.views import with_views
from synth_assets.resources.gateway.batches.records import unfinished
from synth_assets.stages.stage import asset_name

State = Literal[
    "not begun",
    "making",
    "with the provider",
    "over budget",
    "failed",
    "partly made",
    "nothing new",
    "whole",
    "stale",
]
STATE_OF: Mapping[str, State] = {  # by a run's kind
    "over_budget": "over budget",
    "unanswered": "partly made",
    "nothing_new": "nothing new",
}
WHOLE = ("whole", "stale", "nothing new")
WAITS = (2, 8, 30)  # minutes after a failure, before the same night's next try
LATE = timedelta(minutes=2)  # of a schedule's tick, before another asks for what it should have
NIGHTS = 31  # that are looked back on for nights without a daemon
# what the next try of the same night may mend
AT_ONCE = ("unreachable", "system", "died", "stopped", "unanswered", "error")


@dataclass(frozen=True)
class Night:
    """A round and how far it is. `why`: what is in the way, or what of the recipe it is not made by; `next`:
    what happens to it by itself, or what somebody can do; `tries`: failed ones of today; `again`: when the
    next one may be, None where that is not today; `looked_after`: whether it is tried again by itself."""

    round: str
    state: State
    why: str = ""
    next: str = ""
    tries: int = 0
    again: datetime | None = None
    looked_after: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it is missing; an edit since may have made it stale."""
        return self.state in WHOLE

    @property
    def is_over(self) -> bool:
        """Whether it is not whole, and nothing more happens to it today."""
        return not self.is_whole and self.tries > 0 and self.again is None

    @property
    def needs_somebody(self) -> bool:
        """Whether it goes on today only if somebody does something."""
        waits = self.is_whole or self.state in ("making", "with the provider")
        return not waits and (self.is_over or not self.looked_after)

    @property
    def said(self) -> str:
        """State and cause, as a sentence."""
        words = f"{self.state}: {self.why}" if self.why else self.state
        return words if words.endswith((".", "!", "?")) else f"{words}."


class Keeper:
    """What one recipe's rounds are at, at one moment."""

    def __init__(self, known: Known, now: datetime | None = None, run: str = "", alone: bool = False) -> None:
        """`run`: who asks, which makes nothing more of its round. `alone`: what there is, whoever else is at
        work on it."""
        self._recipe, self._instance, _, self.lake, self._log, _ = known
        self._run, self._alone = run, alone
        self._now = (now or datetime.now(ZoneInfo("UTC"))).astimezone(ZoneInfo(known.recipe.timezone))
        self._today = self._now.date()
        self._midnight = datetime.combine(self._today, time.min, self._now.tzinfo).timestamp()
        self.made = MadeRounds(known)

    def due(self, tonight: bool = False) -> list[Night]:
        """The nights to be looked after, the earliest first: those that were begun, as far back as the recipe
        says, those that no daemon was there for, if it wants them, and (`tonight`) today's. Where the rounds
        have ended, none that was not begun."""
        wanted = self.looked_after | ({self._today.isoformat()} if tonight else set())
        return self.nights(wanted & self._there if self.ended else wanted)

    @cached_property
    def ended(self) -> str | None:
        """That the rounds have ended, and why; None where the next one may begin."""
        return why_ended(self._recipe, self.lake, with_views(self._recipe))

    @cached_property
    def looked_after(self) -> set[str]:
        """Rounds that are made whole by themselves; none while the schedule is off."""
        plan = self._recipe.nightly
        if plan is None or self.on_since is None:
            return set()
        since = self._today - timedelta(days=NIGHTS)
        asked = scheduled(plan.cron, self._recipe.timezone, since, self._today)
        begun = [round_ for round_ in asked if round_ in self._begun]
        back = (self._today - timedelta(days=plan.catch_up)).isoformat()
        found = {round_ for round_ in begun if round_ >= back} | self._stopped_since(back)
        if self._recipe.rounds:  # each rests on those before it, however old they are
            found |= self._there
        if self._recipe.missed_nights == "catch_up" and begun:
            yesterday = (self._today - timedelta(days=1)).isoformat()
            earlier = [round_ for round_ in begun if round_ <= yesterday] or begun
            found |= {r for r in asked if earlier[-1] < r <= yesterday}
        return found

    def _stopped_since(self, day: str) -> set[str]:
        """Rounds whose refresh failed since that day, however old they are."""
        return {
            round_
            for round_, runs in self._failed.items()
            if runs[-1].kind != "stopped" and self._day(runs[-1].ended) >= day
        }

    def late(self) -> str:
        """Since when no night is whole, where that is two nights or more: from the recipe's `start`, or from
        when it was switched on, where none ever was. Empty where all is well."""
        plan = self._recipe.nightly
        if plan is None or self.on_since is None or self.ended:
            return ""
        first = max(self._recipe.start.isoformat(), self._day(self.on_since))
        since, yesterday = self._today - timedelta(days=NIGHTS), self._today - timedelta(days=1)
        asked = scheduled(plan.cron, self._recipe.timezone, since, yesterday)
        due = -1  # tonight's has time yet
        for round_ in reversed([*(each for each in asked if each >= first), self._today.isoformat()]):
            if not self.made.missing(round_) or self._state(round_).is_whole:
                first = round_
                break
            due += 1
        return f"has had no whole night since {first}: {due} were due." if due > 1 else ""

    def _day(self, seconds: float) -> str:
        return datetime.fromtimestamp(seconds, self._now.tzinfo).date().isoformat()

    def last(self, number: int) -> list[Night]:
        """The last rounds of which there is anything, or that were asked for."""
        return self.nights(sorted(self._begun)[-number:])

    def next(self, due: Sequence[Night]) -> Night | None:
        """What is to be made now: the earliest of these nights that is not whole, since later ones read it.
        One that can only be made on another day is passed over, but for a recipe with `rounds`, whose order
        counts; while one is made, or waits for its provider or its next try, nothing is."""
        for night in due:
            in_the_way = night.is_over and self._recipe.rounds is not None
            if in_the_way or night.state in ("making", "with the provider"):
                return None
            if night.is_whole or night.is_over:
                continue
            return night if night.again is None or night.again <= self._now else None
        return None

    def asked_since(self, seconds: float) -> bool:
        """Whether tonight's round was due, a while ago, at a time after this one: the schedule that should
        have asked for it has had its time."""
        plan = self._recipe.nightly
        tick = last_tick(plan.cron, self._recipe.timezone, self._now - LATE) if plan else None
        return tick is not None and tick.date() == self._today and tick.timestamp() >= seconds

    def nights(self, rounds: Collection[str]) -> list[Night]:
        """The states of these rounds."""
        self.made.look_up(rounds)
        return [self._night(round_) for round_ in sorted(rounds)]

    def _night(self, round_: str) -> Night:
        by_itself = round_ in self.looked_after or (self.on_since is not None and round_ == str(self._today))
        night = replace(self._state(round_), looked_after=by_itself)
        return replace(night, next=self._next(night))

    def _state(self, round_: str) -> Night:
        if round_ in self._at_work:
            return Night(round_, "making")
        missing = self.made.missing(round_)
        if not missing:
            return Night(round_, *self.made.since(round_))
        if waiting := self._with_provider.get(round_):
            return Night(round_, "with the provider", waiting)
        runs = list(self._failed.get(round_, ()))
        if round_ in self.made.unanswered:
            runs += [Failed("unanswered", missing, ended, within=False) for ended in self._ended_well(round_)]
        if runs:
            return self._not_whole(round_, sorted(runs, key=lambda run: run.ended))
        begun = round_ in self._begun
        return Night(round_, "partly made" if begun else "not begun", missing if begun else "")

    def _not_whole(self, round_: str, runs: Sequence[Failed]) -> Night:
        last = runs[-1]
        today = [run.ended for run in runs if run.ended >= self._midnight and not run.within]
        state = STATE_OF.get(last.kind, "failed")
        why = f"{last.why}{_deaths(runs, self._midnight)}"
        return Night(round_, state, why, "", len(today), self._again(today, last.kind))

    def _again(self, ended: Sequence[float], kind: str) -> datetime | None:
        """When the next try may be, after those of today that ended then; None: not today."""
        plan = self._recipe.nightly if self.on_since is not None else None  # else nobody tries
        if plan is None or not ended or kind not in AT_ONCE or len(ended) >= plan.tries:
            return None
        waits = timedelta(minutes=WAITS[min(len(ended), len(WAITS)) - 1])
        last = datetime.fromtimestamp(ended[-1], self._now.tzinfo)
        return min(last, self._now) + waits  # the clock may have been set back since

    def _next(self, night: Night) -> str:
        by_hand = f"synth run {self._recipe.name} --round {night.round}"
        if night.state == "nothing new":
            return "Nothing is left to do."
        if night.is_whole:
            return f"To make it by the recipe of today: {by_hand}" if night.why else "Nothing is left to do."
        if night.state == "making":
            return "It goes on by itself."
        if self.on_since is None:
            goes_on = night.state == "with the provider"
            return f"To {'go on when they are back' if goes_on else 'make it'}: {by_hand}"
        if night.state == "with the provider":
            return "It goes on by itself when they are back."
        if night.again:
            return f"It is tried again at {night.again:%H:%M}."
        if not night.looked_after:
            return f"It is too old to be tried again by itself. To make it: {by_hand}"
        if night.state == "over budget":
            return f"The rest is made when the budget allows it: it is tried tomorrow. Once raised: {by_hand}"
        if night.is_over:
            return f"It is tried again tomorrow. To do it now: {by_hand}"
        return f"It is next. By hand: {by_hand}"

    # what is on disk, and in Dagster's log

    @cached_property
    def on_since(self) -> float | None:
        """When its schedule was switched on; None where it is off, and nobody looks after its nights."""
        return switched_on_at(self._instance, f"{self._recipe.name}_nightly")

    @cached_property
    def _begun(self) -> set[str]:
        """Rounds of which there is anything, or that were asked for."""
        return self._there | {*self._failed} | {round_ for round_ in self._at_work if round_}

    @cached_property
    def _there(self) -> set[str]:
        """Rounds of which there is anything."""
        return {*rounds_of(self._recipe, self.lake)}

    @cached_property
    def _at_work(self) -> Collection[str | None]:
        if self._alone:
            return ()
        return rounds_at_work(self._instance, self._run).get(self._recipe.name, set())

    @cached_property
    def _failed(self) -> Mapping[str, list[Failed]]:
        since = datetime.combine(self._today - timedelta(days=NIGHTS), time.min, self._now.tzinfo)
        return failed(self._instance, self._recipe.name, since)

    def _ended_well(self, round_: str) -> list[float]:
        """When the runs of a round ended well today."""
        of = {"dagster/partition": round_}
        midnight = datetime.fromtimestamp(self._midnight, self._now.tzinfo)
        well = dg.RunsFilter(
            job_name=f"{self._recipe.name}_round",
            tags=of,
            statuses=[dg.DagsterRunStatus.SUCCESS],
            created_after=midnight,
        )
        return sorted(record.end_time or 0.0 for record in self._instance.get_run_records(well))

    @cached_property
    def _with_provider(self) -> dict[str, str]:
        """Round -> which requests are with the provider."""
        waiting: dict[str, list[str]] = {}
        if self._recipe.mode == "batch":
            for stage in self._recipe.step_stages:
                for batch in unfinished(self._log, asset_name(self._recipe, stage)):
                    round_ = batch.partition_key.rpartition("|")[2]
                    waiting.setdefault(round_, []).append(f"{batch.waiting:,} in {batch.name}")
        return {round_: ", ".join(words) for round_, words in waiting.items()}


def _deaths(runs: Sequence[Failed], since: float) -> str:
    """What the deaths of processes have in common, where the last run ended so and not for the first time."""
    if runs[-1].kind != "died":
        return ""
    died = [run for run in runs if run.kind == "died" and run.ended >= since]
    at = next((run.at for run in reversed(died) if run.at), "")
    times = sum(run.at == at for run in died)
    if times < 2:
        return ""
    where = f" at {at}" if at else ""
    return f" It has ended so {times} times{where}: the machine may have too little memory."
