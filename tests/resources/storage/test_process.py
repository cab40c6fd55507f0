"""A process is known by its boot, its namespace of ids and its start, whatever the host is called."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synth_assets.resources.storage import process
from synth_assets.resources.storage.process import is_gone, lives, processors, this_process

MACLIKE = Path(__file__).parents[2] / "maclike"
ASK = """
from synth_assets.resources.storage.process import this_process
print(this_process(), flush=True)
input()
"""


@pytest.mark.parametrize("python", ["linux", "maclike"])
def test_a_process_is_seen_to_end(python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join([str(MACLIKE), root] if python == "maclike" else [root])
    other = subprocess.Popen(
        [sys.executable, "-c", ASK],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    name = other.stdout.readline().strip()
    if python == "maclike":  # as it looks from another process of that kind
        monkeypatch.setattr(process, "_place", lambda: name.partition(":")[0])
        monkeypatch.setattr(process, "_started", lambda pid: f"{pid}@{process._asked(pid)}")
    assert lives(name) is True
    other.kill()
    assert is_gone_soon(name)  # nobody has waited for it yet
    other.wait()
    assert is_gone(name)


def is_gone_soon(name: str) -> bool:
    until = time.monotonic() + 60
    while not is_gone(name) and time.monotonic() < until:
        time.sleep(0.01)
    return is_gone(name)


def test_the_name_of_the_host_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    me = this_process()
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    process._place.cache_clear()
    assert this_process() == me
    place, pid = me.partition(":")[0], os.getpid()
    assert lives(f"{place}:{pid}@1") is False  # an earlier process with the same id
    assert lives(f"another:{pid}@1") is None  # a container with the same ids
    assert not is_gone(f"another:{pid}@1")


def test_a_quota_counts_as_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # what joblib looks at beside the quota of a container
    processors.cache_clear()
    assert processors() == 1
    monkeypatch.undo()
    processors.cache_clear()
    assert 1 <= processors() <= (os.cpu_count() or 1)
