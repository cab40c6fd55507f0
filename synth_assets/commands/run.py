"""`synth run`: one round or several, in this process."""

from __future__ import annotations

import argparse
import sys

from synth_assets.commands.options import recipe_named, with_rows


def command(options: argparse.Namespace) -> int:
    recipe = with_rows(recipe_named(options.name), options.rows)

    from synth_assets.assets.in_process import RoundFailed, check_rounds, dagster_instance, run_round
    from synth_assets.partitions import today
    from synth_assets.report.summary import summary

    rounds = check_rounds(recipe, options.rounds or options.round or today(recipe.timezone))
    pending: list[str] = []
    try:
        with dagster_instance() as instance:
            for round_ in rounds:
                pending += run_round(recipe, round_, instance, wait=options.wait)
    except RoundFailed as failure:
        print(f"stopped by a check:\n{failure}", file=sys.stderr)
        return 1
    if pending:
        which = f"--rounds {options.rounds}" if options.rounds else f"--round {rounds[-1]}"
        rows = "" if options.rows is None else f" --rows {options.rows}"
        again = f"synth run {recipe.name} {which}{rows}"
        print("\n".join(["", *pending, "", f"Go on later: {again}", f"Or wait:     {again} --wait"]))
        return 0
    print("\n".join(["", *summary(recipe.name, rounds[-1])]))
    return 0
