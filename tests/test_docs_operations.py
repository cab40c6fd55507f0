"""Units, crontab line, compose file and job of docs/operations.md, run as far as this machine can."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth_assets.cli import _parser, main
from tests.conftest import QUICK
from tests.endpoint import Endpoint
from tests.forked import command as forked
from tests.test_docs import examples

PAGE, PLACE = "docs/operations.md", "/srv/reviews"
UNITS = dict(
    zip(("synth.service", "synth-night.service", "synth-night.timer"), examples("ini", PAGE), strict=True)
)
(CRON,) = examples("text", PAGE)
COMPOSE, JOB = map(yaml.safe_load, examples("yaml", PAGE))


@pytest.fixture
def installed(project: Path, edit, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project with a `synth` of its own and a file of keys, as the examples have it. It is a fork of a
    process that has imported everything."""
    edit("rows: 6", QUICK)
    synth = project / ".venv" / "bin" / "synth"
    synth.parent.mkdir(parents=True)
    place = str(project / "forks")
    synth.write_text(f"#!{sys.executable} -S\n{ASKS.replace('PLACE', place)}")
    synth.chmod(0o755)
    (project / "env").write_text("OPENAI_API_KEY=scripted\n")
    monkeypatch.setenv("PATH", f"{synth.parent}:{os.environ['PATH']}")
    with Listener(place, "AF_UNIX") as listener:
        threading.Thread(target=answer, args=[listener], daemon=True).start()
        yield project


ASKS = """
import os, sys
from multiprocessing.connection import Client

with Client("PLACE", "AF_UNIX") as fork:
    fork.send((["synth", *sys.argv[1:]], os.getcwd(), dict(os.environ)))
    code, said = fork.recv()
print(said, end="")
sys.exit(code)
"""


def answer(listener: Listener) -> None:
    with suppress(OSError):  # it is closed
        while True:
            with listener.accept() as asked:
                words, folder, env = asked.recv()
                done = forked(words, None, Path(folder), env=env)
                asked.send((done.wait(), done.said()))


def sh(line: str, *, folder: Path) -> str:
    done = subprocess.run(["sh", "-ec", line], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze on the PATH")
def test_the_units_are_right(installed: Path) -> None:
    for name, text in UNITS.items():
        here = text.replace(PLACE, str(installed)).replace(
            "User=synth\n", ""
        )  # whom this machine does not have
        installed.joinpath(name).write_text(here)
    checked = ["systemd-analyze", "verify", "--recursive-errors=no", *(installed / name for name in UNITS)]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_commands_of_units_and_containers_are_known(project: Path) -> None:
    started = [
        line.partition("=")[2] for text in UNITS.values() for line in text.splitlines() if "ExecStart" in line
    ]
    started += [service["command"] for service in COMPOSE["services"].values()]
    for line in started:
        command, *arguments = shlex.split(line)
        assert Path(command).name == "synth"
        _parser(arguments[0]).parse_args(arguments)


@pytest.mark.slow
def test_the_crontab_line_and_the_steps_of_the_job_make_a_round(installed: Path, endpoint: Endpoint) -> None:
    when, line = CRON.strip()[: len("0 2 * * *")], CRON.strip()[len("0 2 * * *") :]
    assert when == "0 2 * * *"
    sh(line.replace(PLACE, str(installed)), folder=Path("/"))
    assert "generations" in (installed / "nights.log").read_text()
    paid = len(endpoint.requests)
    steps: list[dict[str, Any]] = JOB["jobs"]["round"]["steps"]
    lines = [step["run"] for step in steps if "run" in step and not step["run"].startswith("pip")]
    said = [sh(line, folder=installed) for line in lines]
    assert (installed / "report.html").exists()
    assert "whole" in said[-1]
    assert main(shlex.split(COMPOSE["services"]["night"]["command"])[1:]) == 0
    assert len(endpoint.requests) == paid == 12
