"""The wheel in a new environment, as a user has it: the libraries come from this one, our code does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from synth_assets.resources.storage.files import locked

ROOT = Path(__file__).parents[1]
OURS = ("SYNTH_", "OPENAI_", "DAGSTER_", "PYTHON")
Synth = Callable[..., str]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, and with what it needs from this one. Made by the process that needs
    it first."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    venv = folder / "environment" / "venv"
    with locked(folder / "environment.lock"):
        if not venv.exists():
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
            install(venv, wheel(venv.parent))
            packages = next(venv.glob("lib/python*/site-packages"))
            (packages / "shared.pth").write_text("\n".join(shared()) + "\n")
    return venv


def wheel(folder: Path) -> Path:
    """Built of a copy: setuptools puts into a wheel what an earlier build left in a tree."""
    tree = folder / "tree"
    left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=left_out)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "wheels", tree)
    return next((folder / "wheels").glob("synth_assets-*.whl"))


def shared() -> list[str]:
    """Where this environment's libraries are; ours is not among them: it is there as an editable install."""
    return [p for p in sys.path if p.endswith("site-packages")] or [sysconfig.get_path("purelib")]


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True)


def install(venv: Path, what: Path) -> None:
    python = ("--python", venv / "bin" / "python")
    pip(*python, "install", "--no-deps", "--no-index", "--no-build-isolation", what)


def variables(**more: str) -> dict[str, str]:
    """This process's environment without what is set for synth, and with `more`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | more


def command(environment: Path, folder: Path, **named: str) -> Synth:
    """`synth(*arguments)` of that environment, in that folder: what it prints. It has to end well."""

    def synth(*arguments: str) -> str:
        line = [environment / "bin" / "synth", *arguments]
        done = subprocess.run(
            line,
            cwd=folder,
            env=variables(**named),
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )
        assert done.returncode == 0, f"synth {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    return synth


@contextmanager
def one_process(environment: Path, folder: Path, **named: str) -> Iterator[Synth]:
    """The same in one interpreter for all commands, as each start of one imports all libraries again."""
    python = [environment / "bin" / "python", "-P", "-c", COMMANDS]
    with subprocess.Popen(
        python, cwd=folder, env=variables(**named), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asks, answers = process.stdin, process.stdout

        def synth(*arguments: str) -> str:
            print(json.dumps(arguments), file=asks, flush=True)
            code, out, err = json.loads(answers.readline())
            assert code == 0, f"synth {' '.join(arguments)}: {err}{out}"
            return str(out)

        yield synth
        asks.close()


COMMANDS = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from synth_assets.cli import main

for line in sys.stdin:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = main(json.loads(line))
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""
