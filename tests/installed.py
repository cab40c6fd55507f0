"""The wheel in a new environment, as a user has it: the libraries come from this one, our code does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("SYNTH_", "OPENAI_", "DAGSTER_", "PYTHON")
Synth = Callable[..., str]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, and with what it needs from this one."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    install(folder / "venv", wheel(folder))
    packages = next((folder / "venv").glob("lib/python*/site-packages"))
    (packages / "shared.pth").write_text("\n".join(shared()) + "\n")
    return folder / "venv"


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
            line, cwd=folder, env=variables(**named), capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"synth {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    return synth
