"""The keeper of rounds: which rounds of a recipe are whole, what is in the way of the others, and what is to
be made next. Schedule, sensor and `synth nights` ask it, and nobody else decides.

A round's state is read from what is on disk and in the logs. Runs say why something is not there, and how
often it was tried; that a run has ended well says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import dagster as dg

from synth_assets.assets.dagster_internals import last_tick, rounds_at_work, scheduled
from synth_assets.assets.factory import COMPLETE, Assets, key
from synth_assets.assets.failures import Failed, failed
from synth_assets.assets.states import DATA_VERSION
from synth_assets.assets.unchanged import MADE, Unchanged
from synth_assets.partitions import cell_key
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.gateway.batches.records import unfinished
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages import tables
from synth_assets.stages.graph import graph
from synth_assets.stages.stage import Stage, asset_name

State = Literal[
    "not begun", "making", "with the provider", "over budget", "failed", "partly made", "whole", "stale"
]
CODE_VERSION, READ = "dagster/code_version", "dagster/input_data_version"
WAITS = (2, 8, 30)  # minutes after a failure, before the same night's next try
LATE = timedelta(minutes=2)  # of a schedule's tick, before another asks for what it should have
NIGHTS = 31  # that are looked back on for nights without a daemon
AT_ONCE = ("unreachable", "system", "died", "stopped", "error")  # may be mended by the next try of the night


@dataclass(frozen=True)
class Night:
    """A round and how far it is. `why`: what is in the way; `tries`: failed ones of today; `again`: when the
    next one may be, None where that is not today."""

    round: str
    state: State
    why: str = ""
    tries: int = 0
    again: datetime | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it is missing; an edit since may have made it stale."""
        return self.state in ("whole", "stale")

    @property
    def said(self) -> str:
        """State and cause, as a sentence."""
        words = f"{self.state}: {self.why}" if self.why else self.state
        return words if words.endswith((".", "!", "?")) else f"{words}."

    def what_next(self, recipe: Recipe) -> str:
        """What happens to it by itself, or what somebody can do."""
        by_hand = f"synth run {recipe.name} --round {self.round}"
        if self.is_whole:
            return "Nothing is left to do."
        if self.state in ("making", "with the provider"):
            return "It goes on by itself."
        if self.again:
            return f"It is tried again at {self.again:%H:%M}."
        if recipe.nightly is None:
            return f"To make it: {by_hand}"
        if self.state in ("failed", "over budget"):
            return f"It is tried again tomorrow. To do it now: {by_hand}"
        return f"It is next. By hand: {by_hand}"


class Event(NamedTuple):
    """A materialization: its number in the log, and its tags."""

    id: int
    tags: Mapping[str, str]


