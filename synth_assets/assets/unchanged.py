"""Which stages of a round have nothing to do, and so are left as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg

from synth_assets.assets.factory import COMPLETE, Assets, key, partitions_of
from synth_assets.assets.states import DATA_VERSION, DagsterStates
from synth_assets.core.errors import UserError
from synth_assets.partitions import cell_key
from synth_assets.planning.plan import states
from synth_assets.recipe.columns import STAGES
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage.lake import Lake, Partition
from synth_assets.stages import tables
from synth_assets.stages.graph import cut_by, graph

MADE = dg.DagsterEventType.ASSET_MATERIALIZATION


class Unchanged:
    """What of one round would come out as it is: Dagster knows no reason to make it again, its rows are in
    the lake, nothing of it was stopped or left without an answer (see `factory.complete`), and no round
    before it was made since (stages of whole rounds look back at them)."""

    def __init__(
        self,
        recipe: Recipe,
        round_: str,
        instance: dg.DagsterInstance,
        assets: Assets,
        lake: Lake,
        log: CallLog,
        encoder: MiniLM,
    ) -> None:
        self._recipe, self._round, self._instance, self._assets = recipe, round_, instance, assets
        self._lake, self._log, self._encoder = lake, log, encoder
        self._asking = {stage.name for stage in graph(recipe) if stage.model is not None}
        self._before = max(self._rounds_before(), default=0)

    def left(self, cut: Sequence[str], cells: Sequence[str]) -> dict[str, list[str]]:
        """Cell (empty: what no cell owns) -> the stages that are cut so and are to be made: the first that
        may come out otherwise, and all after it, which rest on it. What would come out as it is, though
        something that it rests on was edited, is made by itself: so Dagster learns that it is up to date."""
        of = self._recipe, self._round
        known = DagsterStates(*of, self._assets, self._instance, self._lake, self._encoder)
        found = states(*of, self._lake, self._log, self._encoder, known, cut, cells)
        left: dict[str, list[str]] = {cell: [] for cell in cells}
        for cell, stages in found.items():
            changed = False
            for stage in cut_by(self._recipe, *cut):
                names = (stage.name, *stage.also)
                changed |= not all(self._same(name, cell, stages[name]) for name in names)
                if changed or not all(known.is_fresh(name, cell or None) for name in names):
                    left[cell] += names
        return left

    def has_report(self, page: Path) -> bool:
        """Whether the round's page was made after its metrics, and is there."""
        return page.exists() and self._after("report", self._round, "metrics", self._round)

    def has_training_set(self, latest: str) -> bool:
        """Whether the training set was made after the rows of the latest round were."""
        return self._after("training_set", None, "weighted", latest)

    def _after(self, stage: str, partition: str | None, before: str, of: str) -> bool:
        made, read = self._last(stage, partition), self._last(before, of)
        return bool(made and read and made.storage_id > read.storage_id)

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
        tags, seen = (
            made.asset_materialization.tags or {},
            made.storage_id > self._before or cut != ("round",),
        )
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

    def _rounds_before(self) -> Iterator[int]:
        """The storage ids of what was made last of every partition of the rounds before this one."""
        for stage, cut in tables.stages(self._recipe).items():
            if cut and partitions_of(self._recipe, stage) and stage not in ("calls", "feedback"):
                asset = key(self._recipe, stage)
                ids = self._instance.event_log_storage.get_latest_storage_id_by_partition(asset, MADE)
                yield from (i for partition, i in ids.items() if partition[-len(self._round) :] < self._round)
