"""Steps in which the samples of a question vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from synth_assets.contracts.step import Unasked
from synth_assets.generation.steps import prompt
from synth_assets.generation.steps.tool import add_row, empty_columns, rendered
from synth_assets.generation.steps.tools import vote

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.recipe.task import Task


def run_vote(
    step: VoteStep,
    task: Task,
    conditions: pd.DataFrame,
    seeds: pd.DataFrame,
    samples: int,
    said: prompt.Said,
    foresee: bool = False,
) -> dict[str, list[Any]]:
    """Column -> a value a condition row: what the rows of each question voted for in the first row of the
    winners; the others are `outvoted`, or all have `no_majority`. `foresee`: all are taken to agree."""
    texts = rendered(step.vote, task, conditions, seeds, said)
    columns = empty_columns([*prompt.COLUMNS, "votes"])
    for group in _groups([replicate // samples for replicate in conditions["replicate"]]):
        voted = ["foreseen" if foresee else texts[place] for place in group]
        ballot = _ballot(voted, 1 if foresee else step.at_least)
        for place, (reason, error, votes) in zip(group, ballot, strict=True):
            row = {"text": texts[place] or None, "reason": reason, "error": error, "votes": votes}
            add_row(columns, row)
    return columns


def _ballot(texts: Sequence[str], at_least: int) -> Iterator[tuple[str | None, str | None, int | None]]:
    """Reason (None: goes on), error and votes of each candidate. An empty text votes for nothing."""
    votes = Counter(texts)
    winners = vote([text or None for text in texts], at_least)
    for place, text in enumerate(texts):
        if not text:
            yield "empty", None, None
        elif not winners:
            most = max(n for t, n in votes.items() if t)
            yield "no_majority", f"the largest group has {most} of {at_least} votes", votes[text]
        elif place == winners[0]:
            yield None, None, votes[text]
        else:
            yield "outvoted", f"{votes[text]} votes, the winner has {len(winners)}", votes[text]


def _groups(questions: Sequence[int]) -> Iterator[list[int]]:
    """Places of the rows of each question, which stand together."""
    group: list[int] = []
    for place, question in enumerate(questions):
        if group and question != questions[group[0]]:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


class VoteStep(Unasked):
    """Self-consistency (Wang et al. 2022) and SymGen's vote (Ye et al. 2023): of the samples of a question,
    the first of the largest group of equal texts goes on, if the group has `at_least` members."""

    kind: ClassVar[Literal["vote"]] = "vote"
    columns: ClassVar[Mapping[str, str]] = {"votes": "int64"}

    vote: str = Field(min_length=1)
    at_least: int = Field(default=1, ge=1)

    @property
    def template(self) -> str:
        return self.vote

    @property
    def templates(self) -> tuple[str, ...]:
        return (self.vote,)
