"""How fast a model is asked: what may be in flight adapts, and rates a minute hold across processes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.pace import IN_A_ROW, START, Pace, Rate, duration, headroom
from synth_assets.resources.gateway.request import Request
from synth_assets.resources.gateway.transport import connect
from tests.endpoint import Endpoint


def answer(pace: Pace, times: int) -> None:
    for _ in range(times):
        pace.answered()


def refuse(pace: Pace, times: int, wait_s: float = 0.0) -> None:
    for _ in range(times):
        pace.refused(started=time.monotonic(), wait_s=wait_s)


def test_it_doubles_every_round_trip_up_to_the_models_limit() -> None:
    pace = Pace(most=100)
    answer(pace, START)
    assert pace.room() == 2 * START
    answer(pace, 1000)
    assert pace.room() == 100


def test_what_is_in_flight_takes_room() -> None:
    pace = Pace(most=3)
    pace.started()
    pace.started()
    assert pace.room() == 1
    pace.ended()
    assert pace.room() == 2


def test_too_many_refusals_halve_it_and_answers_add_one_a_round_trip() -> None:
    pace = Pace(most=100)
    answer(pace, 1000)
    for _ in range(20):  # every second call
        refuse(pace, 1)
        answer(pace, 1)
    slow = pace.limit
    assert 1 <= slow <= 50
    answer(pace, int(slow))
    assert slow + 0.5 < pace.limit < slow + 1.5


def test_refusals_of_one_round_trip_halve_it_once() -> None:
    pace = Pace(most=100)
    answer(pace, 1000)
    together = time.monotonic()
    for _ in range(40):
        pace.refused(started=together, wait_s=0.0)
    assert pace.limit == 50


def test_a_refusal_now_and_then_is_no_congestion() -> None:
    pace = Pace(most=100)
    answer(pace, 1000)
    for _ in range(50):
        refuse(pace, 1, wait_s=60)
        answer(pace, 30)
    assert pace.room() == 100


def test_when_nothing_gets_through_nobody_is_sent() -> None:
    pace = Pace(most=100)
    refuse(pace, IN_A_ROW - 1, wait_s=60)
    assert pace.room() > 0
    refuse(pace, 1, wait_s=60)
    assert pace.room() == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("7", 7),
        ("1.5", 1.5),
        ("", 0),
        ("soon", 0),
    ],
)
def test_durations_of_rate_limit_headers(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


def test_headers_that_say_that_nothing_is_left() -> None:
    left = {"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "9s"}
    assert headroom(left) == 0
    tokens = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2s"}
    assert headroom({**left, **tokens}) == 2


def test_a_rate_is_kept_by_all_processes_together(tmp_path: Path) -> None:
    model = Model("m", base_url="http://127.0.0.1:1/v1", requests_per_minute=120, tokens_per_minute=60_000)
    rates = [Rate(CallLog(tmp_path / "calls.sqlite"), model) for _ in range(2)]
    assert [rate.take(1, 10) for rate in (*rates, rates[0])] == [0.0, 0.0, 0.0]  # what a second may take
    assert 0 < rates[1].take(1, 10) <= 0.5
    other = Model("n", base_url="http://127.0.0.1:1/v1", requests_per_minute=120)
    assert Rate(CallLog(tmp_path / "calls.sqlite"), other).take(1, 10) == 0.0


def test_a_clock_that_was_set_back_makes_nobody_wait_for_longer_than_a_minute(tmp_path: Path) -> None:
    log = CallLog(tmp_path / "calls.sqlite")
    rate = Rate(log, Model("m", base_url="http://m", requests_per_minute=60))
    rate.take(1, 0)
    log.execute("UPDATE rate SET until = until + 3600")
    assert rate.take(1, 0) == 0.0
    assert 0 < rate.take(1, 0) + rate.take(1, 0) < 3


def test_tokens_that_were_not_used_are_given_back(tmp_path: Path) -> None:
    model = Model("m", base_url="http://127.0.0.1:1/v1", tokens_per_minute=6_000)
    rate = Rate(CallLog(tmp_path / "calls.sqlite"), model)
    assert rate.take(1, 6_000) == 0.0  # one that is larger than a second's share has to start some time
    assert rate.take(1, 10) > 50
    rate.give_back(5_990)
    assert rate.take(1, 10) == 0.0


def ask(n: int) -> list[Request]:
    return [Request([{"role": "user", "content": f"q{i}"}], {"max_tokens": 2}) for i in range(n)]


@pytest.fixture
def lm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LanguageModel:
    monkeypatch.setattr("synth_assets.resources.gateway.sending.BACKOFF", 0.01)
    return LanguageModel(CallLog(tmp_path / "calls.sqlite"), tmp_path)


def test_concurrency_settles_near_what_the_endpoint_takes(lm: LanguageModel) -> None:
    with Endpoint(delay_s=0.01) as endpoint:
        endpoint.capacity = 8
        model = Model("m", base_url=endpoint.url, max_concurrency=128)
        answers = lm.complete(model, ask(600))
        assert {a.outcome for a in answers} == {"ok"}
        assert len(endpoint.requests) == 600 + endpoint.refused
        assert 1 <= connect(model, endpoint.url).pace.limit < 48  # and not 128


def test_a_model_without_room_left_is_not_asked_until_it_has_some(lm: LanguageModel) -> None:
    with Endpoint() as endpoint:
        endpoint.answer_headers = {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "300ms",
        }
        started = time.monotonic()
        lm.complete(Model("m", base_url=endpoint.url, max_concurrency=1), ask(4))
        assert time.monotonic() - started >= 3 * 0.3


def test_requests_a_minute(lm: LanguageModel) -> None:
    with Endpoint() as endpoint:
        started = time.monotonic()
        lm.complete(Model("m", base_url=endpoint.url, requests_per_minute=240), ask(9))
        assert time.monotonic() - started >= 0.9  # four at once, and four a second from there
        assert len(endpoint.requests) == 9


def test_batches_of_one_process_share_pace_and_connections(lm: LanguageModel) -> None:
    with Endpoint() as endpoint:
        model = Model("m", base_url=endpoint.url, max_concurrency=1)
        lm.complete(model, ask(1))
        lm.complete(model, ask(3))
        assert len(endpoint.requests) == 3
        assert len(endpoint.connections) == 1
