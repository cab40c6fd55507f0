"""The wheel in an empty folder, as a new user has it: a recipe, a round, its report and the Dagster UI."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint import Endpoint, banker
from tests.installed import command, environment, one_process, pip, variables, wheel
from tests.test_docs import examples

__all__ = ["environment"]
pytestmark = pytest.mark.slow

PYTHONS = ("3.11", "3.12", "3.13")
FIRST_LOOK_S = 120  # after the install, to the first rows; 5 s with 0.3 s a call, where nothing else runs
GROUPS = "{repositoriesOrError{... on RepositoryConnection{nodes{location{name} assetGroups{groupName}}}}}"


def test_the_wheel_is_all_that_an_empty_folder_needs(environment: Path, tmp_path: Path) -> None:
    with Endpoint(say=banker) as endpoint:
        endpoint.logprobs = False  # its tokens would be no labels
        named = {"OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": "scripted"}
        synth = command(environment, tmp_path, **named)
        assert re.fullmatch(r"synth-assets \d+\.\d+\.\d+\n", synth("--version"))
        *lines, last = first_minutes()
        said, begun, seen = dict[str, str](), time.monotonic(), dict[str, float]()
        for line in lines:
            said[line[0]] = synth(*line)
            seen[line[0]] = time.monotonic() - begun
        assert "bank is right" in said["check"]
        assert said["try"].count("passed, but for what needs the whole set\n") == 5
        assert seen["try"] < FIRST_LOOK_S
        assert "bank, round" in said["run"]
        assert "lost_card" in Path(said["report"].strip()).read_text(encoding="utf-8")
        assert last == ["ui"]
        with one_process(environment, tmp_path, **named) as again:
            for line in lines_of("README.md", "docs/troubleshooting.md"):
                if line[0] not in {"setup", *said}:
                    again(*line)
        settings = (tmp_path / ".synth" / "dagster.yaml").read_text(encoding="utf-8")
        assert all(part in settings for part in ("telemetry", "run_monitoring", "pools"))
        with ui(environment, tmp_path, **named) as url:
            assert "text/html" in opened(url).headers["Content-Type"]
            (location,) = asked(url, GROUPS)["repositoriesOrError"]["nodes"]
            assert location["location"]["name"] == "synth_assets"
            assert [group["groupName"] for group in location["assetGroups"]] == ["bank"]


@pytest.mark.parametrize("version", [v for v in PYTHONS if v != f"3.{sys.version_info.minor}"])
def test_the_wheel_works_on_the_other_pythons_that_are_here(version: str, tmp_path: Path) -> None:
    python = shutil.which(f"python{version}") or "nothing"
    if subprocess.run(f"{python} -c 'import venv'", shell=True, capture_output=True, check=False).returncode:
        pytest.skip(f"no python{version} on the PATH")  # pyenv has one there that starts nothing
    venv, folder = tmp_path / "venv", tmp_path / "empty"
    folder.mkdir()
    subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True)
    pip("--python", venv / "bin" / "python", "install", wheel(tmp_path))  # with all that it needs
    with Endpoint(say=banker) as endpoint:
        endpoint.logprobs = False
        synth = command(venv, folder, OPENAI_BASE_URL=endpoint.url, OPENAI_API_KEY="scripted")
        for line in first_minutes():
            if line[0] != "ui":
                said = synth(*line)
    assert Path(said.strip()).is_file()  # the report


def test_the_wheel_says_its_licence_and_its_pythons(environment: Path) -> None:
    (folder,) = environment.glob("lib/python*/site-packages/synth_assets-*.dist-info")
    assert "Apache License" in (folder / "licenses" / "LICENSE").read_text(encoding="utf-8")
    said = (folder / "METADATA").read_text(encoding="utf-8").splitlines()
    assert {"License-Expression: Apache-2.0", "Requires-Python: >=3.11"} <= {*said}
    for version in PYTHONS:
        assert f"Classifier: Programming Language :: Python :: {version}" in said


def first_minutes() -> list[list[str]]:
    """The commands of the guide to the first five minutes."""
    lines = lines_of("docs/install.md")
    return lines[lines.index(["new", "bank"]) :]


def lines_of(*documents: str) -> list[list[str]]:
    """The arguments of each `synth` in the examples."""
    lines = "".join(examples("bash", *documents)).splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("synth ")]


@contextmanager
def ui(environment: Path, folder: Path, **named: str) -> Iterator[str]:
    """`synth ui` there; it is told to end, and ends with all that it started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [environment / "bin" / "synth", "ui", "--port", str(port)]
    with (folder / "ui.log").open("w") as log:
        process = subprocess.Popen(
            line, cwd=folder, env=variables(**named), stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 600
        while True:
            assert process.poll() is None, (folder / "ui.log").read_text()
            with suppress(OSError):
                opened(url)
                break
            assert time.monotonic() < deadline, (folder / "ui.log").read_text()
            time.sleep(0.3)
        yield url
        process.send_signal(signal.SIGTERM)
        process.wait(120)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def opened(url: str) -> Any:
    return urllib.request.urlopen(url, timeout=120)


def asked(url: str, query: str) -> Any:
    """What its GraphQL answers."""
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=120))["data"]
