"""How fast a model is asked: as much at once as it takes, and no more a minute than it allows.

What may be in flight adapts as in TCP: doubled every round trip until the endpoint refuses more than now and
then, halved then, and one more every round trip from there (additive increase, multiplicative decrease). A
single refusal does not count as congestion: some endpoints refuse a few calls at any load.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.share import AGAIN_S, Share

START = 16  # calls in flight before the endpoint has shown how many it takes
REFUSED = 0.1  # share of refusals that is too much
MEMORY = 50  # calls that the share is taken over
IN_A_ROW = 5  # refusals without an answer between them, after which nobody is sent for a while
LONGEST = 60.0  # seconds that a limit a minute makes anybody wait; more was written by another clock
LEFT = [  # headers that say how much is left, and when there is more: OpenAI's, which most use; Anthropic's
    *(("x-ratelimit-remaining", "x-ratelimit-reset"), ("ratelimit-remaining", "ratelimit-reset")),
    *((f"x-ratelimit-remaining-{unit}", f"x-ratelimit-reset-{unit}") for unit in ("requests", "tokens")),
    *(
        (f"anthropic-ratelimit-{unit}-remaining", f"anthropic-ratelimit-{unit}-reset")
        for unit in ("requests", "tokens", "input-tokens", "output-tokens")
    ),
]
DECADES = 1e9  # seconds that are no duration: a time since 1970
BURST = 1.0  # seconds of a rate that may be used up at once


class Pace:
    """The pace of one model in one process, in the times of `time.monotonic`."""

    def __init__(self, most: int) -> None:
        self.most = most  # the model's max_concurrency
        self.limit = float(min(most, START))
        self.in_flight = 0
        self.listeners: set[asyncio.Event] = set()  # who waits for room: batches share a model's pace
        self.share: Share | None = None  # of what all processes may have in flight
        self.paused_until = 0.0
        self._doubling = True
        self._slowed_at = 0.0
        self._share = 0.0  # of refusals among the last calls
        self._in_a_row = 0

    def room(self, wanted: int = sys.maxsize) -> int:
        """Calls that may start now, of those that are ready."""
        if time.monotonic() < self.paused_until:
            return 0
        room = min(wanted, max(0, int(min(self.limit, self.most)) - self.in_flight))
        if self.share is None:
            return room
        shared = self.share.room(self.in_flight, room)
        if room and not (shared or self.in_flight):  # no call's end will wake anybody
            self.pause(AGAIN_S)
        return shared

    def enter(self, listener: asyncio.Event, call_log: CallLog, model: Model) -> None:
        """A batch begins, which is told when there is room."""
        self.listeners.add(listener)
        self.share = Share.of(call_log, model)

    def leave(self, listener: asyncio.Event) -> None:
        """A batch has ended."""
        self.listeners.discard(listener)
        if self.share and not self.listeners:
            self.share.end()

    def started(self) -> None:
        """A call is in flight."""
        self.in_flight += 1

    def ended(self) -> None:
        """It is not any more: whoever waits for room is told."""
        self.in_flight -= 1
        for listener in self.listeners:
            listener.set()

    def answered(self) -> None:
        """A call was answered: a little more may be in flight."""
        self._in_a_row = 0
        self._share -= self._share / MEMORY
        if self.limit < self.most:
            self.limit += 1.0 if self._doubling else 1.0 / self.limit

    def refused(self, started: float, wait_s: float) -> None:
        """A call that started then was told that it is too much, or timed out. After too many of them half as
        much may be in flight (once a round trip); where all are, no call starts for `wait_s` seconds."""
        self._in_a_row += 1
        self._share += (1.0 - self._share) / MEMORY
        if self._share > REFUSED and started > self._slowed_at:
            self.limit, self._doubling, self._share = max(1.0, self.limit / 2), False, 0.0
            self._slowed_at = time.monotonic()
        if self._in_a_row >= min(IN_A_ROW, self.limit):
            self.pause(wait_s)

    def pause(self, seconds: float) -> None:
        """Start no call for so long."""
        self.paused_until = max(self.paused_until, time.monotonic() + seconds)


class Rate:
    """Requests and tokens a minute of one model, for all processes of a call log: a scope holds the time
    until which its rate is used up (the generic cell rate algorithm, ITU-T I.371)."""

    def __init__(self, call_log: CallLog, model: Model) -> None:
        self._call_log = call_log
        scope = f"{model.address} {model.name}"
        limits = {"requests": model.requests_per_minute, "tokens": model.tokens_per_minute}
        self._second_of = {f"{scope} {unit}": limit / 60 for unit, limit in limits.items() if limit}

    def __bool__(self) -> bool:
        """Whether the model has any limit of this kind."""
        return bool(self._second_of)

    def take(self, requests: int, tokens: int) -> float:
        """Use this much and return 0, or use nothing and return the seconds to wait."""
        with self._call_log.transaction(alone=False) as execute:
            now, starts = self._call_log.now(execute), {}
            for scope in self._second_of:  # a row that is written is ours until the transaction ends
                add = "INSERT INTO rate (scope, until) VALUES (?, 0) "
                execute(f"{add}ON CONFLICT (scope) DO UPDATE SET until = rate.until", (scope,))
                ((until,),) = execute("SELECT until FROM rate WHERE scope = ?", (scope,))
                longest = max(LONGEST, self._seconds(scope, requests, tokens))
                starts[scope] = max(until if until - now <= longest else now, now - BURST)
            if (wait := max(starts.values()) - now) > 0:
                return wait
            for scope, start in starts.items():
                until = start + self._seconds(scope, requests, tokens)
                execute("UPDATE rate SET until = ? WHERE scope = ?", (until, scope))
        return 0.0

    def give_back(self, tokens: int) -> None:
        """Tokens that were taken and not used."""
        scopes = [scope for scope in self._second_of if scope.endswith(" tokens")]
        if scopes and tokens > 0:
            with self._call_log.transaction(alone=False) as execute:
                for scope in scopes:
                    change = (self._seconds(scope, 0, tokens), scope)
                    execute("UPDATE rate SET until = until - ? WHERE scope = ?", change)

    def _seconds(self, scope: str, requests: int, tokens: int) -> float:
        return (tokens if scope.endswith(" tokens") else requests) / self._second_of[scope]


def headroom(headers: Mapping[str, str]) -> float:
    """Seconds until the endpoint takes calls again, if its headers say that none are left; else 0."""
    waits = [until(headers.get(reset, "")) for left, reset in LEFT if headers.get(left, "").strip() == "0"]
    return max(waits, default=0.0)


def until(text: str) -> float:
    """Seconds from now on: of a duration, or until a time as RFC 3339 writes it or as (milli)seconds since
    1970; 0 for anything else."""
    if "-" in text:  # else Python takes 1796101482048 for a day of 1796
        with suppress(ValueError):
            return max(0.0, datetime.fromisoformat(text).timestamp() - time.time())
    seconds = duration(text)
    for unit in (1000, 1):
        if seconds > DECADES * unit:
            return max(0.0, seconds / unit - time.time())
    return seconds


def duration(text: str) -> float:
    """Seconds of `6m0s`, `20ms`, `1h2m`, or a plain number; 0 for anything else."""
    if not re.fullmatch(r"\d+(\.\d+)?|(\d+(\.\d+)?(ms|h|m|s))+", text):
        return 0.0
    unit = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "": 1.0}
    return sum(float(n) * unit[u] for n, _, u in re.findall(r"(\d+(\.\d+)?)(ms|h|m|s|)", text))
