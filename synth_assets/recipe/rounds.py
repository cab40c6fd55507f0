"""The section `rounds`: how many a recipe has, and what ends them earlier. No stage rests on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from synth_assets.contracts.provider import Provider
from synth_assets.contracts.section import Section, wrong

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

MOST = 100_000  # rounds: some hundred years of nights
Count = Annotated[int, Field(ge=1, le=MOST)]


class Until(Section):
    """What ends the rounds, whichever comes first. It is looked at before a round begins, and stops none."""

    budget: float | None = Field(default=None, gt=0)
    """Dollars that the calls of all rounds have cost; a cap within a round is `budget.recipe`."""
    accuracy: float | None = None
    """The whole 95 % interval of the last training set's student is at it or better; of a task that predicts,
    of the metric by which its sets are compared."""
    no_gain: Count | None = None
    """So many rounds in a row that are not better than the one before, beyond the paired 95 % interval."""
    no_new_documents: bool = False
    """All that the last round took from files (or seeds) was taken by an earlier one too."""
    accepted: int | None = Field(default=None, ge=1)
    """Rows that all rounds together kept."""


class Rounds(Section):
    """How many rounds there are in all, and what ends them before; `rounds: 5` is short for `{count: 5}`."""

    count: Count | None = None
    """Rounds in all; without it, `until` ends them."""
    until: Until = Until()
    """What ends them before."""

    @model_validator(mode="after")
    def _end(self) -> Rounds:
        if self.count is None and self.until == Until():
            raise ValueError("it says no end: write `count`, or what ends them as `until`")
        return self


def _short(value: Any) -> Any:
    """A number alone is how many."""
    return {"count": value} if isinstance(value, int) and not isinstance(value, bool) else value


RoundsOf = Annotated[Rounds | None, BeforeValidator(_short, json_schema_input_type=Count | Rounds | None)]


def from_files(recipe: Recipe) -> dict[str, Provider]:
    """The conditions whose values are of files or seeds, of which there is an end."""
    found: Mapping[str, Any] = recipe.attributes
    return {
        name: of
        for name, of in found.items()
        if isinstance(of, Provider) and (of.files() or getattr(of, "rows", None) == "seeds")
    }


def ends(recipe: Recipe) -> Iterator[ValueError]:
    """What ends the rounds can be known, and does not count what is removed."""
    if recipe.rounds is None:
        return
    until, place = recipe.rounds.until, ("rounds", "until")
    for name in ("accuracy", "no_gain"):
        if getattr(until, name) is not None and (why := _unmeasured(recipe)):
            yield wrong(why, *place, name)
    is_share = not (recipe.task.predict and recipe.task.predict.lower)
    if until.accuracy is not None and is_share and not 0 < until.accuracy <= 1:
        yield wrong("it is a share: write a number above 0, and at most 1", *place, "accuracy")
    if until.no_new_documents and recipe.task.annotate:
        why = "where no text is left, a round ends by itself and asks nothing: leave it out"
        yield wrong(why, *place, "no_new_documents")
    elif until.no_new_documents and not from_files(recipe):
        why = "no condition is of a file (`documents`, `file`, ...) or of the seeds: leave it out"
        yield wrong(why, *place, "no_new_documents")
    keep = recipe.nightly.keep if recipe.nightly else None
    if keep is None:
        return
    gone = "rounds that `synth clean` removes count no more"
    for name, number in _takes(recipe.rounds, recipe):
        if keep < number:
            yield wrong(
                f"{gone} (rounds.{name}): write {number} or more, or leave it out", "schedule", "keep"
            )
    if until.budget is not None and recipe.rounds.count is None:
        fix = "leave it out, or write rounds.count"
        yield wrong(f"{gone}, nor what they cost (rounds.until.budget): {fix}", "schedule", "keep")


def _takes(rounds: Rounds, recipe: Recipe) -> Iterator[tuple[str, int]]:
    """What ends the rounds -> how many have to be there for it, at the least."""
    if rounds.count is not None:  # then it ends in any case
        yield "count", rounds.count
        return
    if rounds.until.no_gain is not None:
        yield "until.no_gain", rounds.until.no_gain
    if rounds.until.accepted is not None and not recipe.task.annotate:
        of_round = recipe.most_rows * len(recipe.cells) * (1 if recipe.feedback.rows == "fixed" else 2)
        yield "until.accepted", -(-rounds.until.accepted // of_round)


def _unmeasured(recipe: Recipe) -> str:
    """Why no student is tested; empty where one is."""
    if not recipe.labels and recipe.task.predict is None:
        return "rows have no label that a student learns: leave it out"
    if not recipe.metrics.student:
        return "metrics.student is off, and so nothing measures it: write true, or leave it out"
    if not recipe.seeds.has("test"):
        return "there are no test rows: write how many as seeds.splits.test"
    return ""
