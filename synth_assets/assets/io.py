"""Dagster's hand on the lake: an asset's value is written to its partition and read from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets import training_set
from synth_assets.assets.going_on import GoingOn
from synth_assets.core.errors import UserError
from synth_assets.partitions import columns
from synth_assets.recipe.recipe import Recipe
from synth_assets.report.views import show
from synth_assets.resources.storage.delta_sql import ready
from synth_assets.resources.storage.lake import Lake
from synth_assets.resources.storage.warehouse import Warehouse, plain
from synth_assets.stages import tables
from synth_assets.stages.seeds import not_here


class LakeIOManager(dg.IOManager):
    """Writes an asset's table to its partition of the lake, and reads partitions for other assets: as a
    pandas DataFrame; where an input is annotated so, as a DuckDB relation, or (of one partition) as the
    `Path` of its Parquet file, which load nothing."""

    def __init__(self, lake: Lake, warehouse: Warehouse, recipes: Mapping[str, Recipe]) -> None:
        self._lake, self._warehouse, self._recipes = lake, warehouse, recipes

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        name, stage = context.asset_key.path[-2:]
        recipe = self._recipes[name]
        partition = _partitions(context, recipe, stage)[0]
        if "round" in partition:  # how far the round is has to be looked at anew
            self._lake.looks.forget(name, partition["round"])
        words = " ".join([name, stage, *partition.values()])
        with GoingOn(context.log.info).doing(f"{words}: writes"):
            self._lake.write(name, stage, partition, obj, context.run_id)
        if self._lake.tables is None:  # else what reads them shows them: the store is far, and views are here
            show(recipe, self._warehouse, self._recipes)
        context.log.info(f"{words}: {obj.num_rows:,} rows written")
        context.add_output_metadata(
            {
                "path": dg.MetadataValue.path(self._lake.place(name, stage, partition)),
                "sql": f"select * from {plain(name)}.{plain(stage)}"
                + "".join(
                    f"{' and' if i else ' where'} {c} = '{v}'" for i, (c, v) in enumerate(partition.items())
                ),
            }
        )

    def load_input(self, context: dg.InputContext) -> Any:
        asset = context.asset_key
        if outside := [r for r in self._recipes.values() if r.seeds.asset == asset.to_user_string()]:
            raise UserError(not_here(outside[0]))
        name, stage = asset.path[-2:]
        recipe = self._recipes[name]
        if stage == training_set.NAME:
            stage, partitions = training_set.STAGE, [training_set.latest(recipe, self._lake)]
        else:
            partitions = _partitions(context, recipe, stage)
        wanted: Any = context.dagster_type.typing_type
        if wanted is Path and len(partitions) == 1:
            return self._lake.file(name, stage, partitions[0])
        if getattr(wanted, "__name__", "") == "DuckDBPyRelation":
            import duckdb

            if (store := self._lake.tables) is not None:
                ready(duckdb.default_connection(), store.where)
            return duckdb.sql(f"from {self._lake.scan_sql(name, stage, partitions)}")
        with GoingOn(context.log.info).doing(f"{name} {stage}: reads"):
            return self._lake.read(name, stage, partitions, tables.schema(recipe, stage))


def _partitions(context: Any, recipe: Recipe, stage: str) -> list[dict[str, str]]:
    """The lake's columns of all partitions that are written or read here, sorted: row order is fixed."""
    if not tables.stages(recipe)[stage]:
        return [{}]
    return sorted(map(columns, context.asset_partition_keys), key=lambda p: tuple(p.values()))
