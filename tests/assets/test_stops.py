"""Told to stop, by whatever signal: one line, its own exit status, and nothing is left claimed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from synth_assets.assets.dagster_internals import compute_logs
from synth_assets.resources.call_log.log import CallLog
from tests.assets.test_round import ROUND
from tests.conftest import QUICK
from tests.containers import container, in_containers
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


def started(*path: Path, within: Sequence[str] = ()) -> subprocess.Popen[str]:
    places = os.pathsep.join(map(str, [*path, ROOT]))
    env, piped = {**os.environ, "PYTHONPATH": places}, subprocess.PIPE
    return subprocess.Popen([*within, *RUN], env=env, text=True, stdout=piped, stderr=piped)


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
    edit("rows: 6", QUICK)
    maclike = partial(started, ROOT / "tests" / "maclike")
    goes_on(maclike, maclike, endpoint)


@pytest.mark.slow
@in_containers
def test_a_killed_container_goes_on_in_another_one(project: Path, endpoint: Endpoint, edit) -> None:
    """It has another host name, and ids of processes that mean others: a lease tells that nobody works."""
    edit("rows: 6", QUICK)
    goes_on(partial(started, within=container("one")), partial(started, within=container("two")), endpoint)


def goes_on(
    first: Callable[[], subprocess.Popen[str]], then: Callable[[], subprocess.Popen[str]], endpoint: Endpoint
) -> None:
    """What the first was killed at, the next makes soon after."""
    endpoint.delay_s = 1.0
    run = first()
    asking(run, endpoint)
    run.kill()
    run.communicate()
    endpoint.delay_s, in_flight = 0.0, len(endpoint.requests)
    began = time.monotonic()
    again = then()
    while len(endpoint.requests) == in_flight and again.poll() is None:
        time.sleep(0.1)
    assert time.monotonic() - began < 240  # a lease is a minute
    said = again.communicate(timeout=600)[1]
    assert again.returncode == 0, said
    assert len(endpoint.requests) <= 12 + in_flight  # rows of both cells


def test_what_a_run_prints_is_in_its_log_and_on_the_terminal_to_the_last_line(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    with compute_logs.mirror_stream_to_file(sys.stdout, str(tmp_path / "log")):
        print("a line")
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"and one of a library\n")
    assert capfd.readouterr().out == (tmp_path / "log").read_text() == "a line\nand one of a library\n"
