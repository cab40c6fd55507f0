"""What was done: calls, tokens and cost, summed up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from synth_assets.core.asking import REUSABLE, Answer

_Number = TypeVar("_Number", int, float)


@dataclass
class Calls:
    """What was done. `calls` went to the endpoint (`failed` of them in vain), `from_log` did not.

    Sums of tokens and cost are of the calls made, and None as soon as that of one answered call is not known.
    """

    calls: int = 0
    from_log: int = 0
    failed: int = 0
    over_budget: int = 0  # not sent
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost: float | None = 0.0  # US dollars
    seconds: float = 0.0

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        if answer.from_log:
            self.from_log += 1
            return
        if answer.outcome == "over_budget":
            self.over_budget += 1
            return
        self.calls += 1
        if answer.outcome not in REUSABLE:
            self.failed += 1
            return
        self.prompt_tokens = _plus(self.prompt_tokens, answer.prompt_tokens)
        self.completion_tokens = _plus(self.completion_tokens, answer.completion_tokens)
        self.cost = _plus(self.cost, answer.cost)


def _plus(total: _Number | None, part: _Number | None) -> _Number | None:
    return None if total is None or part is None else total + part


Progress = Callable[[int, int | None, Calls], None]  # requests done, of how many, and what was done so far
