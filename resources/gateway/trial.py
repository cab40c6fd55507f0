"""The first calls of a stream: few at once, so that what fails for all of them fails a few times only.

Eighty log-ins that a proxy refuses lock an account; ten thousand calls to an endpoint that is down take hours
and tell no more than seven.
"""

from __future__ import annotations

import sys
import time

from synth_assets.core.causes import Causes

FEW = 4  # at once at first; one where a proxy stands before the endpoint, or once one has failed
FIRST = 1.0  # seconds without a failure, after which as many as the pace allows: an answer may take long
FIRST_BY_PROXY = 30.0  # it may take its time to refuse a log-in
IN_VAIN = 7  # that failed, and none was answered: it is given up


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
