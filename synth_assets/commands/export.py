"""`synth export`: write the set into a folder, with its dataset card."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synth_assets.commands.options import add_round, recipe_named
from synth_assets.core.errors import UserError, unknown
from synth_assets.recipe.recipe import Recipe
from synth_assets.report.card import CARD, FILES, Format, card, facts
from synth_assets.report.one_round import latest_round
from synth_assets.report.views import show
from synth_assets.resources.home import lake
from synth_assets.resources.storage.files import beside, flushed, write
from synth_assets.stages import tables


def export(
    recipe: Recipe, to: Path, kind: Format = "hf", stage: str = "weighted", round_: str | None = None
) -> int:
    """Write the data set into the folder `to`, whole or not at all; returns its rows.

    UserError when there is something in the folder already, or nothing to export.
    """
    stages = tables.stages(recipe)
    if kind not in FILES:
        raise unknown("format", kind, FILES)
    if stage not in stages:
        raise unknown("stage", stage, stages)
    if stage in ("calls", "feedback"):
        raise UserError(f"--stage {stage} has no rows of the set: try weighted, or generations.")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError(f"{to}: there is something already: remove it, or name another folder.")
    columns, schema, warehouse = stages[stage], tables.schema(recipe, stage), show(recipe)
    round_ = latest_round(recipe, stage, round_) if "round" in columns else None
    cells = (*recipe.cells, "all")  # that the recipe still has
    there = lake().partitions(recipe.name, stage, columns)
    places = [p for p in there if p.get("round") == round_ and p.get("cell", "all") in cells] or [{}]
    parts = (part for place in places for part in lake().stream(recipe.name, stage, place, schema))
    with beside(to) as folder:
        file = folder / FILES[kind]
        file.parent.mkdir(parents=True)
        rows = _write(file, (_of_today(recipe, part) for part in parts), schema, kind)
        data = facts(recipe, warehouse, stage, round_, rows)
        write(folder / CARD, json.dumps(data, indent=2, ensure_ascii=False))
        write(folder / "README.md", "\n".join(card(recipe, kind, schema, data)))
    return rows


def _of_today(recipe: Recipe, rows: pa.Table) -> pa.Table:
    """Without rows of cells that the recipe no longer has; a training set has labels in their place."""
    places = ("cell", "label") if recipe.labels else ("cell",)
    place = next((name for name in places if name in rows.column_names), None)
    return rows if place is None else rows.filter(pc.is_in(rows[place], pa.array([*recipe.cells, "all"])))


def _write(file: Path, parts: Iterable[pa.Table], schema: pa.Schema, kind: Format) -> int:
    rows = 0
    with flushed(file) as out:
        if kind == "jsonl":
            for part in parts:
                rows += len(part)
                lines = (json.dumps(row, ensure_ascii=False) for row in part.to_pylist())
                out.writelines(f"{line}\n".encode() for line in lines)
        else:
            with pq.ParquetWriter(out, schema, compression="zstd") as writer:
                for part in parts:
                    rows += len(part)
                    writer.write_table(part)
    return rows


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--to", metavar="DIR", required=True, type=Path, help="a new folder")
    parser.add_argument("--format", choices=list(FILES), default="hf")
    parser.add_argument("--stage", default="weighted")
    add_round(parser)


def command(options: argparse.Namespace) -> None:
    to = options.to.expanduser().absolute()
    rows = export(recipe_named(options.name), to, options.format, options.stage, options.round)
    print(f"{rows:,} rows and their card are in {to}")
