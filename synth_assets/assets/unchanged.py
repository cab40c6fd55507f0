"""Which stages of a round have nothing to do, and so are left as they are.

A backfill of Dagster's makes what comes after a partition once that was materialized in the backfill, and not
before. So what is left there is materialized once more by its last event, without a run of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from synth_assets.assets.dagster_internals import last_verdict
from synth_assets.assets.factory import COMPLETE, Assets, key, partitions_of
from synth_assets.assets.states import DATA_VERSION, DagsterStates
from synth_assets.core.errors import UserError
from synth_assets.partitions import cell_key, columns
from synth_assets.planning.plan import states
from synth_assets.recipe.columns import STAGES
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage.lake import Lake, Partition
from synth_assets.stages import tables
from synth_assets.stages.graph import cut_by, ends, graph

Event = tuple[str, str, dg.EventLogRecord]  # stage, partition, and how it was made last
MADE = dg.DagsterEventType.ASSET_MATERIALIZATION
MADE_AT = "synth/made_at"  # tag of such an event: the number of the one of when the rows were made
LEFT = "It would come out as it is, and was left so."


class Known(NamedTuple):
    """Where it is looked up what there is of a recipe's rounds."""

    recipe: Recipe
    instance: dg.DagsterInstance
    assets: Assets
    lake: Lake
    log: CallLog
    encoder: MiniLM


