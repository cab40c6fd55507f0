"""What libraries are told of a machine: how many processors there are for them, and where caches may go."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from synth_assets.resources import machine
from synth_assets.resources.storage.process import _quotas

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("group", "files", "allowed"),
    [
        ("0::/job/inner", {"job/cpu.max": "200000 100000", "job/inner/cpu.max": "max 100000"}, [2]),
        ("0::/", {"cpu.max": "50000 100000"}, [1]),  # half a processor
        ("3:cpu,cpuacct:/", {"cpu,cpuacct/cpu.cfs_quota_us": "150000"}, [2]),
        # in a container of version 1 the path is that on the host
        ("3:cpu:/docker/1f\n2:memory:/docker/1f", {"cpu/cpu.cfs_quota_us": "400000"}, [4]),
        ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "-1"}, []),
        ("0::/", {}, []),
    ],
)
def test_a_quota_of_the_group_or_one_around_it(
    tmp_path: Path, group: str, files: dict[str, str], allowed: list[int]
) -> None:
    root, groups = tmp_path / "cgroup", tmp_path / "groups"
    groups.write_text(f"{group}\n", encoding="utf-8")
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n", encoding="utf-8")
        if name.endswith("quota_us"):
            (root / name).with_name("cpu.cfs_period_us").write_text("100000\n", encoding="utf-8")
    assert list(_quotas(root, groups)) == allowed
    assert list(_quotas(root, tmp_path / "no such file")) == []  # macOS


THREADS = """
from pathlib import Path
from synth_assets.resources.machine import prepare
prepare(Path("nowhere"))
import duckdb, numpy, pyarrow, threadpoolctl
from synth_assets.resources.storage.warehouse import Warehouse
print(pyarrow.cpu_count(), *{pool["num_threads"] for pool in threadpoolctl.threadpool_info()})
"""


def test_libraries_start_as_many_threads_as_there_are_processors_for_them() -> None:
    env = {name: value for name, value in os.environ.items() if name not in machine.THREADS}
    env |= {"LOKY_MAX_CPU_COUNT": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", THREADS], env=env, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1"], done.stderr


def test_caches_of_a_user_without_a_home_are_in_the_data_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in machine.CACHES:
        monkeypatch.setenv(name, "")  # restored when the test ends
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    machine.prepare(tmp_path)
    assert not {*machine.CACHES} & {*os.environ}  # they have a place already
    monkeypatch.setenv("HOME", "/nonexistent")
    machine.prepare(tmp_path)
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / "caches" / "matplotlib")
    for name in machine.CACHES:
        monkeypatch.delenv(name)
    machine.prepare(tmp_path / "not there")
    assert Path(os.environ["NUMBA_CACHE_DIR"]).is_relative_to(tempfile.gettempdir())
    assert not (tmp_path / "not there").exists()
