"""Who a process is, so that others can tell whether it still runs."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path


def this_process() -> str:
    """`place:pid@start`. The start time is part of it, because an id may be taken by a later process."""
    return f"{_place()}:{_started(os.getpid())}"


def lives(process: str) -> bool | None:
    """Whether a process runs. None where that is not known from here: it is of another machine, of another
    container, or of a time before the last boot."""
    place, _, rest = process.partition(":")
    pid, _, start = rest.partition("@")
    if place != _place() or not pid.isdigit():
        return None
    now = _started(int(pid)).partition("@")[2]
    if now == "?":
        return False
    return None if "unknown" in (now, start) else now == start


def is_gone(process: str) -> bool:
    """Whether it is known that the process has ended."""
    return lives(process) is False


@cache
def _place() -> str:
    """Where ids of processes mean the same: a boot of a machine and, in Linux, a namespace of ids. Never the
    host's name, which another network changes, and each start of a container. A start of macOS has an id too;
    elsewhere a place is known by the address of a network card, or is this process's own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        known = f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - it names no file
    except OSError:
        known = _boot_of_macos() or str(uuid.getnode())
    return blake2b(known.encode(), digest_size=6).hexdigest()


def _boot_of_macos() -> str:
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            asked = ["sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return ""


def _started(pid: int) -> str:
    """The id with the time of its start: in clock ticks since boot, which no setting of the clock moves, or
    in hundredths of a second since 1970; `?` when none such runs, `unknown` when that cannot be seen."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return f"{pid}@{fields[19] if fields[0] != 'Z' else '?'}"
    except OSError:
        return f"{pid}@{'?' if Path('/proc/self/stat').exists() else _asked(pid)}"


def _asked(pid: int) -> str:
    """The start of a process where there is no /proc."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return "?"
        return str(round(process.create_time() * 100))
    except psutil.Error:  # it is gone, it is another user's, or nothing can be seen from here
        return "unknown" if psutil.pid_exists(pid) else "?"


@cache
def processors() -> int:
    """How many this process may use: what its affinity and the quotas of its container or service allow. As
    joblib counts them, which loads numpy: how many threads that starts depends on this."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    allowed = [len(affinity(0)) if affinity else os.cpu_count() or 1, *_quotas()]
    if (said := os.environ.get("LOKY_MAX_CPU_COUNT", "")).isdigit():  # how users of joblib say it
        allowed.append(int(said))
    return max(1, min(allowed))


def _quotas(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Whole processors that this process's control group, and each around it, may use (Linux, versions 1 and
    2). In a container the path that it is told may be that on the host; then the root is its own group."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers and "cpu" not in controllers.split(","):
            continue
        at = root / controllers / path.lstrip("/")
        for group in (at, *at.parents):
            with suppress(OSError, ValueError):
                if controllers:
                    files = [group / f"cpu.cfs_{name}_us" for name in ("quota", "period")]
                    quota, period = (int(file.read_text()) for file in files)
                else:
                    quota, period = map(int, (group / "cpu.max").read_text().split())
                if quota > 0:
                    yield math.ceil(quota / period)
            if group == root / controllers:
                break
