"""A machine that dies in the middle of a round: what became of it, and whether that is right.

    python benchmarks/cluster.py

Two nodes of Ray are in containers with homes of their own, beside Dagster's daemon with the settings of
docs/cluster, Postgres and a scripted model that takes a second an answer. One node with all of its processes
is killed with -9 while both cells are being made. It takes four minutes on two processors that are busy
besides, and needs the right to `unshare`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp

import dagster as dg

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.conftest import QUICK, RECIPE, SEEDS  # noqa: E402
from tests.containers import container  # noqa: E402
from tests.endpoint import Endpoint, reviewer  # noqa: E402
from tests.postgres import QUICK as UNSAFE  # noqa: E402
from tests.postgres import server  # noqa: E402

ROUND, ROWS, IN_FLIGHT = "2026-11-21", 60, 4  # of a cell; calls of a run at once
DELAY_S, WITHIN_S = 1.0, 60.0  # of an answer; until a run whose node is gone has failed
PORT, API = 6411, 8311
SYNTH = [sys.executable, "-m", "synth_assets.cli"]
FAILED = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
RAY = ["ray", "start", "--block", "--disable-usage-stats", "--object-store-memory=80000000"]


class Cluster:
    """Its folder, and the variables of its machines."""

    def __init__(self, folder: Path, database: str, model: str) -> None:
        self.folder = folder
        (folder / "lake").mkdir()
        (folder / "recipes").mkdir()
        (folder / "seeds.csv").write_text(SEEDS, encoding="utf-8")
        rows = QUICK.replace(
            "rows: 6", f"rows: {ROWS}\nmodel: {{name: m, base_url: {model}, max_concurrency: {IN_FLIGHT}}}"
        )
        recipe = RECIPE.replace("SEEDS", str(folder / "seeds.csv")).replace("rows: 6", rows)
        (folder / "recipes" / "reviews.yaml").write_text(recipe, encoding="utf-8")
        self._variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SYNTH_RECIPES": str(folder / "recipes"),
            "SYNTH_CALL_LOG": database,
            "DAGSTER_POSTGRES_URL": database.replace("postgresql://", "postgresql+psycopg2://"),
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{API}",
            "RAY_AUTH_MODE": "disabled",  # a token that this user happens to have is of no node
            "OMP_NUM_THREADS": "1",
        }

    def env(self, name: str) -> dict[str, str]:
        """Of a machine, whose home is made."""
        home = self.folder / name
        if not home.exists():
            home.mkdir()
            shutil.copy(ROOT / "docs" / "cluster" / "dagster.yaml", home)
            (home / "lake").symlink_to(self.folder / "lake", target_is_directory=True)
        return {**os.environ, **self._variables, "SYNTH_HOME": str(home), "DAGSTER_HOME": str(home)}

    @contextmanager
    def running(self, name: str, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        """A process of a machine; what it prints is in a file."""
        env = self.env(name)
        with (self.folder / f"{name}.log").open("wb") as out:
            process = subprocess.Popen(
                command, cwd=self.folder, env=env, stdout=out, stderr=out, start_new_session=True
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()

    def node(self, name: str, *options: str) -> list[str]:
        """A node of Ray in a container, in which Ray's folder is its own."""
        mine = self.folder / f"ray-{name}"
        mine.mkdir()
        seen = self.folder / "ray"
        seen.mkdir(exist_ok=True)
        mounts = f'mount --bind {mine} {seen}; exec "$@"'
        return [*container(name), "sh", "-ec", mounts, "sh", *RAY, *options]


def wait(what: str, until: Callable[[], bool], seconds: float = 180.0) -> float:
    """Until it is so; the seconds that it took."""
    began = time.monotonic()
    while not until():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"no {what} after {seconds:.0f} seconds")
        time.sleep(0.2)
    return time.monotonic() - began


def main() -> int:
    folder = Path(mkdtemp(prefix="cluster-", dir="/tmp"))
    with ExitStack() as stack:
        database = stack.enter_context(server(*UNSAFE))
        model = stack.enter_context(Endpoint(delay_s=DELAY_S, say=reviewer))
        cluster = Cluster(folder, database, model.url)
        head = ["--head", f"--port={PORT}", "--node-ip-address=127.0.0.1", f"--temp-dir={folder / 'ray'}"]
        head += [f"--dashboard-port={API}", "--dashboard-host=127.0.0.1", "--num-cpus=0"]
        stack.enter_context(cluster.running("head", cluster.node("head", *head)))
        wait("head of Ray", lambda: answers(API))
        nodes = {}
        for number, name in enumerate(("one", "two"), 2):
            options = [f"--address=127.0.0.1:{PORT}", f"--node-ip-address=127.0.0.{number}", "--num-cpus=1"]
            nodes[name] = stack.enter_context(cluster.running(name, cluster.node(name, *options)))
            log = folder / f"{name}.log"
            wait(f"node {name}", lambda log=log: b"Ray runtime started" in log.read_bytes())
        workspace = ROOT / "synth_assets" / "assets" / "workspace.yaml"
        daemon = ["dagster-daemon", "run", "-w", str(workspace)]
        stack.enter_context(cluster.running("daemon", daemon))
        os.environ |= cluster.env("look")
        from synth_assets.assets.dagster_queue import heard_of_daemon
        from synth_assets.assets.in_process import dagster_instance
        from synth_assets.resources.home import call_log

        instance = stack.enter_context(dagster_instance())
        wait("daemon", lambda: heard_of_daemon(instance) is not None)
        command = [*SYNTH, "run", "reviews", "--round", ROUND, "--launch"]
        waits = stack.enter_context(cluster.running("waits", command))
        wait("answers of both cells", lambda: len(model.requests) > ROWS // 2 and both(model))
        nodes["one"].kill()  # with it goes all that is in its container
        print(f"killed a node after {len(model.requests)} requests", flush=True)
        failed = wait("run that has failed", lambda: bool(instance.get_runs(FAILED)))
        code = waits.wait(600)
        again = [run.status.name for run in instance.get_runs() if run.parent_run_id]
        asked, wanted = len(model.requests), 2 * ROWS
        ((rows, different),) = call_log().execute("SELECT count(*), count(DISTINCT identity) FROM calls")
        verified = subprocess.run([*SYNTH, "verify"], env=cluster.env("look"), cwd=folder).returncode
        found = {
            f"its run has failed after {failed:.0f} s, {WITHIN_S:.0f} at the most": failed <= WITHIN_S,
            f"made again: {again}": again == ["SUCCESS"],
            f"`synth run --launch` has ended with {code}": code == 0,
            f"{asked} requests for {wanted} identities, {IN_FLIGHT} at once": asked <= wanted + IN_FLIGHT,
            f"{rows} rows of the log, {different} identities": rows == different == wanted,
            f"`synth verify` has ended with {verified}": verified == 0,
        }
    for words, right in found.items():
        print(f"{'pass' if right else 'FAIL'}  {words}", flush=True)
    if all(found.values()):
        shutil.rmtree(folder)
    else:
        print(f"logs: {folder}")
    return not all(found.values())


def both(model: Endpoint) -> bool:
    """Whether rows of both cells were asked for."""
    return all(any(f"\n{cell} (" in prompt for prompt in model.prompts) for cell in ("negative", "positive"))


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
