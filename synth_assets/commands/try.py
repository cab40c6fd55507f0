"""`synth try`: ask for a few rows and show them: prompt, answer, scores, verdicts."""

import argparse
from collections import Counter

from synth_assets.commands.options import add_round, check_round, recipe_named
from synth_assets.commands.output import add_json


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("-n", type=int, default=3, metavar="ROWS")
    add_round(parser, "today")
    add_json(parser)


def command(options: argparse.Namespace) -> None:
    from synth_assets.assets.preview import preview
    from synth_assets.report.tried import lines

    recipe = recipe_named(options.name)
    round_ = check_round(recipe, options.round)
    found: list[dict[str, object]] = []
    options.out.give(recipe=recipe.name, round=round_, rows=found)
    for row in preview(recipe, round_, options.n):
        found.append(row.data())
        options.out.lines([*lines(row), ""])
    counts = Counter(str(row["verdict"]) for row in found)
    verdicts = "; ".join(f"{n} {v}" for v, n in counts.items())
    options.out.lines([f"{len(found)} {'row' if len(found) == 1 else 'rows'}: {verdicts}."])
    kept = f"Nothing was written but the call log: `synth run {recipe.name}` does not pay these again."
    options.out.lines([kept])
