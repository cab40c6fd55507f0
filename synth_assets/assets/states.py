"""Which partitions of a round are there, and which would come out otherwise: for `synth plan`."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from synth_assets.assets.dagster_internals import is_missing, is_stale, staleness
from synth_assets.assets.factory import Assets, key
from synth_assets.partitions import cell_key
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages import tables
from synth_assets.stages.graph import cut_by


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
