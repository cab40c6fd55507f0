"""Processes that share a call log in Postgres have together as many calls in flight as the model takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway import share
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.share import Share
from tests.endpoint import Endpoint
from tests.forked import python

MODEL = Model("m", base_url="http://here/v1", max_concurrency=16)


@pytest.fixture
def of(postgres: str, monkeypatch: pytest.MonkeyPatch):
    """The shares of processes, which look each time."""
    monkeypatch.setattr(share, "LOOK_S", -1.0)
    log = CallLog(postgres)

    class Process(Share):
        def room(self, in_flight: int, wanted: int) -> int:
            monkeypatch.setattr(share, "this_process", lambda: f"another:{id(self)}@1")
            return super().room(in_flight, wanted)

        def end(self) -> None:
            monkeypatch.setattr(share, "this_process", lambda: f"another:{id(self)}@1")
            super().end()

    yield lambda: Process(log, MODEL)
    log.close()


def test_one_alone_has_all_and_gives_an_equal_share_as_its_calls_end(of) -> None:
    first, second, third = of(), of(), of()
    assert first.room(0, 40) == 16
    assert second.room(0, 40) == 0  # it waits from now on
    assert first.room(16, 24) == 0
    assert first.room(10, 24) == 0  # more than its share are in flight
    assert second.room(0, 40) == 6
    assert first.room(7, 24) == 1
    assert second.room(6, 34) == 2
    assert third.room(0, 2) == 0
    assert (first.room(5, 24), second.room(5, 24)) == (1, 1)
    assert third.room(0, 2) == 2
    first.end()
    assert second.room(6, 24) == 8


def test_what_nobody_else_wants_is_free(of) -> None:
    few, many = of(), of()
    assert few.room(0, 2) == 2
    assert many.room(0, 40) == 12  # it might want two more soon
    assert few.room(2, 0) == 0  # somebody waits: two are enough
    assert many.room(12, 28) == 2
    few.end()
    assert many.room(14, 26) == 2


def test_what_a_process_had_that_is_gone_is_free_after_a_lease(of) -> None:
    gone, other = of(), of()
    gone.room(0, 16)
    assert other.room(0, 40) == 0
    other._log.execute("UPDATE shares SET until = 0 WHERE calls > 0")
    assert other.room(0, 40) == 16


def test_a_log_in_a_file_and_the_embedded_model_share_nothing(tmp_path: Path, postgres: str) -> None:
    assert Share.of(CallLog(tmp_path / "calls.sqlite"), MODEL) is None
    assert Share.of(CallLog(postgres), Model("m")) is None
    log = CallLog(tmp_path / "calls.sqlite")
    assert ("shares",) not in log.execute("SELECT name FROM sqlite_master")


ASKS = """
import sys
from pathlib import Path
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request

where, url, who = sys.argv[1:]
asked = [Request([{"role": "user", "content": f"{who} {i}"}]) for i in range(40)]
answers = LanguageModel(CallLog(where), Path()).complete(Model("m", base_url=url, max_concurrency=6), asked)
assert [answer.text for answer in answers] == [f"{who} {i}!" for i in range(40)]
"""


def test_four_processes_have_no_more_in_flight_than_one(postgres: str) -> None:
    with Endpoint(delay_s=0.02) as endpoint:
        processes = [python(ASKS, postgres, endpoint.url, who) for who in "abcd"]
        assert [process.wait() for process in processes] == [0] * 4
        assert endpoint.most_at_once <= 6
        assert len(endpoint.requests) == 160
    assert CallLog(postgres).execute("SELECT * FROM shares") == []
