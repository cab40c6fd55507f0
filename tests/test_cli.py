"""The command line on terminals and systems of any kind."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from synth_assets.cli import main
from synth_assets.commands import schema, ui
from synth_assets.core.errors import SYSTEMS

ROOT = Path(__file__).parents[1]
SYNTH = f"{sys.executable} -m synth_assets.cli"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk"])
def test_what_a_terminal_cannot_show_is_escaped(
    project: Path, edit, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    edit("liked it}", "liked it 😀 ü 中}")
    for options, shown in (["", "\\U0001f600"], ["--json", "\\ud83d\\ude00"]):
        terminal = TextIOWrapper(BytesIO(), encoding)
        monkeypatch.setattr(sys, "stdout", terminal)
        edit("{{ label }}: {{ d.text }}", "{{ definition }}: {{ d.text }}") if not options else None
        assert main(["check", "reviews", *options.split()]) == 0
        said = terminal.buffer.getvalue().decode(encoding)
        assert shown in said
    assert "😀 ü 中" in str(json.loads(said))


def test_windows_is_told_where_it_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert main(["check", "reviews"]) == 2
    assert capsys.readouterr().err == f"error: {SYSTEMS}\n"
    assert "WSL" in SYSTEMS


@pytest.mark.parametrize(
    ("shell", "code", "said"),
    [
        ("{} | head -1", 0, ""),
        ("{} >&-", 0, ""),  # closed
        ("{} <&-", 0, ""),
        ("{} > /dev/full", 1, "error: [Errno 28] No space left on device"),
        ("PYTHONWARNINGS=error {} > /dev/null", 0, ""),
        ("PYTHONOPTIMIZE=1 PYTHONUTF8=0 LC_ALL=C {} > /dev/null", 0, ""),
        ("TMPDIR=/nonexistent HOME=/nonexistent {} > /dev/null", 0, ""),
        ("unset HOME; umask 077; ulimit -n 64; {} > /dev/null", 0, ""),
    ],
)
def test_no_shell_gets_a_traceback(project: Path, shell: str, code: int, said: str) -> None:
    line = f"set -o pipefail; {shell.format(f'{SYNTH} sql --list')}"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert (done.stderr.partition(". What")[0], done.stderr.count("\n")) == (said, int(bool(said)))


def test_a_full_disk_under_a_library_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def command(_: object) -> None:
        database = sqlite3.connect(":memory:")
        database.execute("PRAGMA max_page_count = 1")
        try:
            database.execute("CREATE TABLE a (b)")
        except sqlite3.Error as error:
            raise RuntimeError("as Dagster says it") from error

    monkeypatch.setattr(schema, "command", command)
    assert main(["schema"]) == 1
    words = (
        f"error: database or disk is full (in Dagster's records of {project}/.synth). What was there before"
    )
    assert capsys.readouterr().err.startswith(words)


def test_no_color_is_kept_by_what_the_ui_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = r"print('\x1b[34mINFO\x1b[0m \x1b[1;31mbad\x1b[0m \U0001f600')"
    started = ui._started([sys.executable, "-c", shown])
    said, until = "", time.monotonic() + 60
    while "bad" not in said and time.monotonic() < until:
        said += capsys.readouterr().err
        time.sleep(0.01)
    assert started.wait() == 0
    assert said.startswith("INFO bad ")


def test_a_method_that_ends_the_process_makes_nothing_look_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("synth_assets.commands.context.command", lambda _: sys.exit(0))
    assert main(["context"]) == 1
    assert capsys.readouterr().err.startswith("error: SystemExit: 0. It is a fault of synth-assets, or of a")


def test_what_nobody_has_foreseen_is_one_line_and_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("synth_assets.commands.context.command", lambda _: {}["gone"])
    assert main(["context"]) == 1
    (file,) = tmp_path.glob("synth-*.txt")
    whose = "It is a fault of synth-assets, or of a method of your own"
    assert capsys.readouterr().err == f"error: KeyError: 'gone'. {whose}: {file} says where.\n"
    assert "Traceback" in file.read_text(encoding="utf-8")