class Keeper:
    """What one recipe's rounds are at, at one moment."""

    def __init__(
        self,
        recipe: Recipe,
        instance: dg.DagsterInstance,
        assets: Assets,
        lake: Lake,
        log: CallLog,
        encoder: MiniLM,
        now: datetime | None = None,
    ) -> None:
        self._recipe, self._instance, self._assets = recipe, instance, assets
        self._lake, self._log, self._encoder = lake, log, encoder
        self._now = (now or datetime.now(ZoneInfo("UTC"))).astimezone(ZoneInfo(recipe.timezone))
        self.today = self._now.date()
        self._known: dict[str, dict[str, dict[str, Event]]] = {}

    def due(self, tonight: bool = False) -> list[Night]:
        """The nights to be looked after, the earliest first: those that were begun, as far back as the recipe
        says, those that no daemon was there for, if it wants them, and (`tonight`) today's."""
        plan = self._recipe.nightly
        if plan is None:
            return self.nights([self.today.isoformat()] if tonight else [])
        since = self.today - timedelta(days=NIGHTS)
        asked = scheduled(plan.cron, self._recipe.timezone, since, self.today)
        begun = [round_ for round_ in asked if round_ in self._begun]
        back = (self.today - timedelta(days=plan.catch_up)).isoformat()
        looked_after = {round_ for round_ in begun if round_ >= back}
        if self._recipe.missed_nights == "catch_up" and begun:
            yesterday = (self.today - timedelta(days=1)).isoformat()
            earlier = [round_ for round_ in begun if round_ <= yesterday] or begun
            looked_after |= {r for r in asked if earlier[-1] < r <= yesterday}
        if tonight:
            looked_after.add(self.today.isoformat())
        return self.nights(sorted(looked_after))

    def last(self, number: int) -> list[Night]:
        """The last rounds of which there is anything, or that were asked for."""
        return self.nights(sorted(self._begun)[-number:])

    def next(self, tonight: bool = False) -> Night | None:
        """What is to be made now: the earliest night that is not whole, since later ones read it. One that
        can only be made on another day is passed over; while one is made, or waits for its provider or its
        next try, nothing is."""
        for night in self.due(tonight):
            if night.state in ("making", "with the provider"):
                return None
            if night.is_whole or (night.tries and night.again is None):
                continue
            return night if night.again is None or night.again <= self._now else None
        return None

    def asked_since(self, seconds: float) -> bool:
        """Whether tonight's round was due, a while ago, at a time after this one: the schedule that should
        have asked for it has had its time."""
        plan = self._recipe.nightly
        tick = last_tick(plan.cron, self._recipe.timezone, self._now - LATE) if plan else None
        return tick is not None and tick.date() == self.today and tick.timestamp() >= seconds

    def nights(self, rounds: Collection[str]) -> list[Night]:
        """The states of these rounds."""
        return [self._night(round_) for round_ in sorted(rounds)]

    def _night(self, round_: str) -> Night:
        if round_ in self._at_work:
            return Night(round_, "making")
        if self._is_made(round_):
            return Night(round_, "stale" if self._is_stale(round_) else "whole")
        if waiting := self._with_provider.get(round_):
            return Night(round_, "with the provider", waiting)
        if runs := self._failed.get(round_):
            return self._not_whole(round_, runs)
        return Night(round_, "partly made" if round_ in self._begun else "not begun")

    def _not_whole(self, round_: str, runs: Sequence[Failed]) -> Night:
        last = runs[-1]
        midnight = datetime.combine(self.today, time.min, self._now.tzinfo).timestamp()
        today = [run for run in runs if run.ended >= midnight and not run.within]
        state: State = "over budget" if last.kind == "over_budget" else "failed"
        why, again = last.why, None
        if last.kind == "died" and sum(run.kind == "died" for run in today) > 1:
            why += " It has ended so before: the machine may have too little memory."
        tries = self._recipe.nightly.tries if self._recipe.nightly else 1
        if today and last.kind in AT_ONCE and len(today) < tries:
            waits = timedelta(minutes=WAITS[min(len(today), len(WAITS)) - 1])
            again = datetime.fromtimestamp(today[-1].ended, self._now.tzinfo) + waits
        return Night(round_, state, why, len(today), again)

    # what is on disk, and in Dagster's log

    @cached_property
    def _begun(self) -> set[str]:
        """Rounds of which there is anything, or that were asked for."""
        name, parts = self._recipe.name, ("round", "cell")
        there = {place["round"] for place in self._lake.partitions(name, "conditions", parts)}
        return there | {*self._failed} | {round_ for round_ in self._at_work if round_}

    @cached_property
    def _at_work(self) -> Collection[str | None]:
        return rounds_at_work(self._instance).get(self._recipe.name, set())

    @cached_property
    def _failed(self) -> Mapping[str, list[Failed]]:
        since = datetime.combine(self.today - timedelta(days=NIGHTS), time.min, self._now.tzinfo)
        return failed(self._instance, self._recipe.name, since)

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

    def _is_made(self, round_: str) -> bool:
        """A round is made when its last stage is, of what is there now, and nothing is without an answer.
        Cells that came into the recipe since are no part of it."""
        made = self._made(round_)
        if not all(partitions for stage, partitions in made.items() if self._cut[stage] == ("round",)):
            return False
        for stage, partitions in made.items():
            for partition, event in partitions.items():
                if COMPLETE not in event.tags or not self._has(stage, partition, round_):
                    return False
        return self._in_order(made) or not self._left(round_, made)

    def _in_order(self, made: Mapping[str, Mapping[str, Event]]) -> bool:
        """Whether each stage was made after what it reads, or of the same rows: then nobody needs to look
        closer."""
        for stage in self._graph:
            for name in (read for read in stage.reads if read in made):
                tag = f"{READ}/{key(self._recipe, name).to_user_string()}"
                for partition, event in made[stage.name].items():
                    one = self._cut[name] == self._cut[stage.name]
                    read = [e for p, e in sorted(made[name].items()) if not one or p == partition]
                    versions = "".join(each.tags.get(DATA_VERSION, "") for each in read)
                    same = event.tags.get(tag) == sha256(versions.encode()).hexdigest()  # as Dagster has it
                    if not same and any(each.id > event.id for each in read):
                        return False
        return True

    def _left(self, round_: str, made: Mapping[str, Mapping[str, Event]]) -> bool:
        """Whether anything would come out otherwise, though its recipe is the same."""
        world = self._instance, self._assets, self._lake, self._log, self._encoder
        unchanged = Unchanged(self._recipe, round_, *world)
        cells = [c for c in self._recipe.cells if str(cell_key(round_, c)) in made["conditions"]]
        left = [
            *unchanged.left(("round", "cell"), cells).values(),
            *unchanged.left(("round",), ("",)).values(),
        ]
        return any(left)

    def _is_stale(self, round_: str) -> bool:
        """Whether the recipe says something else since."""
        now = {n: self._recipe.version(*s.sections) for s in self._graph for n in (s.name, *s.also)}
        return any(
            event.tags.get(CODE_VERSION, now[stage]) != now[stage]
            for stage, partitions in self._made(round_).items()
            for event in partitions.values()
        )

    @cached_property
    def _graph(self) -> list[Stage]:
        return [stage for stage in graph(self._recipe) if tables.stages(self._recipe)[stage.name]]

    @cached_property
    def _cut(self) -> dict[str, tuple[str, ...]]:
        return tables.stages(self._recipe)

    def _made(self, round_: str) -> dict[str, dict[str, Event]]:
        """Stage, in the order in which they are made -> partition of the round -> how it was made last."""
        if round_ not in self._known:
            cells = {str(cell_key(round_, cell)) for cell in self._recipe.cells}
            self._known[round_] = {
                name: latest(
                    self._instance, key(self._recipe, name), cells if "cell" in self._cut[name] else {round_}
                )
                for stage in self._graph
                for name in (stage.name, *stage.also)
            }
        return self._known[round_]

    def _has(self, stage: str, partition: str, round_: str) -> bool:
        cell = partition.rpartition("|")[0]
        place = {**({"round": round_}), **({"cell": cell} if cell else {})}
        return self._lake.has(self._recipe.name, stage, place)


def latest(instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: set[str]) -> dict[str, Event]:
    """How each of these partitions was made last, if it was."""
    ids = instance.event_log_storage.get_latest_storage_id_by_partition(asset, MADE, partitions)
    if not ids:
        return {}
    wanted = dg.AssetRecordsFilter(asset, storage_ids=list(ids.values()))
    records = instance.fetch_materializations(wanted, limit=len(ids)).records
    return {
        str(record.partition_key): Event(record.storage_id, record.asset_materialization.tags or {})
        for record in records
        if record.asset_materialization
    }
