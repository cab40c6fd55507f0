"""The process in which what nobody has read runs: Python by itself, and nothing of it is left at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

# no site, no folder of the script or the user on the path, UTF-8 whatever the locale
PYTHON = ("-s", "-P", "-S", "-B", "-X", "utf8")


@contextmanager
def started(script: str, *arguments: object, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The script in a session of its own, without a variable of this process's environment. When the block
    ends, so does its whole process group."""
    process = subprocess.Popen(
        [sys.executable, *PYTHON, script, *map(str, arguments)],
        env={"PYTHONHASHSEED": "0"},
        start_new_session=True,
        **streams,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, PermissionError):  # all of it has ended already
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in filter(None, (process.stdin, process.stdout)):
            with suppress(BrokenPipeError):  # of a query that was never read
                stream.close()
