"""Who is asking what right now: a claim is its process's as long as that lives.

Whether a process lives is seen where it runs (`storage/process.py`). From elsewhere, only that it renews its
claims: a thread of it does so, as long as it has any. Clocks of two machines differ, and a clock is set back
now and then; so whoever waits also counts for itself how long a claim has not been renewed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from synth_assets.core.asking import Answer
from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.database import Database, Execute, chunks, marks
from synth_assets.resources.storage.process import lives, this_process

LEASE_S = 60.0
RENEW_S = 15.0
BATCH = "batch "  # so begin the holders that are no process: see `gateway.batches.records`


class Holder(NamedTuple):
    """Who has claims: how many, and how long they hold if nothing is heard of it (None: as long as it lives
    here, or as its batch is with the provider)."""

    process: str
    claims: int
    seconds: float | None

    def __str__(self) -> str:
        if self.process.startswith(BATCH):
            return f"{self.claims:,} in a batch of the provider's ({self.process.removeprefix(BATCH)})"
        pid = self.process.partition(":")[2].partition("@")[0]
        if self.seconds is None:
            return f"{self.claims:,} of process {pid}, until it has asked or ends"
        return (
            f"{self.claims:,} of process {pid} of another machine or container, for {self.seconds:.0f} s "
            "unless it is heard of"
        )


class Leases:
    """The claims of a call log, whose database `open_` gives."""

    def __init__(self, open_: Callable[[], Database]) -> None:
        self._open, self._lock = open_, threading.Lock()
        self._renewing: int | None = None  # the process whose thread renews
        self._heard: dict[str, tuple[float, float]] = {}  # holder -> its `until`, first seen when

    def claim(
        self, execute: Execute, identities: Sequence[str], known: Mapping[str, Answer]
    ) -> dict[str, Answer | bool]:
        """`CallLog.claim` for at most CHUNK identities; `known`: answers that there are."""
        query = f"SELECT identity, process, until FROM claims WHERE identity IN {marks(len(identities))}"
        claims, now = execute(query, identities), self._open().now(execute)
        latest = {process: until for _, process, until in claims}
        holding = {process for process, until in latest.items() if self._holds(process, until, now)}
        held = {identity for identity, process, _ in claims if process in holding}
        free = [i for i in identities if i not in held and i not in known]
        if free:
            me = _process(os.getpid())
            take = f"INSERT INTO claims (identity, process, until) VALUES {marks(len(free), 3)} "
            again = "ON CONFLICT (identity) DO UPDATE SET process = excluded.process, until = excluded.until"
            execute(take + again, [value for i in free for value in (i, me, now + LEASE_S)])
        return {i: known.get(i, i not in held) for i in identities}

    def holders(self, identities: Sequence[str]) -> list[Holder]:
        """Who has claims on these, other than this process."""
        found: dict[str, list[float]] = {}
        for chunk in chunks(identities):
            query = f"SELECT process, until FROM claims WHERE identity IN {marks(len(chunk))}"
            for process, until in self._open().execute(query, chunk):
                if process != _process(os.getpid()):
                    found.setdefault(process, []).append(until)
        now = self._open().now(self._open().execute)
        return [Holder(p, len(u), self._left(p, max(u), now)) for p, u in found.items()]

    def keep(self) -> None:
        """Renew this process's claims from now on, as long as it has any."""
        with self._lock:
            if self._renewing != os.getpid():  # a forked child has no thread of its parent's
                self._renewing = os.getpid()
                threading.Thread(target=self._renew, name="claims", daemon=True).start()

    def _renew(self) -> None:
        me, change = _process(os.getpid()), "UPDATE claims SET until = ? WHERE process = ?"
        while True:
            time.sleep(RENEW_S)
            try:
                with self._lock:
                    database = self._open()
                    with database.transaction() as execute:
                        execute(change, (database.now(execute) + LEASE_S, me))
                        (mine,) = execute("SELECT count(*) FROM claims WHERE process = ?", (me,))[0]
                    if not mine:
                        self._renewing = None
                        return
            except UserError:  # the database is away; whoever asks next is told
                continue

    def _holds(self, process: str, until: float, now: float) -> bool:
        if process.startswith(BATCH):
            return True
        alive = lives(process)
        return self._left(process, until, now) > 0 if alive is None else alive  # type: ignore[operator]

    def _left(self, process: str, until: float, now: float) -> float | None:
        """Seconds that the claims hold if their process is not heard of; None where it is known to live."""
        if process.startswith(BATCH) or lives(process):
            return None
        if self._heard.get(process, (None, 0))[0] != until:
            self._heard[process] = until, time.monotonic()
        waited = time.monotonic() - self._heard[process][1]
        return max(0.0, min(until - now, LEASE_S - waited))


@lru_cache(maxsize=1)
def _process(_: int) -> str:
    """This process; looked up again in the child of a fork."""
    return this_process()
