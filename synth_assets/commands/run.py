"""`synth run`: make one round: all stages, in this process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from synth_assets.commands.options import (
    add_round,
    add_rows,
    check_rounds,
    named_line,
    recipe_named,
    with_rows,
)
from synth_assets.commands.output import add_json
from synth_assets.core.errors import Mistake, status_of
from synth_assets.planning.missing import missing

if TYPE_CHECKING:
    from synth_assets.assets.logged_model import Seen
    from synth_assets.recipe.recipe import Recipe


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
    """The exit status says what sort of end it is: see `core.errors.STATUSES`."""
    recipe = with_rows(recipe_named(options.name), options.rows)

    from synth_assets.assets.in_process import dagster_instance, run_round
    from synth_assets.assets.logged_model import watched
    from synth_assets.assets.rounds import RoundFailed
    from synth_assets.report.one_round import Round
    from synth_assets.report.round import summary
    from synth_assets.report.views import show
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
        return status_of(failure.mistakes)
    show(recipe)  # where nothing was written, a damaged file under the views is not made again otherwise
    options.out.give(recipe=recipe.name, rounds=rounds, pending=pending)
    which = f"--rounds {options.rounds}" if options.rounds else f"--round {rounds[-1]}"
    rows = "" if options.rows is None else f" --rows {options.rows}"
    again = f"synth run {recipe.name} {which}{rows}"
    if pending:
        options.out.lines(["", *pending, "", f"Go on later: {again}", f"Or wait:     {again} --wait"])
        left = [Mistake(words, "waiting", fix=again) for words in pending]
    else:
        if options.json:
            options.out.give(**Round(recipe, warehouse(), rounds[-1]).data())
        else:
            options.out.lines(["", *summary(recipe, rounds[-1])])
        left = [Mistake(words, "unanswered", fix=again) for words in _not_whole(recipe, rounds)]
        for mistake in left:
            print(f"not whole: {mistake}. To go on: {again}", file=sys.stderr)
    options.out.wrong(*left)
    return status_of(left)


def _not_whole(recipe: Recipe, rounds: Sequence[str]) -> Iterator[str]:
    """What is missing of rounds that were made."""
    from synth_assets.resources.home import lake
    from synth_assets.resources.storage.looks import Looks

    for round_ in rounds:
        row = Looks(lake().root).read(recipe.name, round_)
        if row and row["state"] not in ("whole", "stale", "nothing new"):
            yield f"{recipe.name} {round_}: {row['state']}{': ' if row['why'] else ''}{row['why']}"
