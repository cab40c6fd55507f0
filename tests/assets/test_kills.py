"""`kill -9`, five times in a row: what was answered is not paid again, and the tables come out the same."""

from __future__ import annotations

import hashlib
import random
import signal
import time
from pathlib import Path

import pytest

from synth_assets.cli import main
from synth_assets.resources.call_log.log import CallLog
from tests.assets.test_round import ROUND
from tests.endpoint import Endpoint
from tests.forked import command

ROWS, KILLS, IN_FLIGHT = 80, 5, 16  # rows of both cells; the model's max_concurrency
RUN = ["run", "reviews", "--round", ROUND, "--rows", str(ROWS // 2)]


def tables(home: Path) -> dict[str, str]:
    """Hash of each table but those that tell when something was asked."""
    files = [file for file in (home / "lake").glob("**/part.parquet") if "calls" not in file.parts]
    return {str(file.relative_to(home)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def kill_after(endpoint: Endpoint, requests: int) -> None:
    """Run the round, and end it the hard way as soon as so many requests have come in all."""
    process = command(["synth", *RUN], Path("run.log"))
    while len(endpoint.requests) < requests:
        assert process.poll() is None, f"it ended before it could be killed: {process.said()}"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_five_kills_cost_what_was_in_flight_and_change_no_table(
    project: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.delay_s = 0.1
    draw, lost = random.Random(20261122), []
    for _ in range(KILLS):
        kill_after(endpoint, len(endpoint.requests) + draw.randint(3, 14))
        endpoint.settle()
        lost.append(len(endpoint.requests) - CallLog(project / ".synth" / "calls.sqlite").count() - sum(lost))
    assert all(0 <= n <= IN_FLIGHT for n in lost)
    assert sum(lost) > 0  # a test in which nothing was in flight shows nothing
    assert main(RUN) == 0
    assert len(endpoint.requests) == ROWS + sum(lost)
    killed = tables(project / ".synth")

    monkeypatch.setenv("SYNTH_HOME", str(project / "undisturbed"))
    assert main(RUN) == 0
    assert tables(project / "undisturbed") == killed
