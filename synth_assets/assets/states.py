"""What Dagster knows of partitions: which are there, which would come out otherwise, which rows they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import dagster as dg

from synth_assets.assets.dagster_internals import is_missing, is_stale, staleness
from synth_assets.assets.factory import Assets, key, partitions_of
from synth_assets.partitions import cell_key, columns
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage.lake import Lake, Partition
from synth_assets.stages import tables
from synth_assets.stages.graph import cut_by

DagsterInstance = dg.DagsterInstance  # for those who only hand it on
DATA_VERSION = "dagster/data_version"


class DagsterStates:
    """`planning.plan.States` by what Dagster knows of the partitions of the recipe's assets."""

    def __init__(
        self, recipe: Recipe, round_: str, assets: Assets, instance: dg.DagsterInstance, lake: Lake
    ) -> None:
        self._recipe, self._round, self._lake = recipe, round_, lake
        cells = [str(cell_key(round_, cell)) for cell in recipe.cells]
        by_cell = {key(recipe, stage.name): cells for stage in cut_by(recipe, "round", "cell")}
        self._resolver = staleness(instance, assets, by_cell)
        self._changed: dict[str | None, str] = {}  # cell (None: a whole round) -> what changes first

    def state(self, stage: str, cell: str | None, changed: bool | None = None) -> tuple[str, str]:
        cut, asset = tables.stages(self._recipe)[stage], key(self._recipe, stage)
        partition = cell_key(self._round, str(cell)) if "cell" in cut else self._round if cut else None
        status = self._resolver.get_status(asset, partition)
        upstream = self._changed.get(cell) or (next(iter(self._changed.values()), "") if cell is None else "")
        if is_missing(status):
            self._changed.setdefault(cell, stage)
            return "new", ""
        if changed is False:
            return "unchanged", ""
        causes = self._resolver.get_stale_causes(asset, partition)
        why = "other rows" if changed else "; ".join(dict.fromkeys(cause.reason for cause in causes))
        if changed or upstream or is_stale(status):
            self._changed.setdefault(cell, stage)
            return "stale", why or f"{upstream} changes"
        return "unchanged", ""

    def orphans(self) -> Iterator[tuple[str, str]]:
        for stage, cut in tables.stages(self._recipe).items():
            if cut == ("round", "cell"):
                for place in self._lake.partitions(self._recipe.name, stage, cut, round=self._round):
                    if place["cell"] not in self._recipe.cells:
                        yield stage, place["cell"]


def versions(recipe: Recipe, stage: str, instance: dg.DagsterInstance) -> list[tuple[Partition, str]]:
    """The partitions of a stage that Dagster says were made, with their last data versions."""
    asset, parts = key(recipe, stage), partitions_of(recipe, stage)
    if stage == "calls":
        return []
    if parts is None:
        event = instance.get_latest_materialization_event(asset)
        made = event.asset_materialization if event else None
        return [({}, (made.tags or {})[DATA_VERSION])] if made else []
    happened = dg.DagsterEventType.ASSET_MATERIALIZATION
    if stage == "feedback":  # is not made by itself: metrics report it
        happened = dg.DagsterEventType.ASSET_OBSERVATION
    tags = instance.event_log_storage.get_latest_tags_by_partition(asset, happened, [DATA_VERSION])
    return [(place, tags[name][DATA_VERSION]) for name, place in _places(recipe, parts, tags)]


def _places(
    recipe: Recipe, parts: dg.PartitionsDefinition, names: Mapping[str, object]
) -> Iterator[tuple[str, Partition]]:
    """Partition keys with the lake's columns, sorted; cells that the recipe no longer has are left out."""
    for name in sorted(names):
        place = columns(
            parts.get_partition_key_from_str(name)
            if isinstance(parts, dg.MultiPartitionsDefinition)
            else name
        )
        if place.get("cell", recipe.cells[0]) in recipe.cells:
            yield name, place
