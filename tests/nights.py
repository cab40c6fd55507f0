"""A machine on which `synth ui` runs night after night, under a clock that tests move (see moved_clock.c)."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.browser import descendants, is_running

ROOT = Path(__file__).parents[1]
ZONE = ZoneInfo("America/New_York")
BUSY = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
FAST_S = 15  # that the clock moves every half second while nothing is made
REPOSITORY = {"repositoryLocationName": "synth_assets", "repositoryName": "__repository__"}
LOADED = "query { repositoriesOrError { ... on RepositoryConnection { nodes { id } } } }"
SWITCH = "mutation ($of: ScheduleSelector!) { startSchedule(scheduleSelector: $of) { __typename } }"


class Clock:
    """Seconds by which the processes that it is given to are ahead of this one."""

    def __init__(self, folder: Path) -> None:
        self._library, self._file = folder / "moved_clock.so", folder / "clock"
        source = Path(__file__).with_name("moved_clock.c")
        compiler = [compiler_there() or "cc", "-shared", "-fPIC", "-O2", "-o", self._library, source, "-ldl"]
        subprocess.run(compiler, check=True)
        self._file.write_bytes(struct.pack("q", 0))
        with self._file.open("r+b") as file:
            self._moved = mmap.mmap(file.fileno(), 8)

    @property
    def variables(self) -> dict[str, str]:
        """Of the processes that it is given to. Heartbeats of daemons look old when the clock jumps."""
        return {
            "LD_PRELOAD": str(self._library),
            "MOVED_CLOCK": str(self._file),
            "DAGSTER_DAEMON_HEARTBEAT_TOLERANCE": "1000000000",
        }

    def forward(self, seconds: float) -> None:
        """Let so many seconds pass."""
        (ahead,) = struct.unpack("q", self._moved)
        self._moved[:] = struct.pack("q", ahead + round(seconds))

    def set(self, at: datetime) -> None:
        """Before anything runs: the time that it is."""
        self.forward(at.timestamp() - self.now().timestamp())

    def move_to(self, at: datetime) -> None:
        """Let the time pass until then; it never goes back."""
        if (seconds := at.timestamp() - self.now().timestamp()) > 0:
            self.forward(seconds)

    def now(self) -> datetime:
        """What the others read."""
        (ahead,) = struct.unpack("q", self._moved)
        return datetime.now(ZONE) + timedelta(seconds=ahead)


def compiler_there() -> str | None:
    """The compiler of C, if there is one."""
    return shutil.which("cc")


class Machine:
    """A project in a folder, and the processes of its `synth ui`."""

    def __init__(self, folder: Path, clock: Clock, **variables: str) -> None:
        self.folder, self.clock, self.home = folder, clock, folder / ".synth"
        self._env = {
            **os.environ,
            **clock.variables,
            "SYNTH_HOME": str(self.home),
            "SYNTH_RECIPES": str(folder / "recipes"),
            "PYTHONPATH": f"{ROOT}:{folder}",
            **variables,
        }
        self._ui: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.log = folder / "ui.log"

    def start(self) -> None:
        """`synth ui`, until it answers."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        command = [sys.executable, "-m", "synth_assets.cli", "ui", "--port", str(self._port)]
        with self.log.open("ab") as out:
            self._ui = subprocess.Popen(
                command, cwd=self.folder, env=self._env, stdout=out, stderr=out, start_new_session=True
            )
        self.wait(self._answers, "`synth ui` to answer")

    def stop(self) -> None:
        """As Ctrl-C does."""
        if self._ui:
            self._ui.send_signal(signal.SIGTERM)
            self._ui.wait(timeout=120)
            self._ui = None

    def cut(self) -> None:
        """The power is cut: nothing of it has the time for a last word."""
        assert self._ui
        everything = [self.pid, *descendants(self.pid)]
        for pid in everything:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._ui.wait()
        self._ui = None
        self.wait(lambda: not any(map(is_running, everything)), "all processes to be gone")

    @property
    def pid(self) -> int:
        """Of `synth ui`."""
        assert self._ui
        return self._ui.pid

    def python(self, *arguments: str, **variables: str) -> str:
        """Run something beside it; returns what it prints."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self._env | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def synth(self, *arguments: str, **variables: str) -> str:
        """Another command of ours, beside it."""
        return self.python("-m", "synth_assets.cli", *arguments, **variables)

    def switch_on(self, schedule: str) -> None:
        """The schedule, as the page Automation does."""
        asked = self._ask(SWITCH, of={**REPOSITORY, "scheduleName": schedule})
        assert asked["startSchedule"]["__typename"] == "ScheduleStateResult"

    def wait(self, happens: Callable[[], Any], what: str, seconds: float = 900, fast: bool = False) -> None:
        """Wait for it; `fast`: while nothing is made the clock does not wait."""
        deadline = time.monotonic() + seconds
        while not happens():
            assert time.monotonic() < deadline, f"{self.clock.now()}: waited {seconds:g} s for {what}"
            assert self._ui is None or self._ui.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.5 if fast else 0.02)
            if fast and not self.at_work():
                self.clock.forward(FAST_S)

    def at_work(self) -> list[str]:
        """Runs that are made, or wait for their turn: their jobs."""
        return [job for job, status, _ in self.runs() if status in BUSY]

    def runs(self) -> list[tuple[str, str, str | None]]:
        """Job, status and partition of each run that Dagster knows, the earliest first."""
        file = self.home / "history" / "runs.db"
        if not file.exists():
            return []
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return connection.execute(
                "SELECT pipeline_name, status, partition FROM runs ORDER BY id"
            ).fetchall()

    def has(self, stage: str, round_: str, cell: str | None = None, recipe: str = "reviews") -> bool:
        """Whether there is a table of it."""
        place = [f"round={round_}", *([f"cell={cell}"] if cell else [])]
        return self.home.joinpath("lake", recipe, stage, *place, "part.parquet").exists()

    def has_seeds(self, recipe: str = "reviews") -> bool:
        """Whether the seeds were read."""
        return self.home.joinpath("lake", recipe, "seeds", "part.parquet").exists()

    def made(self, stage: str, recipe: str = "reviews") -> list[str]:
        """The partitions of a stage, in the order in which they were made first."""
        file = self.home / "history" / "runs" / "index.db"
        kinds = "dagster_event_type = 'ASSET_MATERIALIZATION' AND asset_key = ?"
        asked = f"SELECT partition FROM event_logs WHERE {kinds} GROUP BY partition ORDER BY min(id)"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return [row[0] for row in connection.execute(asked, (json.dumps([recipe, stage]),))]

    def is_over(self, round_: str) -> bool:
        """Whether the round's last stage was made, and nothing is at work."""
        return self.has("metrics", round_) and not self.at_work()

    def night(self, day: str, at: str) -> None:
        """The clock jumps to two seconds before the night's round is due."""
        self.clock.move_to(local(day, at) - timedelta(seconds=2))

    def _answers(self) -> bool:
        with suppress(OSError, KeyError, TypeError):
            return bool(self._ask(LOADED)["repositoriesOrError"]["nodes"])
        return False

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        address = f"http://127.0.0.1:{self._port}/graphql"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]


def local(day: str, at: str) -> datetime:
    """A time of the wall clock in the recipe's zone: the first of two, where there are two."""
    return datetime.fromisoformat(f"{day}T{at}").replace(tzinfo=ZONE)
