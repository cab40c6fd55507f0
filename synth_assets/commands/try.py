"""`synth try`: ask for a few rows and show them: prompt, answer, scores, verdicts."""

import argparse

from synth_assets.commands.options import add_round, check_round, recipe_named, tried
from synth_assets.commands.output import add_json


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("-n", type=int, default=3, metavar="ROWS")
    add_round(parser, "today")
    add_json(parser)


def command(options: argparse.Namespace) -> None:
    recipe = recipe_named(options.name)
    tried(options.out, recipe, check_round(recipe, options.round), options.n)
