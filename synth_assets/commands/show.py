"""`synth show`: print rows of a stage."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from synth_assets.commands.options import recipe_named
from synth_assets.commands.output import add_json
from synth_assets.core.errors import unknown

if TYPE_CHECKING:
    import duckdb

    from synth_assets.recipe.recipe import Recipe


def rows(
    recipe: Recipe, stage: str, n: int | None = None, round_: str | None = None
) -> duckdb.DuckDBPyRelation:
    """The rows of a stage, of all rounds or of one, as its view has them. UserError for an unknown stage."""
    from synth_assets.report.views import show
    from synth_assets.resources.storage.quoted import identifier
    from synth_assets.stages.tables import stages

    if stage not in stages(recipe):
        raise unknown("stage", stage, stages(recipe))
    of = f"from {identifier(recipe.name)}.{identifier(stage)}"
    where, limit = " where round = $round" if round_ else "", "" if n is None else f" limit {int(n)}"
    return show(recipe).query(f"select * {of}{where}{limit}", {"round": round_} if round_ else None)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--stage", default="weighted")
    parser.add_argument("-n", type=int, default=5, metavar="ROWS")
    add_json(parser)


def command(options: argparse.Namespace) -> None:
    from synth_assets.report.one_round import latest_verdict, must_have_rows
    from synth_assets.resources.home import warehouse

    recipe = recipe_named(options.name)
    answer = rows(recipe, options.stage, options.n)
    must_have_rows(recipe, options.stage)
    found = [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]
    verdict = latest_verdict(recipe, warehouse())
    options.out.give(recipe=options.name, stage=options.stage, verdict=verdict, rows=found)
    for row in found:
        options.out.lines(f"{name:22}{'unknown' if v is None else v}" for name, v in row.items())
        options.out.lines([""])
    options.out.lines([verdict])
