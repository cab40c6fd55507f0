"""Told to stop, by whatever signal: one line, its own exit status, and nothing is left claimed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_assets.assets.dagster_internals import compute_logs
from synth_assets.resources.call_log.log import CallLog
from tests.assets.test_round import ROUND
from tests.endpoint import Endpoint
from tests.forked import Forked, command

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "synth_assets.cli", "run", "reviews", "--round", ROUND]


@pytest.fixture(autouse=True)
def told_of_all() -> Iterator[None]:
    """Whoever runs the tests under nohup lets a process ignore a lost terminal, and those it starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def started(*path: Path, **settings: str) -> subprocess.Popen[str]:
    places = os.pathsep.join(map(str, [*path, ROOT]))
    env = {**os.environ, "PYTHONPATH": places, **settings}
    return subprocess.Popen(RUN, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def asking(process: subprocess.Popen[str] | Forked, endpoint: Endpoint) -> None:
    """Return when it has asked for something."""
    while not endpoint.requests:
        assert process.poll() is None
        time.sleep(0.02)


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_in_one_line(project: Path, endpoint: Endpoint, told: signal.Signals) -> None:
    endpoint.delay_s = 1.0
    if told == signal.SIGINT:  # the end of an interpreter has its own things to say
        run = started()
        asking(run, endpoint)
        run.send_signal(told)
        said, code = run.communicate()[1].splitlines(), run.returncode
    else:
        forked = command(["synth", *RUN[3:]], project / "run.log")
        asking(forked, endpoint)
        forked.send_signal(told)
        code, said = forked.wait(), forked.said().splitlines()
    assert code == 128 + told
    assert said[-1] == "stopped; run again to go on: what was answered is kept."
    assert not [line for line in said if "Traceback" in line or line.startswith("  ")]
    assert CallLog(project / ".synth" / "calls.sqlite").execute("SELECT * FROM claims") == []


@pytest.mark.slow
def test_a_killed_run_goes_on_where_python_is_that_of_macos(project: Path, endpoint: Endpoint, edit) -> None:
    edit(
        "rows: 6", "rows: 6\nmetrics: {student: false, diversity: false, privacy: false, faithfulness: false}"
    )
    endpoint.delay_s = 1.0
    run = started(ROOT / "tests" / "maclike")
    asking(run, endpoint)
    run.kill()
    run.communicate()
    endpoint.delay_s = 0.0
    began = time.monotonic()
    again = started(ROOT / "tests" / "maclike")
    said = again.communicate(timeout=600)[1]
    assert again.returncode == 0, said
    assert time.monotonic() - began < 90


def test_what_a_run_prints_is_in_its_log_and_on_the_terminal_to_the_last_line(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    with compute_logs.mirror_stream_to_file(sys.stdout, str(tmp_path / "log")):
        print("a line")
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"and one of a library\n")
    assert capfd.readouterr().out == (tmp_path / "log").read_text() == "a line\nand one of a library\n"
