"""While nothing goes through, a person is told why and until when; Ctrl-C ends it with a line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path

import pytest

from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.language_model import Calls, LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.pace import headroom
from synth_assets.resources.gateway.request import Request
from synth_assets.resources.gateway.wire import retry_after
from tests.endpoint import Endpoint, Played

QUOTA = {
    "error": {
        "message": "Quota exceeded for requests per day",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}],
    }
}


def test_the_first_line_comes_within_seconds(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    started = time.monotonic()

    def progress(done: int, total: int | None, calls: Calls) -> None:
        if calls.waiting:
            told.append((time.monotonic() - started, calls.waiting))
            endpoint.play = None

    with Endpoint() as endpoint:
        endpoint.play = lambda _: Played(429, {"error": {"message": "a day's quota is used up"}})
        lm = LanguageModel(CallLog(tmp_path / "calls.sqlite"), tmp_path)
        (answer,) = lm.complete(
            Model("m", base_url=endpoint.url), [Request([{"role": "user", "content": "q"}])], progress
        )
    assert answer.outcome == "ok"
    assert told[0][0] < 20  # five, where nothing else runs
    assert told[0][1].startswith("nothing is answered (429: a day's quota is used up); tried again at ")


def test_milliseconds_that_look_like_a_day_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1796101422.0)
    reset = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1796101482048"}
    assert retry_after(reset) == pytest.approx(60.048)


def test_when_it_may_be_tried_again() -> None:
    assert retry_after({}, [QUOTA]) == 34.07
    assert retry_after({"retry-after": "2"}, QUOTA) == 2
    assert retry_after({}, None) == 0
    assert retry_after({}, {"error": "Rate limit reached. Please try again in 1m7.5s. Visit us."}) == 67.5
    assert retry_after({}, "Please retry after 20 seconds.") == 20
    assert retry_after({}, "please try again after 2 minutes") == 120
    assert retry_after({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "6m0s"}) == 360
    in_a_minute = time.time() + 60
    assert 55 < retry_after({"retry-after": formatdate(in_a_minute, usegmt=True)}) <= 60
    for reset in (f"{in_a_minute:.0f}", f"{in_a_minute * 1000:.0f}"):  # of OpenRouter, in milliseconds
        assert 55 < retry_after({"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}) <= 61
    soon = (datetime.now(UTC) + timedelta(seconds=30)).isoformat().replace("+00:00", "Z")
    for unit in ("requests", "tokens", "input-tokens", "output-tokens"):
        left, reset = (f"anthropic-ratelimit-{unit}-{word}" for word in ("remaining", "reset"))
        assert 25 < headroom({left: "0", reset: soon}) <= 30
        assert headroom({left: "1", reset: soon}) == 0
        assert headroom({left: "0", reset: "soon"}) == 0


@pytest.mark.slow
def test_ctrl_c_is_answered_with_a_line(project: Path, endpoint: Endpoint) -> None:
    endpoint.play = lambda _: Played(429, QUOTA)
    command = [sys.executable, "-m", "synth_assets.cli", "run", "reviews", "--round", "2026-11-21"]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        command, env=environ, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        lines = []
        for line in run.stderr or ():
            lines.append(line)
            if "nothing is answered (429: Quota exceeded" in line:
                os.killpg(run.pid, signal.SIGINT)  # a terminal tells all processes of the group
        assert run.wait() == 130
    assert lines[-1] == "stopped; run again to go on: what was answered is kept.\n"
    assert len(lines) <= 5, lines
