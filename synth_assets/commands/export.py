"""`synth export`: write the set into a folder, with its dataset card."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.commands.options import add_round, recipe_named
from synth_assets.core.errors import UserError, unknown
from synth_assets.report.card import CARD, FILES, card, facts
from synth_assets.report.one_round import latest_round
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
    of_rounds = "round" in tables.stages(recipe)[stage]
    round_ = latest_round(recipe, stage, round_) if of_rounds else None
    places = _places(recipe, lake, stage, round_)
    schema = tables.schema(recipe, stage)
    rows = (part for p in places for part in lake.stream(recipe.name, stage, p, schema))
    with beside(to) as folder:
        file = folder / FILES[kind]
        file.parent.mkdir(parents=True)
        written = _write(file, (_of_today(recipe, part) for part in rows), schema, kind)
        said = facts(recipe, warehouse, stage, round_, written)
        write(folder / CARD, json.dumps(said, indent=2, ensure_ascii=False))
        write(folder / "README.md", "\n".join(card(recipe, kind, schema, said)))
    return written


def _places(recipe: Recipe, lake: Lake, stage: str, round_: str | None) -> list[dict[str, str]]:
    """The partitions of the round, of cells that the recipe still has."""
    cells = (*recipe.cells, "all")
    there = lake.partitions(recipe.name, stage, tables.stages(recipe)[stage])
    return [p for p in there if p.get("round") == round_ and p.get("cell", "all") in cells] or [{}]


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


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--to", metavar="DIR", required=True, type=Path, help="a new folder")
    parser.add_argument("--format", choices=list(FILES), default="hf")
    parser.add_argument("--stage", default="weighted")
    add_round(parser)


def command(options: argparse.Namespace) -> None:
    from synth_assets.report.views import show
    from synth_assets.resources.home import lake, warehouse
    from synth_assets.stages.tables import stages

    recipe = recipe_named(options.name)
    if options.stage not in stages(recipe):
        raise unknown("stage", options.stage, stages(recipe))
    if options.stage in ("calls", "feedback"):
        raise UserError(f"--stage {options.stage} has no rows of the set: try weighted, or generations.")
    to = options.to.expanduser().absolute()
    show(warehouse(), recipe)
    rows = export(recipe, lake(), warehouse(), to, options.format, options.stage, options.round)
    print(f"{rows:,} rows and their card are in {to}")
