"""`synth report`: write a page on a round: cost, funnel, metrics, examples."""

import argparse
import sys
from pathlib import Path

from synth_assets.commands.options import add_round, recipe_named
from synth_assets.commands.output import add_json


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    add_round(parser)
    parser.add_argument("--to", metavar="FILE", type=Path, help="default: among the reports in the data home")
    add_json(parser)
    parser.add_argument("--open", action="store_true", help="in the browser")


def command(options: argparse.Namespace) -> None:
    import webbrowser

    from synth_assets.report.one_round import Round, latest_round, place
    from synth_assets.report.round import write
    from synth_assets.report.views import show

    recipe = recipe_named(options.name)
    warehouse = show(recipe)
    round_ = latest_round(recipe, "generations", options.round)
    to = options.to.expanduser().absolute() if options.to else place(recipe.name, round_)
    write(recipe, warehouse, round_, to)
    options.out.give(page=to, **Round(recipe, warehouse, round_).data())
    options.out.lines([to])
    if options.open and not webbrowser.open(to.as_uri()):
        print("note: no browser was found here: open the file by hand.", file=sys.stderr)
