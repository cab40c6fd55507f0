"""What several commands do with their options."""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.core.days import today
from synth_assets.core.errors import UserError

if TYPE_CHECKING:
    from synth_assets.commands.output import Output
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.resources.storage.warehouse import Warehouse

COMMANDS = (  # as `synth --help` lists them
    *("new", "setup", "check", "try", "run", "plan", "sample", "tune", "show", "sql", "trace", "verify"),
    *("nights", "report", "compare", "review", "export", "clean", "ui", "context", "schema", "install-skill"),
)


def module_of(command: str) -> str:
    """The name of its module in this folder."""
    return command.replace("-", "_")


def said_of(command: str) -> str:
    """What the first line of its module says that it does, behind its name."""
    with (Path(__file__).parent / f"{module_of(command)}.py").open(encoding="utf-8") as file:
        return file.readline().partition(": ")[2].rstrip('."\n')


def add_round(parser: argparse._ActionsContainer, default: str = "the latest one") -> None:
    """--round: a day. Where the default is today, it is checked against the recipe's start."""
    kind = as_day if default == "the latest one" else str
    parser.add_argument("--round", metavar="DATE", type=kind, help=f"2026-11-22; default: {default}")


def add_rows(parser: argparse.ArgumentParser) -> None:
    """--rows: see `with_rows`."""
    parser.add_argument("--rows", type=int, metavar="N", help="rows a cell instead of the recipe's number")


def recipe_named(name: str) -> Recipe:
    """The recipe of this name as it is now. UserError says what is wrong with it."""
    from synth_assets.recipe.load import load
    from synth_assets.resources.home import recipes

    return load(recipes() / f"{name}.yaml")


def named_line(name: str, says: str) -> str:
    """A line that says what it is about."""
    return f"{name:13}{says}"


def tried(out: Output, recipe: Recipe, round_: str, n: int) -> None:
    """Ask for a few rows of the round and show them, and what they took."""
    from collections import Counter

    from synth_assets.assets.preview import preview
    from synth_assets.report.tried import lines
    from synth_assets.resources.gateway.language_model import Calls

    found, spent = list[dict[str, object]](), Calls()
    out.give(recipe=recipe.name, round=round_, rows=found, calls=spent)
    for row in preview(recipe, round_, n, spent):
        found.append(row.data())
        out.lines([*lines(row), ""])
    counts = Counter(str(row["verdict"]) for row in found)
    verdicts = "; ".join(f"{n} {v}" for v, n in counts.items())
    out.lines([f"{len(found)} {'row' if len(found) == 1 else 'rows'}: {verdicts}.", f"They took {spent}."])
    kept = f"Nothing was written but the call log: `synth run {recipe.name}` does not pay these again."
    out.lines([kept])


def with_rows(recipe: Recipe, rows: int | None) -> Recipe:
    """The recipe with so many rows a cell, if a number is given: so many are asked for, also where the recipe
    says how many are to pass."""
    from synth_assets.recipe.accepted import ROWS

    if rows is None:
        return recipe
    if not 1 <= rows <= ROWS:
        raise UserError(f"{rows} rows: ask for 1 to {ROWS:,}.")
    return recipe.model_copy(update={"rows": rows})


def current_warehouse() -> Warehouse:
    """The warehouse with all recipes as they are now; what is wrong with some of them is no obstacle."""
    from synth_assets.report.views import current

    warehouse, wrong = current()
    for words in wrong:
        print(f"note: {words}", file=sys.stderr)
    return warehouse


def recipes_named(name: str | None) -> list[Recipe]:
    """This recipe, or all of them but those that are wrong, which are named."""
    from synth_assets.resources.home import recipes

    if name:
        return [recipe_named(name)]
    found = []
    for path in sorted(recipes().glob("*.yaml")):
        try:
            found.append(recipe_named(path.stem))
        except UserError as error:
            print(f"note: {path.stem} is left out: {error}", file=sys.stderr)
    return found


def as_day(text: str) -> str:
    """A date as rounds have it. UserError says how to write one."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UserError(f"{text!r} is no date: write it as {date.today().isoformat()}.") from None


def as_days(text: str) -> int:
    """A number of days, as in 90d. UserError says how to write one."""
    if not re.fullmatch(r"\d{1,5}d?", text, re.ASCII):
        raise UserError(f"{text!r} is no number of days: write it as 90d.")
    return int(text.removesuffix("d"))


def check_round(recipe: Recipe, round_: str | None = None) -> str:
    """The round (default: today's) as a partition key. UserError when it is no date, or no round of the
    recipe."""
    last = today(recipe.timezone)
    day = date.fromisoformat(as_day(round_ or last))
    if recipe.start.isoformat() > last:
        raise UserError(
            f"{recipe.name} has no round yet: its `start` is {recipe.start}, and today is {last} in "
            f"{recipe.timezone} (the recipe's `timezone`)."
        )
    if not recipe.start <= day <= date.fromisoformat(last):
        raise UserError(
            f"round {round_}: {recipe.name} has rounds from {recipe.start} (the recipe's `start`) "
            f"to {last} (today in {recipe.timezone})."
        )
    return day.isoformat()


def check_rounds(recipe: Recipe, rounds: str | None = None) -> list[str]:
    """`A..B`, or one round, as partition keys, the earliest first. UserError as `check_round` has it."""
    first, found, last = (rounds or "").partition("..")
    start = date.fromisoformat(check_round(recipe, first))
    end = date.fromisoformat(check_round(recipe, last)) if found else start
    if end < start:
        raise UserError(f"--rounds {rounds}: write the earlier round first, as in {last}..{first}.")
    return [(start + timedelta(days=n)).isoformat() for n in range((end - start).days + 1)]


def wanted_rounds(recipe: Recipe, rounds: str) -> list[str] | int:
    """What `--rounds` says: how many of the first rounds, by a number or `all` that the recipe says; or days,
    as `check_rounds` reads them."""
    from synth_assets.recipe.rounds import MOST

    if rounds == "all":
        if recipe.rounds is None or recipe.rounds.count is None:
            why = f"--rounds all: {recipe.name} does not say how many: write `rounds: 5` into the recipe"
            raise UserError(f"{why}, or synth run {recipe.name} --rounds 5")
        return recipe.rounds.count
    if rounds.isdecimal() and rounds.isascii():
        if not 1 <= int(rounds) <= MOST:
            raise UserError(f"--rounds {rounds}: write a number from 1 to {MOST:,}.")
        return int(rounds)
    return check_rounds(recipe, rounds)
