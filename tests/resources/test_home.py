"""A data home of somebody else is read, one that is not there is not made, one that was moved works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.core.asking import Answer
from synth_assets.report.views import current
from synth_assets.resources import home
from tests.resources.call_log.test_call_log import write

ROOT = Path(__file__).parents[2]
ANOTHER = (  # a user who may read everything and write nothing
    *("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
COMMANDS = """
import shlex, sys
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
for line in sys.argv[1:]:
    print(main(shlex.split(line)), "is the exit code of", line, flush=True)
"""


def by_another(*lines: str) -> tuple[list[str], str]:
    """What these commands print and what they say is wrong, for a user who may not write."""
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        prefix = ANOTHER
        if not shutil.which("setpriv") or subprocess.run([*ANOTHER, "true"], check=False).returncode:
            pytest.skip("no way to become a user with fewer rights")
    else:
        for path in (home.home(), *home.home().rglob("*")):
            path.chmod(path.stat().st_mode & ~0o222)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}
    command = [*prefix, sys.executable, "-c", COMMANDS, *lines]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines(), done.stderr


@pytest.fixture
def shared(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The home is in a folder that other users can enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("SYNTH_HOME", folder)
        yield


@pytest.mark.usefixtures("shared")
def test_a_home_of_another_user_is_read_and_not_written() -> None:
    log = home.call_log()
    write(log, Answer("1", "ok", text="a"))  # as long as it is open, its last rows are in a file beside it
    current()
    before = {path: path.stat().st_mtime_ns for path in home.home().rglob("*")}
    reads = ["sql 'select count(*) + 41 from reviews.seeds' --csv", "plan reviews", "nights reviews"]
    said, wrong = by_another(*reads, "verify", "run reviews", "try reviews")
    assert [line[0] for line in said if "is the exit code of" in line] == ["0", "0", "0", "1", "2", "2"]
    assert "41" in said
    assert f"1 calls in {log.name}, 1 do not hold what their identity stands for" in said
    assert wrong.count(f"error: the data home {home.home()} cannot be written (") == 2
    assert {path: path.stat().st_mtime_ns for path in home.home().rglob("*")} == before


def test_commands_that_read_make_no_home(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    for line in ("verify", "sql x", "trace 123456"):
        assert main(line.split()) == 2
        assert f"no data home at {project}/elsewhere/.synth: set SYNTH_HOME, or go" in capsys.readouterr().err
    monkeypatch.setenv("SYNTH_RECIPES", str(project / "recipes"))
    for line in ("plan reviews", "show reviews", "report reviews", "export reviews --to there"):
        main(line.split())
    assert list((project / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["moved", "a home, of Jörg's [1]", 'k=v #1 "100%"'])
def test_a_home_that_was_moved_works_at_once(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    current()
    home.home().rename(project / name)
    monkeypatch.setenv("SYNTH_HOME", f"{name}/")
    shutil.rmtree(project / "recipes")  # whatever the views are of
    assert home.warehouse().query("select count(*) from reviews.weighted").fetchall() == [(0,)]


@pytest.mark.parametrize("name", ["what?", "a%20b"])
def test_a_home_whose_path_would_be_read_as_an_address(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SYNTH_HOME", f"{name}/home")
    with dagster_instance() as instance:
        assert instance.get_runs() == []
    assert (project / name / "home" / "history" / "runs.db").exists()
    current()
    assert home.warehouse().query("select count(*) from reviews.weighted").fetchall() == [(0,)]
    assert {path.name for path in project.iterdir()} == {".synth", "recipes", "seeds.csv", name}


def test_a_home_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SYNTH_HOME", "~/data/")
    assert home.home() == Path("/home/me/data")


@pytest.mark.parametrize("make", [home.made, lambda: home.lake().note_version("v", dict)])
def test_a_home_that_is_made_is_the_users_alone(
    make: Callable[[], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / "new" / "home"))
    before = os.umask(0o022)
    try:
        make()
        assert home.home().stat().st_mode & 0o777 == 0o700
        home.home().chmod(0o755)  # others may read it: what comes with each night, too
        home.lake().note_version("of the next night", dict)
    finally:
        os.umask(before)
    folders = [path for path in home.home().rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in [home.home(), *folders]} == {0o755}
