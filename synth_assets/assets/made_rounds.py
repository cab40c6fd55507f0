"""What there is of a recipe's rounds, by what is on disk and in Dagster's log: what is missing, which stages
do not belong together, what the recipe says otherwise since."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from typing import Literal, NamedTuple

import dagster as dg

from synth_assets.assets.dagster_internals import failing
from synth_assets.assets.factory import COMPLETE, key
from synth_assets.assets.failures import unanswered
from synth_assets.assets.states import CODE_VERSION, DATA_VERSION, NO_RECORD, UNKNOWN
from synth_assets.assets.unchanged import MADE, Known, Unchanged
from synth_assets.core.errors import UserError
from synth_assets.partitions import cell_key
from synth_assets.recipe.made_from import changes, in_short, made_from
from synth_assets.stages import tables
from synth_assets.stages.graph import graph
from synth_assets.stages.stage import Stage

MOST = 5_000  # partitions in one question
READ = "dagster/input_data_version"


class Event(NamedTuple):
    """A materialization: its number in the log, and its tags."""

    id: int
    tags: Mapping[str, str]


class MadeRounds:
    """The rounds of one recipe, at one moment."""

    def __init__(self, known: Known) -> None:
        self._at = known
        self._recipe, self._instance, _, self._lake, *_ = known
        self._known: dict[str, dict[str, dict[str, Event]]] = {}
        self.unanswered = set[str]()  # rounds that are missing nothing but answers

    def missing(self, round_: str) -> str:
        """What of a round is not made, empty where it is whole: its last stage is made, of what is there now,
        and nothing is without an answer. Cells that came into the recipe since are no part of it."""
        made = self._made(round_)
        for stage, partitions in made.items():
            if not partitions and self._cut[stage] == ("round",):
                return f"{stage} was not made"
            for partition, event in partitions.items():
                if not self._has(stage, partition, round_):
                    return f"{stage} of {partition} is not in the lake any more"
                if COMPLETE not in event.tags:
                    self.unanswered.add(round_)
                    return self._said_of(stage, partition, round_)
        try:
            return self.mixed(round_)
        except UserError as error:  # a file is damaged
            return str(error)

    def _said_of(self, stage: str, partition: str, round_: str) -> str:
        """What the calls, or else the checks, say of rows that are not as they should be."""
        with suppress(UserError):  # their file is damaged
            if words := unanswered(self._lake, self._recipe, round_):
                return words
        cell, said = partition.rpartition("|")[0], self._failing(stage, partition).values()
        return f"{stage}{f' of {cell}' if cell else ''}: {' '.join(said) or 'not complete'}"

    def red(self, round_: str) -> list[str]:
        """What the checks say that failed, each in words."""
        return [
            f"{stage}{f' of {cell}' if cell else ''}: check {name}: {words}"
            for stage, partitions in self._made(round_).items()
            for partition in partitions
            for cell in [partition.rpartition("|")[0]]
            for name, words in self._failing(stage, partition).items()
        ]

    def _failing(self, stage: str, partition: str) -> Mapping[str, str]:
        checks = next((each.checks for each in self._graph if each.name == stage), ())
        return failing(self._instance, key(self._recipe, stage), checks, partition) if checks else {}

    def mixed(self, round_: str) -> str:
        """Which stage of a round is of other rows than those that it reads now, so that the two do not belong
        together; empty where none is."""
        stage, read = self._out_of_order(self._made(round_))
        if not stage or not self._left(round_, self._made(round_)):
            return ""
        return f"{stage} is of other rows of {read} than those that are there now"

    def _out_of_order(self, made: Mapping[str, Mapping[str, Event]]) -> tuple[str, str]:
        """A stage that was not made after what it reads, nor of the same rows, and what that is. Where there
        is none, nobody needs to look closer."""
        stages = [(stage, its) for stage in self._graph for its in (stage.name, *stage.also)]
        for stage, its in stages:
            for name in (read for read in stage.reads if read in made):
                tag = f"{READ}/{key(self._recipe, name).to_user_string()}"
                for partition, event in made[its].items():
                    one = self._cut[name] == self._cut[its]
                    read = [e for p, e in sorted(made[name].items()) if not one or p == partition]
                    versions = "".join(each.tags.get(DATA_VERSION, "") for each in read)
                    same = event.tags.get(tag) == sha256(versions.encode()).hexdigest()  # as Dagster has it
                    if not same and any(each.id > event.id for each in read):
                        return its, name
        return "", ""

    def _left(self, round_: str, made: Mapping[str, Mapping[str, Event]]) -> bool:
        """Whether anything would come out otherwise, though its recipe is the same."""
        unchanged = Unchanged(self._at, round_)
        cells = [c for c in self._recipe.cells if str(cell_key(round_, c)) in made["conditions"]]
        left = [
            *unchanged.left(("round", "cell"), cells).values(),
            *unchanged.left(("round",), ("",)).values(),
        ]
        return any(left)

    def since(self, round_: str) -> tuple[Literal["whole", "stale"], str]:
        """Whether the recipe says something else since the round was made, and what. A number of rows of its
        own (`synth run --rows`) makes it no older."""
        found = dict[str, None]()
        for stage in self._graph:
            now = self._recipe.version(*stage.sections)
            for event in self._made(round_)[stage.name].values():
                made = event.tags.get(CODE_VERSION, now)
                if made != now:
                    before = self._lake.version(made)
                    words = changes(before, made_from(self._recipe, *stage.sections)) if before else []
                    why = NO_RECORD if made == UNKNOWN else "the recipe has changed"
                    found |= dict.fromkeys(words or [why])
        if not found:
            return "whole", ""
        if len(found) == 1 and (rows := re.fullmatch(r"rows (\d+) -> (\d+)", next(iter(found)))):
            return "whole", f"made with {rows[1]} rows a cell; the recipe says {rows[2]}"
        return "stale", in_short(list(found))

    @cached_property
    def _graph(self) -> list[Stage]:
        return [stage for stage in graph(self._recipe) if tables.stages(self._recipe)[stage.name]]

    @cached_property
    def _names(self) -> list[str]:
        return [name for stage in self._graph for name in (stage.name, *stage.also)]

    @cached_property
    def _cut(self) -> dict[str, tuple[str, ...]]:
        return tables.stages(self._recipe)

    def look_up(self, rounds: Collection[str]) -> None:
        """Ask Dagster of all these rounds at once, which takes as many questions as one of them alone."""
        new = [round_ for round_ in rounds if round_ not in self._known]
        step = max(1, MOST // len(self._recipe.cells))
        for some in (new[i : i + step] for i in range(0, len(new), step)):
            self._known |= {round_: {name: {} for name in self._names} for round_ in some}
            cells = {str(cell_key(round_, cell)) for round_ in some for cell in self._recipe.cells}
            for name in self._names:
                partitions = cells if "cell" in self._cut[name] else set(some)
                for partition, event in latest(self._instance, key(self._recipe, name), partitions).items():
                    self._known[partition.rpartition("|")[2]][name][partition] = event

    def _made(self, round_: str) -> dict[str, dict[str, Event]]:
        """Stage, in the order in which they are made -> partition of the round -> how it was made last."""
        self.look_up([round_])
        return self._known[round_]

    def _has(self, stage: str, partition: str, round_: str) -> bool:
        cell = partition.rpartition("|")[0]
        place = {"round": round_} | ({"cell": cell} if cell else {})
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
