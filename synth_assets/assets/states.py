"""What Dagster knows of partitions: which are there, which would come out otherwise, which rows they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import dagster as dg

from synth_assets.assets.dagster_internals import is_missing, is_stale, staleness, tags_made, version_made
from synth_assets.assets.factory import COMPLETE, NO_ENCODER, Assets, key, others, partitions_of
from synth_assets.core.errors import NotInstalled
from synth_assets.partitions import cell_key, columns
from synth_assets.recipe.made_from import changes, in_short, made_from
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.own_encoder import chosen
from synth_assets.resources.storage.lake import Lake, Partition
from synth_assets.stages import tables
from synth_assets.stages.feedback import EDITED, edited_before
from synth_assets.stages.graph import cut_by, ends, graph
from synth_assets.stages.run import Encoder, Run

DagsterInstance = dg.DagsterInstance  # for those who only hand it on
NEWS = {"has a new data version": "has other rows", "has a new materialization": "was made again"}
DATA_VERSION, CODE_VERSION = "dagster/data_version", "dagster/code_version"
UNKNOWN = "unknown"  # in the place of a code version: see `known_again`
NO_RECORD = "no record says by which recipe it was made"


class DagsterStates:
    """`planning.plan.States` by what Dagster knows of the partitions of the recipe's assets."""

    def __init__(
        self,
        recipe: Recipe,
        round_: str,
        assets: Assets,
        instance: dg.DagsterInstance,
        lake: Lake,
        encoder: Encoder,
    ) -> None:
        self._recipe, self._round, self._lake = recipe, round_, lake
        self._encoder: Encoder = chosen(recipe.encoder, encoder)
        of_round = {key(recipe, stage.name): [round_] for stage in cut_by(recipe, "round")}
        cells = [str(cell_key(round_, cell)) for cell in recipe.cells]
        parts = of_round | {key(recipe, stage.name): cells for stage in cut_by(recipe, "round", "cell")}
        self._resolver = staleness(instance, [*assets, *others(recipe)], parts, idle=[key(recipe, "plan")])
        self._sections = {n: stage.sections for stage in graph(recipe) for n in (stage.name, *stage.also)}
        self._changed: dict[str | None, str] = {}  # cell (None: a whole round) -> what changes first
        self._ends = ends(recipe)

    def _partition(self, stage: str, cell: str | None) -> str | None:
        cut = tables.stages(self._recipe)[stage]
        return cell_key(self._round, str(cell)) if "cell" in cut else self._round if cut else None

    def is_fresh(self, stage: str, cell: str | None) -> bool:
        """Whether Dagster knows no reason to make the partition (again), whatever its rows would be."""
        status = self._resolver.get_status(key(self._recipe, stage), self._partition(stage, cell))
        return not is_missing(status) and not is_stale(status)

    def tags(self, stage: str, cell: str | None) -> Mapping[str, str]:
        """Those that the partition was made with; none where it was never made."""
        return tags_made(self._resolver, key(self._recipe, stage), self._partition(stage, cell))

    @cached_property
    def _encodes(self) -> bool:
        """Whether the encoder is there."""
        try:
            self._encoder.folder()
        except NotInstalled:
            return False
        return True

    def state(self, stage: str, cell: str | None, changed: bool | None = None) -> tuple[str, str]:
        asset, partition = key(self._recipe, stage), self._partition(stage, cell)
        status = self._resolver.get_status(asset, partition)
        upstream = self._changed.get(cell) or (next(iter(self._changed.values()), "") if cell is None else "")
        if is_missing(status):
            self._changes(stage, cell)
            return "new", ""
        if changed is False:
            return "unchanged", ""
        if not upstream and self.tags(stage, cell).get(COMPLETE) == NO_ENCODER and self._encodes:
            self._changes(stage, cell)
            return "stale", "what was unknown without the encoder"
        if changed or upstream or is_stale(status):
            self._changes(stage, cell)
            return "stale", self._edited(stage, partition) or self._why(asset, partition, changed, upstream)
        return "unchanged", ""

    def _changes(self, stage: str, cell: str | None) -> None:
        if stage not in self._ends:
            self._changed.setdefault(cell, stage)

    def _edited(self, stage: str, partition: str | None) -> str:
        """What of the recipe is other than when the partition was made; empty where nothing is."""
        made = version_made(self._resolver, key(self._recipe, stage), partition)
        sections = self._sections.get(stage)
        if sections is None or made in (None, self._recipe.version(*sections)):
            return ""
        before = self._lake.version(str(made))
        if before is None:
            return NO_RECORD if made == UNKNOWN else "the recipe has changed; what it said then was not kept"
        found = changes(before, made_from(self._recipe, *sections))
        return in_short(found) or "a method of one's own has changed"

    def _why(self, asset: dg.AssetKey, partition: str | None, changed: bool | None, upstream: str) -> str:
        """Which stage before it has changed."""
        causes = self._resolver.get_stale_causes(asset, partition)
        if changed or not causes:
            run = Run(self._recipe, self._lake, self._encoder, self._round)
            edited = edited_before(run) if asset == key(self._recipe, "conditions") else ""
            return edited or ("other rows" if changed else f"{upstream} changes")
        there = (cause.key.asset_key for cause in causes)
        words = [
            c.reason if of == asset else f"{of.path[-1]} {NEWS.get(c.reason, 'changes')}"
            for of, c in zip(there, causes, strict=True)
        ]
        return "; ".join(dict.fromkeys(words))

    def orphans(self) -> Iterator[tuple[str, str]]:
        for stage, cut in tables.stages(self._recipe).items():
            if cut == ("round", "cell"):
                for place in self._lake.partitions(self._recipe.name, stage, cut, round=self._round):
                    if place["cell"] not in self._recipe.cells:
                        yield stage, place["cell"]


def versions(recipe: Recipe, stage: str, instance: dg.DagsterInstance) -> list[tuple[Partition, str]]:
    """The partitions of a stage that Dagster says were made, with the last data versions of their rows."""
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
    rows = {name: of[DATA_VERSION].partition(EDITED)[0] for name, of in tags.items()}
    return [(place, rows[name]) for name, place in _places(recipe, parts, rows)]


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
