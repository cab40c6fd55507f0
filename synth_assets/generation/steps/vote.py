"""Steps in which the samples of a question vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, ClassVar

from pydantic import Field

from synth_assets.contracts.section import wrong
from synth_assets.contracts.step import StepBase, Work


def ballot(texts: Sequence[str], at_least: int) -> Iterator[tuple[str | None, str | None, int | None]]:
    """Reason (None: goes on), error and votes of each candidate: the first of the largest group of equals
    goes on. An empty text votes for nothing; of equal groups the one that came first wins."""
    votes = Counter(text for text in texts if text)
    winner, most = max(votes.items(), key=itemgetter(1), default=("", 0))
    for place, text in enumerate(texts):
        if not text:
            yield "empty", None, None
        elif most < at_least:
            yield "no_majority", f"the largest group has {most} of {at_least} votes", votes[text]
        elif place == texts.index(winner):
            yield None, None, votes[text]
        else:
            yield "outvoted", f"{votes[text]} votes, the winner has {most}", votes[text]


class VoteStep(StepBase):
    """Self-consistency (Wang et al. 2022) and SymGen's vote (Ye et al. 2023): of the samples of a question,
    the first of the largest group of equal texts goes on, if the group has `at_least` members; the others are
    `outvoted`, or all have `no_majority`."""

    name = "vote"
    votes = True
    columns: ClassVar[Mapping[str, str]] = {"votes": "int64"}

    vote: str = Field(min_length=1)
    """What is voted on, as a template."""
    at_least: int = Field(default=1, ge=1)
    """Equal texts that it takes."""

    @property
    def templates(self) -> tuple[str, ...]:
        return (self.vote,)

    def check(self, recipe: Any, name: str) -> None:
        names = list(recipe.steps)
        if all(recipe.steps[n].per_question == 1 for n in names[: names.index(name)]):
            raise wrong("a vote is of several rows: give a step before it `samples`", "steps", name)

    def run(self, work: Work) -> Iterator[Mapping[str, Any]]:
        texts = work.rendered(self.vote)
        return self._voted(work, texts, texts, self.at_least)

    def foresee(self, work: Work) -> Iterator[Mapping[str, Any]]:
        """All are taken to agree."""
        texts = work.rendered(self.vote)
        return self._voted(work, texts, ["foreseen"] * len(texts), 1)

    def _voted(
        self, work: Work, texts: Sequence[str], voted: Sequence[str], at_least: int
    ) -> Iterator[Mapping[str, Any]]:
        questions = [replicate // work.samples for replicate in work.rows["replicate"]]
        for _, places in groupby(range(len(texts)), questions.__getitem__):  # its rows stand together
            group = list(places)
            counted = ballot([voted[place] for place in group], at_least)
            for place, (reason, error, votes) in zip(group, counted, strict=True):
                yield {"text": texts[place] or None, "reason": reason, "error": error, "votes": votes}
