"""The first calls of a stream: few at once, so that what fails for all of them fails a few times only.

Eighty log-ins that a proxy refuses lock an account; ten thousand calls to an endpoint that is down take hours
and tell no more than seven. And those that are refused for reasons unknown: many in a row tell as much.
"""

from __future__ import annotations

import re
import sys
import time
from typing import Any

from synth_assets.core.causes import Causes

FEW = 4  # at once at first; one where a proxy stands before the endpoint, or once one has failed
FIRST = 1.0  # seconds without a failure, after which as many as the pace allows: an answer may take long
FIRST_BY_PROXY = 30.0  # it may take its time to refuse a log-in
IN_VAIN = 7  # that failed, and none was answered: it is given up
DOUBTS = 5  # refusals for a reason unknown in a row, after which nobody else is asked


class Trial:
    """Whether anything was answered yet, and what failed until then."""

    def __init__(self, by_proxy: bool = False, heard: bool = False) -> None:
        """`heard`: the endpoint has answered this process before."""
        self.passed = False
        self.causes = Causes()
        self.first = 0.0 if heard else FIRST_BY_PROXY if by_proxy else FIRST
        self._few, self._began = 1 if by_proxy else FEW, time.monotonic()

    def room(self, flying: int) -> int:
        """Calls that may start now, beside those that are under way."""
        if self.passed or (not self.causes and time.monotonic() > self._began + self.first):
            return sys.maxsize
        return max(0, (1 if self.causes else self._few) - flying)

    def failed(self, why: str) -> int:
        """Count a call that failed; returns how often the wait before the next one is doubled."""
        self.causes.add(why)
        return max(0, len(self.causes) - FEW)

    @property
    def in_vain(self) -> bool:
        return not self.passed and len(self.causes) >= IN_VAIN


class Doubts:
    """What was refused for reasons that no table knows (`held`): maybe those prompts are, maybe all."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.rows = 0
        self._said, self._alike = "", 0  # what was last refused, and how many in a row since an answer

    def add(self, held: Any, rows: int, said: str, before: str | None) -> None:
        """`before`: why the same prompt failed the last time; the same refusal twice is that prompt's own."""
        self.held.append(held)
        self.rows += rows
        if _without_numbers(said) != _without_numbers(before or ""):
            self._alike = self._alike + 1 if self._said == _without_numbers(said) else 1
            self._said = _without_numbers(said)

    def many(self, accepted: bool) -> bool:
        """Whether nobody else is to be asked: many are held; where prompts were `accepted`, many in a row
        were refused alike."""
        return bool(self.held) and (self._alike if accepted else len(self.held)) >= DOUBTS

    def taken(self) -> list[Any]:
        """What is held, and is not any more."""
        taken, self.held, self.rows = self.held, [], 0
        return taken

    def answered(self) -> None:
        """A prompt was."""
        self._alike = 0


def _without_numbers(words: str) -> str:
    """What was said, without what is another one each time: names of requests, times, numbers of tokens."""
    return re.sub(r"\S*\d\S*", "", words)
