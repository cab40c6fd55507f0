"""`synth try`: ask for a few rows and show them: prompt, answer, scores, verdicts."""

import argparse

from synth_assets.commands.options import add_round, check_round, recipe_named


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("-n", type=int, default=3, metavar="ROWS")
    add_round(parser, "today")


def command(options: argparse.Namespace) -> None:
    from synth_assets.assets.preview import preview
    from synth_assets.report.tried import lines

    recipe = recipe_named(options.name)
    round_ = check_round(recipe, options.round)
    for row in preview(recipe, round_, options.n):
        print("\n".join([*lines(row), ""]), flush=True)
    print(f"Nothing was written but the call log: `synth run {recipe.name}` does not pay these again.")
