"""A round by several machines: containers with homes of their own, which share Postgres and S3 alone.

Each makes one of the runs that wait in Dagster's queue, as a launcher has it made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat
from dagster._grpc.types import ExecuteRunArgs

from synth_assets.assets.dagster_queue import DAEMON
from synth_assets.assets.in_process import prepare_home
from synth_assets.cli import main
from synth_assets.recipe.load import load
from synth_assets.resources.home import call_log, lake
from synth_assets.stages import tables
from tests.conftest import QUICK, ROUND
from tests.containers import container, in_containers
from tests.endpoint import Endpoint
from tests.postgres import PASSWORD
from tests.s3 import SECRET
from tests.test_docs import ROOT

QUEUED = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
SETTINGS = ROOT / "docs" / "cluster" / "dagster.yaml"


def home(folder: Path) -> Path:
    """The data home of a machine."""
    folder.mkdir()
    shutil.copy(SETTINGS, folder)
    return folder


@contextmanager
def launcher(homes: dict[str, Path]) -> Iterator[dict[str, str]]:
    """Gives each run that waits in the queue to the next machine, and says who made what."""
    ended, made = threading.Event(), dict[str, str]()

    def work() -> None:
        with dg.DagsterInstance.get() as instance:
            while not ended.is_set():
                instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), DAEMON, "here", []))
                started = []
                for run in instance.get_runs(QUEUED, ascending=True):
                    name = list(homes)[len(made) % len(homes)]
                    made[run.tags.get("dagster/partition", "")] = name
                    instance.report_dagster_event(
                        dg.DagsterEvent("PIPELINE_STARTING", run.job_name), run.run_id
                    )
                    started.append(begun(run, instance, name, homes[name]))
                for process in started:
                    process.wait(120)
                time.sleep(0.1)

    with dg.DagsterInstance.get() as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), DAEMON, "here", []))
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield made
    finally:
        ended.set()
        thread.join()


def begun(
    run: dg.DagsterRun, instance: dg.DagsterInstance, name: str, folder: Path
) -> subprocess.Popen[bytes]:
    assert run.job_code_origin
    words = ExecuteRunArgs(run.job_code_origin, run.run_id, instance.get_ref(), True).get_command_args()
    assert not any(secret in str(words) for secret in (PASSWORD, SECRET))
    bin_ = Path(sys.executable).parent
    there = {"SYNTH_HOME": str(folder), "DAGSTER_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*container(name), str(bin_ / words[0]), *words[1:]],
        env={**os.environ, **there},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
@in_containers
def test_a_round_by_three_machines_is_that_of_one(
    project: Path,
    endpoint: Endpoint,
    edit,
    postgres: str,
    s3: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    recipe = load(edit("rows: 6", QUICK))
    assert main(["run", "reviews", "--round", ROUND]) == 0
    alone = versions(recipe)
    assert len(endpoint.requests) == 12

    homes = {name: home(project / name) for name in ("waits", "one", "two", "three")}
    monkeypatch.setenv("SYNTH_HOME", str(homes.pop("waits")))
    monkeypatch.setenv("SYNTH_CALL_LOG", postgres)
    monkeypatch.setenv("SYNTH_LAKE", s3)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres.replace("postgresql://", "postgresql+psycopg2://"))
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    prepare_home()
    capsys.readouterr()
    with launcher(homes) as made:
        assert main(["run", "reviews", "--round", ROUND, "--launch"]) == 0, capsys.readouterr().err
    cells = {made[f"{cell}|{ROUND}"] for cell in recipe.cells}
    assert len({*cells, made[ROUND]}) == 3  # each elsewhere
    assert versions(recipe) == alone
    assert len(endpoint.requests) == 2 * 12
    assert call_log().execute("SELECT count(*), count(DISTINCT identity) FROM calls") == [(12, 12)]
    assert main(["verify"]) == 0
    for folder in homes.values():
        assert not list((folder / "lake").rglob("*.parquet"))
        for file in filter(Path.is_file, folder.rglob("*")):
            assert not any(secret.encode() in file.read_bytes() for secret in (PASSWORD, SECRET)), file


def versions(recipe) -> dict[str, str]:
    """Stage and partition -> the hash of their rows. (Of calls, what they took is another each time.)"""
    found = {}
    for stage, cut in tables.stages(recipe).items():
        if stage != "calls":
            for place in lake().partitions(recipe.name, stage, cut):
                name = " ".join([stage, *place.values()])
                found[name] = tables.content_hash(lake().table(recipe.name, stage, place))
    assert len(found) > 10
    return found
