"""Who a process is, so that others can tell whether it still runs."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_process() -> str:
    """`host:pid@start`. The start time is part of it, because an id may be taken by a later process."""
    return f"{socket.gethostname()}:{_started(os.getpid())}"


def is_gone(process: str) -> bool:
    """Whether a process of this machine has ended. Of another machine's nothing is known: False."""
    host, _, rest = process.partition(":")
    pid = rest.partition("@")[0]
    return host == socket.gethostname() and pid.isdigit() and rest != _started(int(pid))


def _started(pid: int) -> str:
    """The id with the start time in clock ticks since boot; `?` for the time when none such runs."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        fields = []
    return f"{pid}@{fields[19] if fields and fields[0] != 'Z' else '?'}"
