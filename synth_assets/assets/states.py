"""Which partitions of a round are there, and which would come out otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

import dagster as dg

from synth_assets.assets.dagster_internals import staleness
from synth_assets.assets.nightly import made_by_cell
from synth_assets.partitions import cell_key
from synth_assets.planning.estimates import Line, expected
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.storage.lake import FILE
from synth_assets.stages import tables
from synth_assets.stages.stage import key

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.planning.foreseen import Foreseen
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.resources.storage.lake import Lake


class States:
    """Which partitions of a round are there, and which would come out otherwise."""

    def __init__(self, recipe: Recipe, round_: str, instance: dg.DagsterInstance, lake: Lake) -> None:
        from synth_assets.assets.code_location import build

        self._recipe, self._round, self._lake = recipe, round_, lake
        graph = build({recipe.name: recipe}).resolve_asset_graph()
        self._resolver = staleness(instance, graph, self._partitions())
        self._changed: dict[
            str | None, str
        ] = {}  # cell (None: a whole round) -> the stage that changes first

    def _partitions(self) -> dict[dg.AssetKey, list[str]]:
        """What the round has of each stage that is made cell by cell."""
        cells = [cell_key(self._round, cell) for cell in self._recipe.cells]
        return {asset: [str(cell) for cell in cells] for asset in made_by_cell(self._recipe)}

    def differs(self, stage: str, place: Mapping[str, str], rows: pd.DataFrame) -> bool:
        """Whether the lake has other rows there."""
        if not self._lake.path(self._recipe.name, stage, place).exists():
            return True
        schema = tables.schema(self._recipe, stage)
        there = self._lake.read(self._recipe.name, stage, [place], schema)
        new, old = (tables.to_arrow(self._recipe, stage, table) for table in (rows, there))
        return tables.content_hash(new) != tables.content_hash(old)

    def line(
        self,
        stage: str,
        cell: str | None,
        asked: Foreseen | None = None,
        log: CallLog | None = None,
        model: Model | None = None,
        changed: bool | None = None,
        what: str = "",
    ) -> Line:
        state, why = self._state(stage, cell, changed)
        line = Line(stage, cell, state, why, what=what)
        if asked is not None and log is not None and model is not None:
            line.calls, line.from_log = asked.calls, asked.from_log
            asset = key(self._recipe, stage).to_user_string()
            line.tokens, line.cost, line.seconds = expected(log, asset, model, asked.calls)
        return line

    def _state(self, stage: str, cell: str | None, changed: bool | None) -> tuple[str, str]:
        """`changed`: what is known of the rows themselves; else it follows from what the stage reads."""
        from dagster._core.definitions.data_version import StaleStatus

        cut = tables.stages(self._recipe)[stage]
        partition = cell_key(self._round, str(cell)) if "cell" in cut else self._round if cut else None
        status = self._resolver.get_status(key(self._recipe, stage), partition)
        upstream = self._changed.get(cell) or (next(iter(self._changed.values()), "") if cell is None else "")
        if status == StaleStatus.MISSING:
            self._changed.setdefault(cell, stage)
            return "new", ""
        if changed is False:
            return "unchanged", ""
        causes = self._resolver.get_stale_causes(key(self._recipe, stage), partition)
        why = "other rows" if changed else "; ".join(dict.fromkeys(cause.reason for cause in causes))
        if changed or upstream or status == StaleStatus.STALE:
            self._changed.setdefault(cell, stage)
            return "stale", why or f"{upstream} changes"
        return "unchanged", ""

    def orphans(self) -> Iterator[Line]:
        """Partitions of the round that the recipe does not have any more."""
        for stage, cut in tables.stages(self._recipe).items():
            if cut == ("round", "cell"):
                round_ = self._lake.path(self._recipe.name, stage, {"round": self._round}).parent
                for file in sorted(round_.glob(f"cell=*/{FILE}")):
                    cell = unquote(file.parent.name.removeprefix("cell="))
                    if cell not in self._recipe.cells:
                        yield Line(stage, cell, "orphaned", "the recipe has no such cell")
