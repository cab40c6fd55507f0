"""What a run prints goes on to where it was printed to."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

EVERY_S = 0.1


@contextmanager
def copied(path: str, stream: Any) -> Iterator[None]:
    """What a run prints goes into a file, for the UI, and from there on to where it was printed to. Dagster
    starts two processes for each stream of each run, a good part of a small round's time; this is a
    thread, which loses no last line either."""
    try:
        to = os.dup(stream.fileno())
    except (AttributeError, OSError, ValueError):  # no file, so Dagster leaves it alone
        yield
        return
    over = threading.Event()

    def copy() -> None:
        with Path(path).open("rb") as printed, suppress(OSError):  # whoever read it is gone
            while True:
                last = over.wait(EVERY_S)
                while part := printed.read(1 << 16):
                    while part:
                        part = part[os.write(to, part) :]
                if last:
                    return

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        os.close(to)
