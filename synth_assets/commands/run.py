"""`synth run`: make one round, or several: all stages, in this process."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from synth_assets.commands.options import (
    add_round,
    add_rows,
    check_rounds,
    named_line,
    recipe_named,
    wanted_rounds,
    with_rows,
)
from synth_assets.commands.output import add_json
from synth_assets.core.errors import Mistake, UserError, status_of
from synth_assets.planning.missing import missing

if TYPE_CHECKING:
    from synth_assets.assets.logged_model import Seen
    from synth_assets.assets.several import Several
    from synth_assets.recipe.recipe import Recipe


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    which = parser.add_mutually_exclusive_group()
    add_round(which, "today")
    which.add_argument(
        "--rounds",
        metavar="N",
        help="the first N rounds, one after the other, or `all` that the recipe says: what is there of them "
        "is made whole; or days: 2026-11-01..2026-11-22",
    )
    add_rows(parser)
    add_json(parser)
    parser.add_argument("--show", action="store_true", help="the rows too, as they come")
    parser.add_argument(
        "--wait", action="store_true", help="with `mode: batch`: until the provider has answered"
    )
    parser.add_argument(
        "--launch",
        action="store_true",
        help="by the machines of the Dagster instance (its queue and its launcher), and not by this process, "
        "which waits: a line for each cell",
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
    for other in ("show", "rows"):
        if options.launch and getattr(options, other):
            why = "what other machines make goes by the recipe's file, and its rows are in the lake"
            raise UserError(f"--launch and --{other}: {why}. Leave --{other} out.", "usage")

    from synth_assets.assets.rounds import RoundFailed
    from synth_assets.report.views import show

    wanted = _wanted(recipe, options)
    if not wanted:
        return 0
    for name, says in missing(recipe):
        print(named_line(name, says), file=sys.stderr)
    try:
        made = _made(recipe, wanted, options)
    except RoundFailed as failure:
        print(f"stopped by a check:\n{failure}", file=sys.stderr)
        options.out.wrong(*failure.mistakes)
        return status_of(failure.mistakes)
    show(recipe)  # where nothing was written, a damaged file under the views is not made again otherwise
    options.out.give(recipe=recipe.name, rounds=made.rounds, pending=made.pending)
    left = _told(recipe, made, options)
    options.out.wrong(*left)
    return status_of(left)


def _wanted(recipe: Recipe, options: argparse.Namespace) -> list[str] | int:
    """Days, or how many of the first rounds; none where today's would be one more than the recipe wants."""
    from synth_assets.assets.several import over
    from synth_assets.report.so_far import rounds_of
    from synth_assets.resources.home import lake

    if options.rounds:
        return wanted_rounds(recipe, options.rounds)
    days = check_rounds(recipe, options.round)
    new = not options.round and days[0] not in rounds_of(recipe, lake())
    if new and (ended := over(recipe)):
        options.out.give(recipe=recipe.name, rounds=[], pending=[], ended=ended)
        options.out.lines([ended, f"To make one all the same: synth run {recipe.name} --round {days[0]}"])
        return []
    return days


def _made(recipe: Recipe, wanted: list[str] | int, options: argparse.Namespace) -> Several:
    from synth_assets.assets.in_process import dagster_instance
    from synth_assets.assets.logged_model import watched
    from synth_assets.assets.several import run_rounds

    def say(line: str) -> None:
        options.out.lines([line])

    with dagster_instance() as instance, watched(_print_row if options.show else None):
        made = run_rounds(recipe, wanted, instance, options.wait, say, options.launch)
    if isinstance(wanted, int):
        options.out.give(ended=made.ended)
    return made


def _told(recipe: Recipe, made: Several, options: argparse.Namespace) -> list[Mistake]:
    """What is left to do; what there is, is told."""
    from synth_assets.assets.several import not_whole
    from synth_assets.report.one_round import Round
    from synth_assets.report.round import summary
    from synth_assets.resources.home import warehouse

    last = made.rounds[-1]
    which = f"--rounds {options.rounds}" if options.rounds else f"--round {last}"
    rows = "" if options.rows is None else f" --rows {options.rows}"
    again = f"synth run {recipe.name} {which}{rows}{' --launch' if options.launch else ''}"
    if made.pending:
        options.out.lines(["", *made.pending, "", f"Go on later: {again}", f"Or wait:     {again} --wait"])
        return [Mistake(words, "waiting", fix=again) for words in made.pending]
    if options.json:
        options.out.give(**Round(recipe, warehouse(), last).data())
    else:
        options.out.lines(["", *summary(recipe, last), *(["", made.ended] if made.ended else [])])
    left = [Mistake(words, "unanswered", fix=again) for words in not_whole(recipe, made.rounds)]
    for mistake in left:
        print(f"not whole: {mistake}. To go on: {again}", file=sys.stderr)
    return left
