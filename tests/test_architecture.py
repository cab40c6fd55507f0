"""The walls between the rooms, and what loading them costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PURE = ["generation", "curation", "annotation", "evaluation", "selection", "students"]
HEAVY = ["dagster", "resources", "pandas", "numpy", "pyarrow", "openai", "sklearn", "matplotlib", "evaluate"]


def loaded(code: str, names: list[str]) -> list[str]:
    """Which of the packages a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys\nprint('\\n', *[n for n in {names} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().rsplit("\n", 2)[-2].split()


@pytest.mark.parametrize("room", PURE)
def test_pure_stages_know_neither_dagster_nor_resources_nor_each_other(room: str) -> None:
    above = {"generation", "curation", "annotation", "evaluation"} - {room}
    others = [m for other in above for m in modules(other)]
    code = "\n".join(f"import {m}" for m in modules(room))
    assert loaded(code, HEAVY + others) == []


def modules(room: str) -> list[str]:
    """Modules of a room; `measurements` and `metrics` are there to import a heavy library."""
    names = sorted(f.stem for f in (ROOT / "synth_assets" / room).glob("*.py"))
    return [f"synth_assets.{room}.{n}" for n in names if n not in ("__init__", "measurements", "metrics")]


def test_help_loads_nothing_heavy() -> None:
    code = "from synth_assets.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert loaded(code, HEAVY) == []


def test_loading_the_definitions_loads_no_library_of_the_stages() -> None:
    heavy = [n for n in HEAVY if n not in ("dagster", "resources")]
    assert loaded("import synth_assets.definitions", heavy) == []


def test_dagster_finds_the_definitions_right(tmp_path: Path) -> None:
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path), "SYNTH_HOME": str(tmp_path)}
    command = [
        str(Path(sys.executable).with_name("dagster")),
        "definitions",
        "validate",
        "-w",
        "workspace.yaml",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stdout + done.stderr
