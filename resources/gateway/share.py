"""Calls in flight of one model, for all processes of a call log in Postgres.

Together they have no more than the model's `max_concurrency`. One that is alone has as much of it as it
wants; where somebody waits, each has an equal share, as soon as calls that are in flight have ended.
"""

from __future__ import annotations

import time

from synth_assets.resources.call_log.leases import LEASE_S
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.storage.process import is_gone, this_process

LOOK_S = 1.0  # seconds until a process says again what it has, and hears who waits
AGAIN_S = 0.1  # the same where it would have more
AHEAD = 2  # times what it would have now is set aside for it, if nobody waits
QUICK = "SET LOCAL synchronous_commit = off"  # a server that crashes may forget it


class Share:
    """What this process has of one model."""

    def __init__(self, call_log: CallLog, model: Model) -> None:
        self._log, self._most = call_log, model.max_concurrency
        self._scope = f"{model.address} {model.name}"
        self._allowed, self._looked = 0, float("-inf")

    @classmethod
    def of(cls, call_log: CallLog, model: Model) -> Share | None:
        """None where nobody shares: the log is a file, or the model this machine's own."""
        return cls(call_log, model) if call_log.is_shared and model.base_url else None

    def room(self, in_flight: int, wanted: int) -> int:
        """How many of the calls that are `wanted` may start beside those in flight."""
        age = time.monotonic() - self._looked
        if age > LOOK_S or (age > AGAIN_S and in_flight + wanted > self._allowed):
            self._look(in_flight, in_flight + wanted)
        return max(0, min(wanted, self._allowed - in_flight))

    def end(self) -> None:
        """Leave all of it to the others."""
        with self._log.transaction(alone=False) as execute:
            execute(QUICK)
            gone = "DELETE FROM shares WHERE scope = ? AND process = ?"
            execute(gone, (self._scope, this_process()))
        self._looked = float("-inf")

    def _look(self, in_flight: int, wanted: int) -> None:
        """See what the others have, and say what is set aside for this process: one after the other."""
        with self._log.transaction(alone=False) as execute:
            execute(QUICK)
            execute("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (self._scope,))
            now = self._log.now(execute)
            query = "SELECT process, calls, waits FROM shares WHERE scope = ? AND process <> ? AND until > ?"
            rows = execute(query, (self._scope, this_process(), now))
            others = [(calls, waits) for process, calls, waits in rows if not is_gone(process)]
            equal = -(-self._most // (len(others) + 1))
            some_wait = any(waits for _, waits in others)
            free = self._most - sum(calls for calls, _ in others)
            most = min(equal, wanted) if some_wait else AHEAD * wanted
            self._allowed = max(0, min(free, most))
            kept = max(in_flight, self._allowed)
            row = self._scope, this_process(), kept, int(wanted > self._allowed), now + LEASE_S
            execute(
                "INSERT INTO shares (scope, process, calls, waits, until) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (scope, process) DO UPDATE SET "
                "calls = excluded.calls, waits = excluded.waits, until = excluded.until",
                row,
            )
        self._looked = time.monotonic()
