"""`synth export`: write the set into a folder, with its dataset card."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synth_assets.commands.options import add_round, recipe_named
from synth_assets.core.errors import UserError, unknown
from synth_assets.core.text import marks
from synth_assets.recipe.recipe import Recipe
from synth_assets.report.card import CARD, FILES, NO_LICENCE, Format, card, facts, of_seeds
from synth_assets.report.one_round import latest_round
from synth_assets.report.views import show
from synth_assets.resources.home import lake
from synth_assets.resources.storage.files import beside, flushed, write
from synth_assets.stages import tables


def export(
    recipe: Recipe,
    to: Path,
    kind: Format = "hf",
    stage: str = "weighted",
    round_: str | None = None,
    seeds: bool = False,
    unreleased: bool = False,
) -> Counter[str]:
    """Write the data set into the folder `to`, whole or not at all; returns how many rows are `synthetic` and
    how many `seed`. A training set is written without its seeds, which are somebody's, unless asked for.

    UserError when there is something in the folder already, or nothing to export, or people do not agree with
    the labels as far as the recipe wants (unless it is to be written `unreleased`).
    """
    stages = tables.stages(recipe)
    if kind not in FILES:
        raise unknown("format", kind, FILES)
    target = recipe.task.predict
    if kind == "conll" and (target is None or target.word != "spans"):
        raise UserError("--format conll is of spans (task.predict: {spans: ...}), which this recipe has not.")
    if stage not in stages:
        raise unknown("stage", stage, stages)
    if stage in ("calls", "feedback"):
        raise UserError(f"--stage {stage} has no rows of the set: try weighted, or generations.")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError(f"{to}: there is something already: remove it, or name another folder.")
    columns, schema, warehouse = stages[stage], tables.schema(recipe, stage), show(recipe)
    round_ = latest_round(recipe, stage, round_) if "round" in columns else None
    people = _released(recipe, str(round_), unreleased) if stage == "weighted" else {}
    cells = (*recipe.cells, "all")  # that the recipe still has
    there = lake().partitions(recipe.name, stage, columns)
    places = [p for p in there if p.get("round") == round_ and p.get("cell", "all") in cells] or [{}]
    streamed = (part for place in places for part in lake().stream(recipe.name, stage, place, schema))
    rows: Counter[str] = Counter()
    wanted = (_wanted(recipe, part, seeds) for part in streamed)
    if kind == "conll":
        wanted = (_with_spans(part, target) for part in wanted)
    parts = _counted(wanted, stage, rows)
    with beside(to) as folder:
        file = folder / FILES[kind]
        file.parent.mkdir(parents=True)
        if kind == "conll":
            _write_conll(file, parts, target)
        else:
            _write(file, parts, schema, kind)
        data = facts(recipe, warehouse, stage, round_, rows) | people
        write(folder / CARD, json.dumps(data, indent=2, ensure_ascii=False))
        write(folder / "README.md", "\n".join(card(recipe, kind, schema, data)))
    if rows["seed"] and not recipe.seeds.license:
        print(f"warning: {NO_LICENCE}", file=sys.stderr)
    return rows


def _released(recipe: Recipe, round_: str, unreleased: bool) -> dict[str, str]:
    """For the card, how far people agree with the labels; nothing where the recipe wants no agreement."""
    from synth_assets.evaluation.people import released

    if (at_least := recipe.released_at) is None:
        return {}
    there, place = lake(), {"round": round_}
    measured = there.has(recipe.name, "metrics", place)
    rows = there.table(recipe.name, "metrics", place).to_pylist() if measured else []
    fine, words = released(at_least, rows, recipe.name)
    if not fine and not unreleased:
        raise UserError(
            f"{recipe.name} {round_} is not released: {words} The recipe wants {at_least:.0%} "
            "(review.agreement). To have it all the same, and the card say so: --unreleased"
        )
    return {"people": words if fine else f"**Not released.** {words}"}


def _wanted(recipe: Recipe, rows: pa.Table, seeds: bool) -> pa.Table:
    """Without rows of cells that the recipe no longer has (a training set has labels in their place), and
    without seeds that nobody asked for."""
    if "origin" in rows.column_names and not seeds:
        rows = rows.filter(pc.not_equal(rows["origin"], "seed"))
    places = ("cell", "label") if recipe.labels else ("cell",)
    place = next((name for name in places if name in rows.column_names), None)
    known = recipe.labels if place == "label" else [*recipe.cells, "all"]
    return rows if place is None else rows.filter(pc.is_in(rows[place], pa.array(known)))


def _counted(parts: Iterable[pa.Table], stage: str, rows: Counter[str]) -> Iterator[pa.Table]:
    alike = "seed" if stage == "seeds" else "synthetic"
    for part in parts:
        rows.update(part["origin"].to_pylist() if "origin" in part.column_names else [alike] * len(part))
        yield part


def _write(file: Path, parts: Iterable[pa.Table], schema: pa.Schema, kind: Format) -> None:
    with flushed(file) as out:
        if kind == "jsonl":
            for part in parts:
                lines = (json.dumps(row, ensure_ascii=False) for row in part.to_pylist())
                out.writelines(f"{line}\n".encode() for line in lines)
        else:
            with pq.ParquetWriter(out, schema, compression="zstd") as writer:
                for part in parts:
                    writer.write_table(part)


def _write_conll(file: Path, parts: Iterable[pa.Table], target: Any) -> None:
    """A token and its BIO tag a line, an empty line after each row."""
    with flushed(file) as out:
        for part in parts:
            for row in part.to_pylist():
                pairs = zip(*marks.tagged(row["text"], target.known_of(row)), strict=True)
                out.write("".join(f"{word}\t{tag}\n" for word, tag in pairs).encode() + b"\n")


def _with_spans(rows: pa.Table, target: Any) -> pa.Table:
    """Without rows whose spans cannot be read."""
    return rows.filter(pa.array([target.known_of(row) is not None for row in rows.to_pylist()], pa.bool_()))


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--to", metavar="DIR", required=True, type=Path, help="a new folder")
    parser.add_argument("--format", choices=list(FILES), default="hf")
    parser.add_argument("--stage", default="weighted")
    parser.add_argument("--seeds", action="store_true", help="with those seeds that the training set has")
    parser.add_argument(
        "--unreleased", action="store_true", help="also where people do not agree with the labels so far"
    )
    add_round(parser)


def command(options: argparse.Namespace) -> None:
    to = options.to.expanduser().absolute()
    recipe = recipe_named(options.name)
    rows = export(recipe, to, options.format, options.stage, options.round, options.seeds, options.unreleased)
    print(f"{rows.total():,} rows and their card are in {to}: {of_seeds(recipe, rows)}")
