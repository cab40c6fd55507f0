"""Why the rounds of a recipe have ended, by what there is of them: see `recipe/rounds.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synth_assets.core.text.amounts import dollars
from synth_assets.evaluation.verdict import measure, training_set

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

Metrics = Sequence[Mapping[str, Any]]  # lines of the table `metrics`


@dataclass(frozen=True)
class SoFar:
    """What there is of a recipe's rounds; of what its `until` does not ask, nothing has to be known."""

    rounds: Sequence[str] = ()  # of which there is anything, the earliest first
    metrics: Mapping[str, Metrics] = field(default_factory=dict)  # by round
    kept: int = 0  # rows
    spent: float = 0.0  # dollars
    unpriced: int = 0  # calls whose cost is not known
    new: Mapping[str, int] = field(default_factory=dict)  # condition -> items that only the last round took


def ended(recipe: Recipe, so_far: SoFar) -> str | None:
    """Why no other round begins, in a sentence with its numbers; None where the next one may."""
    if recipe.rounds is None or not so_far.rounds:
        return None
    return next(_reasons(recipe, so_far), None)


def _reasons(recipe: Recipe, so_far: SoFar) -> Iterator[str]:
    assert recipe.rounds is not None
    until, last = recipe.rounds.until, so_far.rounds[-1]
    measured = [round_ for round_ in so_far.rounds if so_far.metrics.get(round_)]
    if until.accuracy is not None and measured:
        yield from _reached(
            recipe, until.accuracy, _named(so_far, measured[-1]), so_far.metrics[measured[-1]]
        )
    if until.accepted is not None and so_far.kept >= until.accepted:
        yield f"{so_far.kept:,} rows are kept, of {until.accepted:,} that were wanted"
    if until.no_gain is not None:
        yield from _no_gain(recipe, until.no_gain, [so_far.metrics[round_] for round_ in measured])
    if until.no_new_documents and so_far.new and not any(so_far.new.values()):
        what = " or ".join(so_far.new)
        yield f"{_named(so_far, last)} has no {what} that an earlier round did not have"
    if until.budget is not None and so_far.unpriced:
        fix = "write the price of their model in models.yaml"
        yield f"what {so_far.unpriced:,} calls cost is not known, and the budget is in dollars: {fix}"
    if until.budget is not None and so_far.spent >= until.budget:
        yield f"{dollars(so_far.spent)} are spent, of {dollars(until.budget)}"
    count = recipe.rounds.count
    if count is not None and len(so_far.rounds) >= count:
        yield f"there are {len(so_far.rounds)} of {count} rounds"


def _named(so_far: SoFar, round_: str) -> str:
    return f"round {list(so_far.rounds).index(round_) + 1} ({round_})"


def _reached(recipe: Recipe, wanted: float, round_: str, metrics: Metrics) -> Iterator[str]:
    name, lower = measure(recipe), bool(recipe.task.predict and recipe.task.predict.lower)
    for row in metrics:
        if (row["name"], row["slice"]) == (name, training_set(recipe)) and _known(row):
            value, low, high = (float(row[column]) for column in ("value", "low", "high"))
            if high <= wanted if lower else low >= wanted:
                yield f"{round_}: {name} {value:.3f} ({low:.3f} to {high:.3f}) reached {wanted:g}"


def _no_gain(recipe: Recipe, times: int, rounds: Sequence[Metrics]) -> Iterator[str]:
    """A round of which the change is not known, as of the first one, is none without a gain."""
    changes: list[Mapping[str, Any]] = []
    for metrics in reversed(rounds):
        change = next((r for r in metrics if r["name"] == f"{measure(recipe)}_change" and _known(r)), None)
        if change is None or change["low"] > 0:
            break
        changes.append(change)
    if len(changes) >= times:
        last = "{value:+.3f} ({low:+.3f} to {high:+.3f})".format_map(changes[0])
        of = "the last round has no gain" if times == 1 else f"{len(changes)} rounds in a row have no gain"
        yield f"{of} in {measure(recipe)}: the last one's is {last}"


def _known(row: Mapping[str, Any]) -> bool:
    return all(row[name] is not None and row[name] == row[name] for name in ("value", "low", "high"))
