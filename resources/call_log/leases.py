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
from operator import itemgetter
from typing import NamedTuple

from synth_assets.core.asking import Answer
from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.database import Database, Execute, chunks, marks
from synth_assets.resources.storage.process import lives, this_process

LEASE_S = 60.0
RENEW_S = 15.0
BATCH = "batch "  # so begin the holders that are no process: see `gateway.batches.records`


Answered = Callable[[Execute, Sequence[str]], dict[str, Answer]]  # reusable answers of at most CHUNK


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

    def claim(self, identities: Sequence[str], answered: Answered) -> dict[str, Answer | bool]:
        """See `CallLog.claim`; `answered` looks answers up."""
        claims: dict[str, Answer | bool] = {}
        if identities:
            gone: dict[str, float] = {}
            asked = sorted({*identities})  # all in one order: nobody waits for who waits for him
            with self._open().transaction(alone=False) as execute:
                for chunk in chunks(asked):
                    claims |= self._claim(execute, chunk, answered, gone)
            if gone:
                self._end(gone)
                return claims | self.claim([i for i, claim in claims.items() if claim is False], answered)
            if True in claims.values():
                self.keep()
        return claims

    def _claim(
        self, execute: Execute, identities: Sequence[str], answered: Answered, gone: dict[str, float]
    ) -> dict[str, Answer | bool]:
        """The same for at most CHUNK. An answer is looked for when the claim is taken: it comes in the
        transaction that ends a claim. `gone` takes holders that are, and until when they held."""
        query = f"SELECT identity, process, until FROM claims WHERE identity IN {marks(len(identities))}"
        claims, now = execute(query, identities), self._open().now(execute)
        latest = {process: until for _, process, until in sorted(claims, key=itemgetter(2))}
        gone |= {process: until for process, until in latest.items() if not self._holds(process, until, now)}
        held = {identity for identity, *_ in claims}
        if mine := [identity for identity in identities if identity not in held]:
            take = f"INSERT INTO claims (identity, process, until) VALUES {marks(len(mine), 3)} "
            row = _process(os.getpid()), now + LEASE_S
            again = f"ON CONFLICT (identity) DO NOTHING{self._open().returning}"
            taken = execute(take + again, [value for identity in mine for value in (identity, *row)])
            mine = [identity for (identity,) in taken] if self._open().returning else mine
        known = answered(execute, identities)
        if needless := [identity for identity in mine if identity in known]:
            execute(f"DELETE FROM claims WHERE identity IN {marks(len(needless))}", needless)
        return {i: known.get(i, i in mine) for i in identities}

    def _end(self, gone: Mapping[str, float]) -> None:
        """End the claims of processes, unless they were heard of since."""
        with self._open().transaction() as execute:
            for process, until in gone.items():
                execute("DELETE FROM claims WHERE process = ? AND until <= ?", (process, until))

    def release(self, identities: Sequence[str]) -> None:
        """End claims of this process."""
        if identities:
            with self._open().transaction(alone=False) as execute:
                for chunk in chunks(identities):
                    mine = f"process = ? AND identity IN {marks(len(chunk))}"
                    execute(f"DELETE FROM claims WHERE {mine}", (_process(os.getpid()), *chunk))

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
                    with database.transaction(alone=False) as execute:
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
