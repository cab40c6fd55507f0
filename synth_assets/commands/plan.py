"""`synth plan`: say what a round would make and cost, without a model."""

import argparse
from pathlib import Path

from synth_assets.commands.options import add_round, add_rows, check_round, recipe_named, with_rows
from synth_assets.commands.output import add_json


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    add_round(parser, "today")
    add_rows(parser)
    parser.add_argument("--diff", metavar="FILE", help="as if the recipe were this file")
    add_json(parser)


def command(options: argparse.Namespace) -> None:
    from synth_assets.assets.in_process import dagster_instance, planned
    from synth_assets.planning.plan import asked_of, asks, report, totals
    from synth_assets.recipe.load import load
    from synth_assets.report.so_far import why_ended
    from synth_assets.report.views import with_views
    from synth_assets.resources.home import call_log, encoder, lake

    saved = recipe_named(options.name)
    recipe = with_rows(saved, options.rows)
    if options.diff:
        recipe = with_rows(load(Path(options.diff)).model_copy(update={"name": recipe.name}), options.rows)
    round_ = check_round(recipe, options.round)
    with dagster_instance(reads=True) as instance:
        lines = planned(recipe, round_, instance, lake(), call_log())
    ended = why_ended(recipe, lake(), with_views(saved))
    asked, file = asked_of(recipe, round_, lake(), encoder())
    told = [line._asdict() for line in asked]
    options.out.give(lines=lines, total=totals(lines), feedback=told, ended=ended)
    options.out.lines([*report(lines), *asks(recipe, asked, file), *(["", ended] if ended else [])])
