"""`synth run --launch`: runs that wait in Dagster's queue, and are made by whoever takes them from it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import execute_run
from dagster._core.origin import JobPythonOrigin
from dagster._daemon.types import DaemonHeartbeat

from synth_assets.assets import launched
from synth_assets.assets.dagster_queue import DAEMON
from synth_assets.assets.in_process import dagster_instance, prepare_home
from synth_assets.cli import main
from synth_assets.resources.home import home, lake
from tests.conftest import QUICK, ROUND
from tests.endpoint import Endpoint

RUN = ["run", "reviews", "--round", ROUND, "--launch"]
QUEUED = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launched, "POLL_S", 0.05)


def say_something(instance: dg.DagsterInstance) -> None:
    """As a daemon does."""
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), DAEMON, "here", []))


@contextmanager
def machine() -> Iterator[list[dg.DagsterRun]]:
    """Another one, that takes runs from the queue and makes them; the runs that it had."""
    ended, had = threading.Event(), list[dg.DagsterRun]()

    def work() -> None:
        with dg.DagsterInstance.get() as instance:
            say_something(instance)
            while not ended.is_set():
                for run in instance.get_runs(QUEUED, ascending=True):
                    make(run, instance)
                    had.append(run)
                time.sleep(0.05)

    thread = threading.Thread(target=work)
    prepare_home()
    with dg.DagsterInstance.get() as instance:
        say_something(instance)
    thread.start()
    try:
        yield had
    finally:
        ended.set()
        thread.join()


def make(run: dg.DagsterRun, instance: dg.DagsterInstance) -> None:
    """As `dagster api execute_run` does, by what the run itself says of its code."""
    origin = run.job_code_origin
    assert isinstance(origin, JobPythonOrigin)
    repository = ReconstructableRepository(origin.get_repo_pointer())
    job = ReconstructableJob(repository, run.job_name, asset_selection=run.asset_selection)
    starting = dg.DagsterEvent("PIPELINE_STARTING", run.job_name)
    instance.report_dagster_event(starting, run.run_id)
    execute_run(job, instance.get_run_by_id(run.run_id), instance)


def test_who_takes_the_runs_makes_the_round_and_this_process_says_how_far_it_is(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("rows: 6", QUICK)
    with machine() as had:
        assert main([*RUN, "--json"]) == 0
        out = capsys.readouterr()
        made = json.loads(out.out)
        assert made["rounds"] == [ROUND]
        assert made["rows"]
        assert len(endpoint.requests) == 12
        assert len(had) == 4  # seeds, two cells and the round
        for cell in ("negative", "positive"):
            assert f"reviews {ROUND} {cell}: done" in out.err
        assert lake().has("reviews", "metrics", {"round": ROUND})

        assert main(RUN) == 0  # nothing is left to do
        assert len(had) == 4
    capsys.readouterr()
    assert main(RUN[:-1]) == 0  # nor for this process
    assert len(endpoint.requests) == 12


def test_what_fails_is_named_with_its_log_and_has_the_same_exit_status(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit("rows: 6", QUICK)
    with machine() as had:
        with monkeypatch.context() as patch:
            patch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
            assert main([*RUN, "--json"]) == 69
        out = capsys.readouterr()
        wrong = json.loads(out.out)["errors"]
        assert [error["code"] for error in wrong] == ["unreachable"] * 2
        for cell, error, run in zip(("negative", "positive"), wrong, had[-2:], strict=True):
            assert error["message"].startswith(f"reviews {ROUND} {cell}: ")
            assert error["message"].endswith(f"Its log, in the UI: /runs/{run.run_id}")
        edit("words: {between: [2, 40]}", "words: {between: [39, 40]}")
        edit("minimum_yield: 0.0", "minimum_yield: 0.9")
        assert main(RUN) == 1
    assert "reviews.filtered" in capsys.readouterr().err


def test_where_no_daemon_is_the_fix_is_named(project: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(RUN) == 2
    assert "no daemon takes runs from the queue" in (said := capsys.readouterr().err)
    assert "start `synth ui`" in said
    with dagster_instance() as instance:
        assert not instance.get_runs()


@pytest.fixture
def queue(project: Path, endpoint: Endpoint, edit) -> Iterator[dg.DagsterInstance]:
    """An instance whose daemon has said a word, and takes nothing from the queue."""
    edit("rows: 6", QUICK)
    with dagster_instance() as instance:
        say_something(instance)
        yield instance


@contextmanager
def meanwhile(*happens: Callable[[], object]) -> Iterator[None]:
    """One after the other, each while the command waits; then Ctrl-C."""
    left = iter(happens)

    def sleep(seconds: float) -> None:
        next(left, stop)()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launched.time, "sleep", sleep)
        yield


def stop() -> None:
    raise KeyboardInterrupt


def test_ctrl_c_ends_the_waiting_and_the_same_command_waits_for_the_same_runs(
    queue: dg.DagsterInstance, capsys: pytest.CaptureFixture
) -> None:
    with meanwhile(stop, lambda: None):
        assert main(RUN) == 130
    assert "1 runs go on without this command" in capsys.readouterr().err
    with machine() as had:
        assert main(RUN) == 0
    assert len(had) == 4


def test_a_second_ctrl_c_cancels(queue: dg.DagsterInstance, capsys: pytest.CaptureFixture) -> None:
    with meanwhile(stop, stop):
        assert main(RUN) == 130
    assert "1 runs cancelled" in capsys.readouterr().err
    assert [run.status.name for run in queue.get_runs()] == ["CANCELED"]


def test_a_run_that_somebody_cancels_is_named(
    queue: dg.DagsterInstance, capsys: pytest.CaptureFixture
) -> None:
    with meanwhile(lambda: queue.run_coordinator.cancel_run(queue.get_runs()[0].run_id)):
        assert main(RUN) == 75
    (run,) = queue.get_runs()
    said = f"reviews seeds: cancelled; the same command goes on. Its log, in the UI: /runs/{run.run_id}"
    assert said in capsys.readouterr().err


def test_a_daemon_that_falls_silent_is_told_and_ends_the_waiting_for_runs_in_the_queue(
    queue: dg.DagsterInstance, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def falls_silent() -> None:
        monkeypatch.setattr(launched, "SILENT_S", -1.0)

    with meanwhile(falls_silent):
        assert main(RUN) == 2
    assert "no daemon takes runs from the queue" in capsys.readouterr().err
    monkeypatch.setattr(launched, "SILENT_S", 90.0)
    monkeypatch.setattr(launched, "SAY_S", 0.0)
    (run,) = queue.get_runs()  # waits in the queue

    def starts() -> None:
        for event in ("PIPELINE_STARTING", "PIPELINE_START"):
            queue.report_dagster_event(dg.DagsterEvent(event, run.job_name), run.run_id)
        falls_silent()

    with meanwhile(starts, lambda: None, stop):
        assert main(RUN) == 130
    said = capsys.readouterr().err
    assert "1 being made; the daemon is silent for 0 s: nobody notices a run that dies" in said


@pytest.mark.parametrize(
    ("coordinator", "status", "words"),
    [
        (
            "{module: dagster._core.run_coordinator, class: DefaultRunCoordinator}",
            2,
            "leave `run_coordinator`",
        ),
        (
            "{module: dagster, class: NoSuch}",
            1,
            "cannot be used (Failure condition: Couldn't find class NoSuch",
        ),
    ],
)
def test_an_instance_without_a_queue_is_named_with_the_fix(
    coordinator: str, status: int, words: str, queue: dg.DagsterInstance, capsys: pytest.CaptureFixture
) -> None:
    with (home() / "dagster.yaml").open("a", encoding="utf-8") as settings:
        settings.write(f"run_coordinator: {coordinator}\n")
    assert main(RUN) == status
    assert words in (said := capsys.readouterr().err)
    assert f"{home()}/dagster.yaml" in said


def test_what_goes_by_this_process_alone_is_refused(project: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([*RUN, "--rows", "3"]) == 2
    assert "Leave --rows out" in capsys.readouterr().err
