"""Programs that nobody has read: honest ones answer, others end with their reason, and the run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from synth_assets.core.asking import Result
from synth_assets.resources.sandbox import confined
from synth_assets.resources.sandbox.python import REASONS, layers, run_many, run_python
from tests.forked import still_there

HONEST = "print(sum(int(n) for n in '1 2 3'.split()))"


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        ("while True: pass", "timed_out"),
        ("import time\ntime.sleep(60)", "timed_out"),
        ("bytearray(10 * 2**30)", "out_of_memory"),
        ("import os\nwhile True: os.fork()", "forbidden"),
        ("import subprocess\nsubprocess.run(['true'])", "forbidden"),
        ("print(open('/etc/passwd').read())", "forbidden"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "forbidden"),
        ("import os\ntry: os.kill(os.getppid(), 9)\nexcept BaseException: pass", "forbidden"),
        ("print('a' * 3_000_000)", "truncated"),
        ("import os\nos.abort()", "error"),
    ],
)
def test_an_attack_ends_with_its_reason_and_the_program_beside_it_answers(attack: str, reason: str) -> None:
    seconds = 3 if reason == "timed_out" else 30
    attacked, answered = run_many([attack, HONEST], workers=2, timeout_s=seconds)
    assert attacked.reason == reason
    assert attacked.error
    assert len(attacked.error.splitlines()) == 1
    assert attacked.reason in REASONS
    assert answered == Result("ok", "6\n")


def test_what_went_wrong_is_one_line_with_the_programs_own_line_number() -> None:
    assert run_python("x = 1\nx / 0").error == "ZeroDivisionError: division by zero (line 2)"
    assert run_python("print('so far')\nraise SystemExit(3)") == Result("error", "so far\n", "SystemExit: 3")
    assert run_python("x = (").error == "SyntaxError: '(' was never closed (<program>, line 1)"
    assert run_python("print(1)\nexit()") == Result("ok", "1\n")


EARLY = (
    *("exit()", "quit()", "import sys\nsys.exit(0)", "raise SystemExit", "import os\nos._exit(0)"),
    "import builtins\nbuiltins.exec = builtins.compile = lambda *_: None\nexit()",
    "import os\nfor n in range(3, 64):\n try: os.write(n, os.urandom(64))\n except OSError: pass\nexit()",
    "import sys\nf = sys._getframe()\nwhile f:\n print(f.f_locals, flush=True)\n f = f.f_back\nexit()",
    "import os, sys\nf = sys._getframe(1).f_locals\nos.write(f['reached'], f['secret'])\nexit()",
    "import threading, os\nthreading.Timer(0.05, os._exit, [0]).start()\nwhile True: pass",
    "import signal\nsignal.signal(14, lambda *_: exit())\nsignal.alarm(1)\nsignal.pause()",
    "import atexit, os\natexit.register(os._exit, 0)\nassert False",
    "import os\nos.kill(os.getppid(), 9)",
    "import sys\nsys.settrace(None)",
    "import __main__\n__main__.report = lambda *_: 0\n1 / 0",
)


def test_a_program_that_ends_early_did_not_come_to_its_end() -> None:
    ran = run_many([f"{early}\nprint('passed')" for early in EARLY], to_its_end=True)
    assert {early: r.reason for early, r in zip(EARLY, ran, strict=True) if r.reason == "ok"} == {}
    assert run_python("exit()", to_its_end=True).error == "ended before its last line"
    assert run_python("x = 1\nprint(x)", to_its_end=True) == Result("ok", "1\n")


def test_the_standard_library_is_there() -> None:
    program = """