class Unchanged:
    """What of one round would come out as it is: Dagster knows no reason to make it again, its rows are in
    the lake, nothing of it was stopped or left without an answer (see `factory.complete`), and no round
    before it was made since (stages of whole rounds look back at them)."""

    def __init__(self, known: Known, round_: str) -> None:
        self._recipe, self._instance, self._assets, self._lake, self._log, self._encoder = known
        self._round = round_
        self._asking = {
            stage.name for stage in graph(known.recipe) if stage.model is not None and not stage.ahead
        }

    def left(self, cut: Sequence[str], cells: Sequence[str]) -> dict[str, list[str]]:
        """Cell (empty: what no cell owns) -> the stages that are cut so and are to be made: the first that
        may come out otherwise, unless none rests on it, and all after it. What would come out as it is,
        though something that it rests on was edited, is made by itself: so Dagster learns that it is up to
        date."""
        of = self._recipe, self._round
        known = DagsterStates(*of, self._assets, self._instance, self._lake, self._encoder)
        found = states(*of, self._lake, self._log, self._encoder, known, cut, cells)
        left: dict[str, list[str]] = {cell: [] for cell in cells}
        end = ends(self._recipe)
        for cell, stages in found.items():
            changed = False
            for stage in cut_by(self._recipe, *cut):
                names = (stage.name, *stage.also)
                again = changed or not all(self._same(name, cell, stages[name]) for name in names)
                if again or not all(known.is_fresh(name, cell or None) for name in names):
                    left[cell] += names
                changed = again and (changed or stage.name not in end)
        return left

    def whole(self, page: Path) -> Iterator[Event]:
        """How that of the round was made which would come out as it is, with its page: none where seeds or
        values would not, and none of a whole round's stages where a cell's would not."""
        if any(self.left((), ("",)).values()):
            return
        of_cells = self.left(("round", "cell"), list(self._recipe.cells))
        of_round = {} if any(of_cells.values()) else self.left(("round",), ("",))
        for cell, made in (of_cells | of_round).items():
            stages = cut_by(self._recipe, *(("round", "cell") if cell else ("round",)))
            names = [name for stage in stages for name in (stage.name, *stage.also)]
            if not cell and not made and self.has_report(page):
                names.append("report")
            partition = cell_key(self._round, cell) if cell else self._round
            for name in names:
                if name not in made and (record := self._last(name, partition)):
                    yield name, partition, record

    def has_report(self, page: Path) -> bool:
        """Whether the round's page was made after its metrics, and is there."""
        return page.exists() and self._after("report", self._round, "metrics", self._round)

    def has_training_set(self, latest: str) -> bool:
        """Whether the training set was made after the rows of the latest round were."""
        return self._after("training_set", None, "weighted", latest)

    def _after(self, stage: str, partition: str | None, before: str, of: str) -> bool:
        made, read = self._last(stage, partition), self._last(before, of)
        return bool(made and read and made_at(made) > made_at(read))

    def _same(self, stage: str, cell: str, state: str) -> bool:
        cut = tables.stages(self._recipe)[stage]
        place = {name: value for name, value in (("round", self._round), ("cell", cell)) if name in cut}
        if stage == "metrics":  # which make what the next round is told
            told = [{"round": self._round, "cell": name} for name in self._recipe.cells]
            if not all(self._lake.has(self._recipe.name, "feedback", each) for each in told):
                return False
        if state != "unchanged":
            return False
        made = self._last(stage, cell_key(self._round, cell) if cell else self._round if cut else None)
        if made is None or not made.asset_materialization:
            return False
        tags = made.asset_materialization.tags or {}
        seen = cut != ("round",) or not self._made_before_since(made_at(made))
        return seen and COMPLETE in tags and self._is_whole(stage, place, tags[DATA_VERSION])

    def _is_whole(self, stage: str, place: Partition, version: str) -> bool:
        """Whether the lake has the rows that were made, and the calls behind them."""
        name = self._recipe.name
        try:
            if tables.version_made(self._lake.table(name, stage, place)) != version:
                return False
            if "round" in place and stage in self._asking:
                calls = {"used_by": stage, "cell": "all", **place}
                self._lake.table(name, "calls", {column: calls[column] for column in STAGES["calls"]})
        except UserError:  # a file is missing or damaged
            return False
        return True

    def _last(self, stage: str, partition: str | None) -> dg.EventLogRecord | None:
        wanted = dg.AssetRecordsFilter(
            key(self._recipe, stage), asset_partitions=None if partition is None else [partition]
        )
        return next(iter(self._instance.fetch_materializations(wanted, limit=1).records), None)

    def _made_before_since(self, number: int) -> bool:
        """Whether anything of a round before this one was made after that event."""
        for asset, ids in self._before:
            if newer := [event for event in ids if event > number]:
                wanted = dg.AssetRecordsFilter(asset, storage_ids=newer)
                records = self._instance.fetch_materializations(wanted, limit=len(newer)).records
                if any(made_at(record) > number for record in records):
                    return True
        return False

    @cached_property
    def _before(self) -> list[tuple[dg.AssetKey, list[int]]]:
        """Stages with the numbers of the last event of each partition of the rounds before this one."""
        found = []
        for stage, cut in tables.stages(self._recipe).items():
            if cut and partitions_of(self._recipe, stage) and stage not in ("calls", "feedback"):
                asset = key(self._recipe, stage)
                ids = self._instance.event_log_storage.get_latest_storage_id_by_partition(asset, MADE)
                found.append((asset, [n for p, n in ids.items() if p[-len(self._round) :] < self._round]))
        return found


def made_at(record: dg.EventLogRecord) -> int:
    """The number of the event of when the rows were made."""
    tags = record.asset_materialization.tags if record.asset_materialization else None
    return int((tags or {}).get(MADE_AT, record.storage_id))


def leave(context: dg.AssetExecutionContext, recipe: Recipe, found: Iterable[Event]) -> Iterator[str]:
    """Say in this run once more what these events say, with what their checks found; yields what is left."""
    checks = {name: stage.checks for stage in graph(recipe) for name in (stage.name, *stage.also)}
    for name, partition, record in found:
        made = record.asset_materialization
        assert made is not None
        again = dg.AssetMaterialization(
            made.asset_key,
            description=LEFT,
            metadata={**made.metadata, "unchanged": LEFT},
            partition=partition,
            tags={**(made.tags or {}), MADE_AT: str(made_at(record))},
        )
        context.log_event(again)
        for check in checks.get(name, ()):
            if said := last_verdict(context.instance, dg.AssetCheckKey(made.asset_key, check), partition):
                context.log_event(said)
        yield " ".join([name, *columns(partition).values()])
