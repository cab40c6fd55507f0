"""A claim ends with its process; of one that is not known here, when nothing is heard of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.resources.call_log import leases
from synth_assets.resources.call_log.leases import LEASE_S
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.storage.process import this_process
from tests.forked import python
from tests.resources.call_log.test_call_log import log, where

__all__ = ["log", "where"]
ELSEWHERE = "another:1@7"


def held_by(log: CallLog, process: str, identity: str, seconds: float = LEASE_S) -> None:
    log.claim([identity])
    now = log.now(log.execute)
    change = "UPDATE claims SET process = ?, until = ? WHERE identity = ?"
    log.execute(change, (process, now + seconds, identity))


def test_a_claim_ends_with_its_process(log: CallLog) -> None:
    place, _, mine = this_process().partition(":")
    held_by(log, f"{place}:{mine}", "alive", seconds=-1)  # its thread had no time to renew
    held_by(log, f"{place}:{mine.partition('@')[0]}@1", "dead")
    held_by(log, ELSEWHERE, "away")
    held_by(log, ELSEWHERE + "0", "silent", seconds=-1)
    asked = ["alive", "dead", "away", "silent"]
    assert log.claim(asked) == {"alive": False, "dead": True, "away": False, "silent": True}


def test_a_clock_that_was_set_back_keeps_nobody_waiting(log: CallLog, monkeypatch) -> None:
    held_by(log, ELSEWHERE, "a", seconds=3600)
    assert log.claim(["a"]) == {"a": False}
    assert [holder.seconds <= LEASE_S for holder in log.holders(["a"])] == [True]
    later = leases.time.monotonic() + LEASE_S + 1
    monkeypatch.setattr(leases.time, "monotonic", lambda: later)
    assert log.claim(["a"]) == {"a": True}


ASKER = """
import random
import sys
from synth_assets.core.asking import Answer
from synth_assets.resources.call_log.log import CallLog
from tests.resources.call_log.test_call_log import write

log, draw, open_ = CallLog(sys.argv[1]), random.Random(sys.argv[2]), {str(n) for n in range(200)}
while open_:
    asked = draw.sample(sorted(open_), min(20, len(open_)))
    claims = log.claim(asked)
    mine = [name for name in draw.sample(asked, len(asked)) if claims[name] is True]
    given, asks = mine[3:6], [*mine[:3], *mine[6:]]
    log.release(given)
    write(log, *(Answer(name, "ok") for name in asks))
    open_ -= {*asks, *(name for name in asked if isinstance(claims[name], Answer))}
"""


def test_processes_that_claim_in_any_order_wait_for_each_other_and_answer_once(postgres: str) -> None:
    processes = [python(ASKER, postgres, who) for who in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    log = CallLog(postgres)
    assert log.execute("SELECT count(*), count(DISTINCT identity) FROM calls") == [(200, 200)]
    assert log.execute("SELECT count(*) FROM claims") == [(0,)]
    log.close()


def test_who_has_lost_a_claim_does_not_end_that_of_another(log: CallLog) -> None:
    held_by(log, ELSEWHERE, "a")  # after this process was not heard of
    log.release(["a"])
    assert log.claim(["a"]) == {"a": False}


def test_the_claims_of_a_batch_end_with_it(log: CallLog) -> None:
    held_by(log, "batch 7", "a", seconds=-1)
    assert log.claim(["a"]) == {"a": False}


def test_a_process_renews_its_claims_while_it_has_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_S", 0.05)
    log = CallLog(tmp_path / "calls.sqlite")
    log.claim(["a"])
    log.execute("UPDATE claims SET until = 0")
    waits(lambda: log.execute("SELECT until FROM claims")[0][0] > log.now(log.execute) + LEASE_S - 5)
    log.release(["a"])
    waits(lambda: log._leases._renewing is None)
    log.close()


def waits(until) -> None:
    for _ in range(1_200):
        if until():
            return
        leases.time.sleep(0.05)
    raise AssertionError


def test_who_holds_is_said(log: CallLog) -> None:
    for identity, process in (("a", ELSEWHERE), ("b", ELSEWHERE), ("c", "batch 7")):
        held_by(log, process, identity)
    log.claim(["mine"])
    said = sorted(map(str, log.holders(["a", "b", "c", "mine"])))
    assert said[0] == "1 in a batch of the provider's (7)"
    assert said[1].startswith("2 of process 1 of another machine or container, for ")
