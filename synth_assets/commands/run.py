"""`synth run`: make one round: all stages, in this process."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from synth_assets.commands.options import (
    add_round,
    add_rows,
    check_rounds,
    missing,
    named_line,
    recipe_named,
    with_rows,
)
from synth_assets.commands.output import add_json

if TYPE_CHECKING:
    from synth_assets.assets.logged_model import Seen


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    which = parser.add_mutually_exclusive_group()
    add_round(which, "today")
    which.add_argument("--rounds", metavar="A..B", help="2026-11-01..2026-11-22, one after the other")
    add_rows(parser)
    add_json(parser)
    parser.add_argument("--show", action="store_true", help="the rows too, as they come")
    parser.add_argument(
        "--wait", action="store_true", help="with `mode: batch`: until the provider has answered"
    )


def _print_row(seen: Seen) -> None:
    """A row in a line, as it comes: its text, or why there is none."""
    if seen.row is not None:
        from synth_assets.report.pages import text

        why = f"({seen.row['reason']}) " if seen.row.get("reason") else ""
        print(text(f"{seen.stage} {seen.place.get('cell', '')}: {why}{seen.row['text'] or ''}"), flush=True)


def command(options: argparse.Namespace) -> int:
    recipe = with_rows(recipe_named(options.name), options.rows)

    from synth_assets.assets.in_process import dagster_instance, run_round
    from synth_assets.assets.logged_model import watched
    from synth_assets.assets.rounds import RoundFailed
    from synth_assets.report.one_round import Round
    from synth_assets.report.round import summary
    from synth_assets.resources.home import warehouse

    rounds = check_rounds(recipe, options.rounds or options.round)
    for name, says in missing(recipe):
        print(named_line(name, says), file=sys.stderr)
    pending: list[str] = []
    try:
        with dagster_instance() as instance, watched(_print_row if options.show else None):
            for round_ in rounds:
                pending += run_round(recipe, round_, instance, wait=options.wait)
    except RoundFailed as failure:
        print(f"stopped by a check:\n{failure}", file=sys.stderr)
        options.out.wrong(*failure.mistakes)
        return 1
    options.out.give(recipe=recipe.name, rounds=rounds, pending=pending)
    if pending:
        which = f"--rounds {options.rounds}" if options.rounds else f"--round {rounds[-1]}"
        rows = "" if options.rows is None else f" --rows {options.rows}"
        again = f"synth run {recipe.name} {which}{rows}"
        options.out.lines(["", *pending, "", f"Go on later: {again}", f"Or wait:     {again} --wait"])
        return 0
    if options.json:
        options.out.give(**Round(recipe, warehouse(), rounds[-1]).data())
    else:
        options.out.lines(["", *summary(recipe, rounds[-1])])
    return 0
