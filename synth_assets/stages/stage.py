"""What every stage shares, whoever runs it: its key, its rows of earlier rounds, its verdicts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import dagster as dg

from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages import tables

Table = Any  # a pandas DataFrame: named so that loading the definitions does not import pandas


def key(recipe: Recipe, stage: str) -> dg.AssetKey:
    return dg.AssetKey([recipe.name, stage])


def rounds_before(
    recipe: Recipe, lake: Lake, stage: str, round_: str, columns: Sequence[str] | None = None
) -> Table:
    """The rows of a stage in all rounds before this one, of the cells that the recipe still has; of its
    columns those that are named, and the cell."""
    import pyarrow as pa

    schema = tables.schema(recipe, stage)
    if columns is not None:
        schema = pa.schema([field for field in schema if field.name in {*columns, "cell"}])
    before = [
        p
        for p in lake.partitions(recipe.name, stage, tables.stages(recipe)[stage])
        if p["round"] < round_ and p.get("cell", recipe.cells[0]) in recipe.cells
    ]
    rows = lake.read(recipe.name, stage, before, schema)
    return rows[rows["cell"].isin(recipe.cells)].reset_index(drop=True)


class Verdict(NamedTuple):
    """One thing that a check looks at."""

    fine: bool
    words: str
    blocks: bool = True


def unique_ids(rows: Table) -> Verdict:
    """Row ids are there and unique. (Columns and types hold by then: a table that breaks them is refused.)"""
    unique = bool(rows["row_id"].notna().all() and rows["row_id"].is_unique)
    words = "there and unique" if unique else "missing or repeated: two conditions made the same row"
    return Verdict(unique, f"Row ids are {words}.")