import dataclasses, decimal, fractions, itertools, json, math, re, sqlite3, statistics, threading, unittest
worker = threading.Thread(target=print, args=(fractions.Fraction(1, 3),))
worker.start()
worker.join()
print(sqlite3.connect(":memory:").execute("select 1 + 1").fetchone())
"""
    assert run_python(program) == Result("ok", "1/3\n(2,)\n")
    assert "No module named 'numpy'" in (run_python("import numpy").error or "")


def test_a_program_reads_its_input_and_may_use_its_own_empty_folder() -> None:
    program = "import os\nprint(os.listdir(), input())\nopen('a', 'w').write('b')\nprint(open('a').read())"
    assert run_python(program, stdin="ünïcode") == Result("ok", "[] ünïcode\nb\n")
    changes = (
        "import os\nos.mkdir('d')\nopen('d/a', 'w').close()\nos.rename('d/a', 'b')\nos.symlink('b', 'c')"
    )
    assert run_python(f"{changes}\nos.remove('b')\nos.rmdir('d')\nprint(os.listdir())").text == "['c']\n"


def test_the_parents_environment_is_not_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_TEST_SECRET", "hunter2")
    assert run_python("import os\nprint(dict(os.environ))").text == "{}\n"
    kept = run_python("print('hunter2' in open('/proc/self/environ').read())")
    assert (kept.reason, kept.text) == ("forbidden", "")


def test_nothing_is_written_outside_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = tmp_path / "folders"
    folders.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folders))
    for program in (
        f"open({str(tmp_path / 'new')!r}, 'w')",
        f"import os\nos.symlink({str(tmp_path)!r}, 'way')\nopen('way/new', 'w')",
        f"import os\nos.rmdir({str(folders)!r})",
    ):
        assert run_python(program).reason == "forbidden"
    assert run_python("open('kept', 'w').write('x')").reason == "ok"
    assert list(tmp_path.iterdir()) == [folders]
    assert list(folders.iterdir()) == []


def test_the_order_of_a_set_is_the_same_in_every_run() -> None:
    runs = run_many(["print({'a', 'b', 'c', 'd', 'e', 'f', 'g'})"] * 3)
    assert len({r.text for r in runs}) == 1


def test_many_programs_keep_their_order() -> None:
    runs = run_many(
        [f"import time\ntime.sleep({0.2 if i == 0 else 0})\nprint({i})" for i in range(6)], workers=2
    )
    assert [r.text for r in runs] == [f"{i}\n" for i in range(6)]


@pytest.fixture
def without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`without(old, new)` runs the sandbox with one layer of it taken out."""

    def change(old: str, new: str) -> None:
        text = Path(confined.__file__).read_text(encoding="utf-8")
        assert old in text
        changed = tmp_path / "confined.py"
        changed.write_text(text.replace(old, new), encoding="utf-8")
        monkeypatch.setattr(confined, "__file__", str(changed))

    return change


@pytest.mark.skipif(
    not {"landlock", "seccomp"} <= set(layers()), reason="this kernel lacks landlock or seccomp"
)
def test_the_kernel_keeps_the_walls_when_the_interpreter_is_tricked(without, tmp_path: Path) -> None:
    without("    audit(folder, readable)\n", "")
    secret = tmp_path / "secret"
    secret.write_text("hunter2", encoding="utf-8")
    attempts = [
        f"open({str(secret)!r})",
        "open('/etc/passwd')",
        "open('/proc/self/environ')",
        f"open({str(tmp_path / 'new')!r}, 'w')",
        f"os.remove({str(secret)!r})",
        f"os.chmod({str(secret)!r}, 0)",
        f"os.utime({str(secret)!r})",
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "socket.socket()",
        f"os.kill({os.getpid()}, 0)",
        "resource.prlimit(os.getppid(), resource.RLIMIT_CPU)",
        "subprocess.run(['true'])",
    ]
    runs = run_many([f"import os, resource, socket, subprocess\n{a}" for a in attempts])
    assert {a: r.reason for a, r in zip(attempts, runs, strict=True)} == dict.fromkeys(attempts, "forbidden")
    assert secret.read_text(encoding="utf-8") == "hunter2"


@pytest.mark.skipif("namespaces" not in layers(), reason="this system forbids namespaces to a user")
def test_a_program_cannot_fill_the_disk() -> None:
    fill = "for i in range(9): open(str(i), 'wb').write(bytes(15 * 2**20))"
    assert "No space left" in (run_python(fill).error or "")


def test_limits_and_audit_alone_stop_the_plain_attacks(without) -> None:
    without("layers = confine(folder, readable)", "layers = ()")
    attacks = [
        "import os\nos.fork()",
        "open('/etc/passwd')",
        "import socket\nsocket.socket()",
        "bytearray(2**34)",
    ]
    found = [r.reason for r in run_many([*attacks, HONEST])]
    memory = "out_of_memory" if sys.platform == "linux" else found[3]
    assert found == ["forbidden", "forbidden", "forbidden", memory, "ok"]


def filters(process: str) -> int:
    """How many filters of system calls a process has."""
    return int(Path(f"/proc/{process}/status").read_text().partition("Seccomp_filters:")[2].split()[0])


@pytest.mark.skipif(
    not {"landlock", "seccomp"} <= set(layers()),
    reason="an older kernel does not say when a program is confined",
)
def test_a_program_does_not_outlive_who_started_it() -> None:
    asleep = "from synth_assets.resources.sandbox.python import run_python\n"
    asleep += "run_python('import time; time.sleep(600)', timeout_s=600)"
    with subprocess.Popen([sys.executable, "-c", asleep]) as started:
        here = psutil.Process(started.pid)
        while not (inside := here.children()) or filters(str(inside[0].pid)) == filters("self"):
            time.sleep(0.02)
        started.kill()
    assert still_there(inside) == []
