"""So many rounds one after the other, in this process: which days they are, and where they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg

from synth_assets.assets.failures import failed
from synth_assets.assets.in_process import run_round
from synth_assets.core.days import today
from synth_assets.core.errors import UserError
from synth_assets.recipe.recipe import Recipe
from synth_assets.report.one_round import latest_verdict
from synth_assets.report.so_far import rounds_of, why_ended
from synth_assets.report.views import show
from synth_assets.resources import home
from synth_assets.stages.stage import asset_name


@dataclass
class Several:
    """What became of so many rounds: those that are there now, what of the last one is with the provider, and
    why there are no more of them, if they have ended."""

    rounds: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    ended: str | None = None


def days(recipe: Recipe, number: int, instance: dg.DagsterInstance) -> list[str]:
    """The first `number` rounds: those that were begun, and then the days after the last of them; where none
    is there, the days that end today. UserError where there are not as many days."""
    there = _begun(recipe, instance)[:number]
    last = date.fromisoformat(today(recipe.timezone))
    more = number - len(there)
    first = date.fromisoformat(there[-1]) + timedelta(days=1) if there else last - timedelta(days=more - 1)
    free = (last - max(first, recipe.start)).days + 1
    if more > free:
        raise UserError(_too_few(recipe, there, len(there) + max(0, free), number))
    return [*there, *((first + timedelta(days=n)).isoformat() for n in range(more))]


def _begun(recipe: Recipe, instance: dg.DagsterInstance) -> list[str]:
    """The rounds of which there is anything, the earliest first: rows, or else the answers of a run that was
    cut off. (One that asks until enough rows pass has no rows before that.)"""
    there = {*rounds_of(recipe, home.lake())}
    start = datetime.combine(recipe.start, time.min, UTC)
    for round_ in failed(instance, recipe.name, start).keys() - there:
        paid = "select 1 from calls where substr(asset, 1, ?) = ? and partition_key like ? limit 1"
        prefix = asset_name(recipe, "")
        if home.call_log().execute(paid, [len(prefix), prefix, f"%|{round_}"]):
            there.add(round_)
    return sorted(there)


def _too_few(recipe: Recipe, there: Sequence[str], possible: int, number: int) -> str:
    """A round is a day: how many there can be by today, and what gives more of them."""
    run, more = f"synth run {recipe.name} --rounds", timedelta(days=number - possible)
    last = today(recipe.timezone)
    if there:
        why = f"the next ones are the days after {there[-1]}, the last round that there is"
        first = date.fromisoformat(there[0]) - more
        fix = f"{run} {possible}, or {date.fromisoformat(last) + more} or later this one again"
        fix += f"; with days before {there[0]}, now: {run} {first}..{last}" if first >= recipe.start else ""
    else:
        why = f"its first day is {recipe.start} (the recipe's `start`)"
        fix = f"{run} {possible}, or an earlier `start`" if possible else "write an earlier `start`"
    by_today = f"{recipe.name} can have {possible} by today"
    return f"--rounds {number}: {by_today}, as a round is a day and {why}: {fix}."


def run_rounds(
    recipe: Recipe,
    wanted: Sequence[str] | int,
    instance: dg.DagsterInstance,
    wait: bool = False,
    say: Callable[[str], None] = print,
    launch: bool = False,
    quiet: bool = False,
) -> Several:
    """Make these days; or the first so many rounds, as far as the recipe wants them, and `say` what each came
    to: of these, none is made before those that it rests on are whole. Raises what `run_round` does."""
    made = Several()
    if not isinstance(wanted, int):
        for round_ in wanted:
            made.rounds.append(round_)
            made.pending += run_round(recipe, round_, instance, wait=wait, quiet=quiet, launch=launch)
        return made
    for at, round_ in enumerate(days(recipe, wanted, instance), 1):
        if round_ not in rounds_of(recipe, home.lake()) and (why := over(recipe)):
            made.ended = why
            return made
        made.rounds.append(round_)
        made.pending = run_round(recipe, round_, instance, wait=wait, quiet=quiet, launch=launch)
        if made.pending or [*not_whole(recipe, [round_])]:
            return made
        show(recipe)
        say(f"round {at} of {wanted} ({round_}): {latest_verdict(recipe, home.warehouse(), round_)}")
    made.ended = over(recipe)
    return made


def over(recipe: Recipe) -> str | None:
    """That the recipe's rounds have ended, and why; None where the next one may begin."""
    if recipe.rounds is None:
        return None
    show(recipe)
    return why_ended(recipe, home.lake(), home.warehouse())


def not_whole(recipe: Recipe, rounds: Sequence[str]) -> Iterator[str]:
    """What is missing of rounds that were made, by the last look at them."""
    for round_ in rounds:
        row = home.lake().looks.read(recipe.name, round_)
        if row and row["state"] not in ("whole", "stale", "nothing new"):
            yield f"{recipe.name} {round_}: {row['state']}{': ' if row['why'] else ''}{row['why']}"
