"""`synth export`: a stage of one round as a data set of its own, with the card that says how it was made."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.commands.options import as_day, recipe_named
from synth_assets.core.errors import UserError, unknown
from synth_assets.report.card import FILES, card
from synth_assets.resources.storage.files import beside, flushed, write
from synth_assets.stages import tables

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_assets.recipe.recipe import Recipe
    from synth_assets.report.card import Format
    from synth_assets.resources.storage.lake import Lake
    from synth_assets.resources.storage.warehouse import Warehouse


def export(
    recipe: Recipe, lake: Lake, warehouse: Warehouse, to: Path, kind: Format, stage: str, round_: str | None
) -> int:
    """Write the data set into the folder `to`, whole or not at all; returns its rows.

    UserError when there is something in the folder already, or nothing to export.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError(f"--to {to}: there is something already: remove it, or name another folder.")
    round_, places = _places(recipe, lake, stage, round_)
    schema = tables.schema(recipe, stage)
    rows = (part for p in places for part in lake.stream(recipe.name, stage, p, schema))
    with beside(to) as folder:
        file = folder / FILES[kind]
        file.parent.mkdir(parents=True)
        written = _write(file, (_of_today(recipe, part) for part in rows), schema, kind)
        write(folder / "README.md", "\n".join(card(recipe, warehouse, kind, stage, round_, written, schema)))
    return written


def _places(
    recipe: Recipe, lake: Lake, stage: str, round_: str | None
) -> tuple[str | None, list[dict[str, str]]]:
    """The round, by default the latest one, and its partitions."""
    cut = tables.stages(recipe)[stage]
    found = [
        p for p in lake.partitions(recipe.name, stage, cut) if p.get("cell", "all") in (*recipe.cells, "all")
    ]
    if "round" in cut:
        rounds = sorted({p["round"] for p in found})
        round_ = round_ or (rounds[-1] if rounds else None)
        found = [p for p in found if p["round"] == round_]
        if not found:
            known = ", ".join(rounds[-5:]) or "none"
            raise UserError(
                f"{recipe.name}.{stage} has no round {round_ or ''}: the latest are {known}. "
                f"`synth run {recipe.name}` makes one."
            )
        return round_, found
    return None, found or [{}]


def _of_today(recipe: Recipe, rows: pa.Table) -> pa.Table:
    """Without rows of cells that the recipe no longer has; a training set has labels in their place."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = ("cell", "label") if recipe.labels else ("cell",)
    place = next((name for name in places if name in rows.column_names), None)
    return rows if place is None else rows.filter(pc.is_in(rows[place], pa.array([*recipe.cells, "all"])))


def _write(file: Path, parts: Iterator[pa.Table], schema: pa.Schema, kind: Format) -> int:
    import pyarrow.parquet as pq

    written = 0
    with flushed(file) as out:
        if kind == "jsonl":
            for part in parts:
                written += len(part)
                for row in part.to_pylist():
                    out.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
        else:
            with pq.ParquetWriter(out, schema, compression="zstd") as writer:
                for part in parts:
                    written += len(part)
                    writer.write_table(part)
    return written


def command(options: argparse.Namespace) -> None:
    from synth_assets.resources.home import lake, warehouse
    from synth_assets.stages.tables import stages
    from synth_assets.stages.views import show

    recipe = recipe_named(options.name)
    if options.stage not in stages(recipe):
        raise unknown("stage", options.stage, stages(recipe))
    if options.stage in ("calls", "feedback"):
        raise UserError(f"--stage {options.stage} has no rows of the set: try weighted, or generations.")
    round_, to = options.round and as_day(options.round), options.to.expanduser().absolute()
    show(warehouse(), recipe)
    rows = export(recipe, lake(), warehouse(), to, options.format, options.stage, round_)
    print(f"{rows:,} rows and their card are in {to}")
