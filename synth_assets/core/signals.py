"""Being told to stop, by whatever signal: work ends as with Ctrl-C, so that claims are given back."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def stopping() -> Iterator[Callable[[], int]]:
    """SIGTERM and a closed terminal (SIGHUP; not with nohup) raise KeyboardInterrupt meanwhile. Yields what
    tells the exit status that belongs to it, by the signal that came last: 130 for Ctrl-C, 143 for SIGTERM,
    129 for a closed terminal."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 128 + signal.SIGINT
        return
    told, tells = socket.socketpair()
    told.setblocking(False)
    tells.setblocking(False)
    kept = {each: signal.getsignal(each) for each in STOPS[1:]}
    # the number of each signal is written there, whoever handles it: Dagster has a handler of its own
    before = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
    for each, handler in kept.items():
        if handler == signal.SIG_DFL:
            signal.signal(each, _interrupt)
    try:
        yield lambda: _status(told)
    finally:
        signal.set_wakeup_fd(before)
        for each, handler in kept.items():
            signal.signal(each, handler)
        told.close()
        tells.close()


def _interrupt(*_: Any) -> None:
    """As Ctrl-C is handled at this moment."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # a shell lets its background jobs ignore Ctrl-C
        raise KeyboardInterrupt
    handler(signal.SIGINT, None)


def _status(told: socket.socket) -> int:
    try:
        came = [number for number in told.recv(4096) if number in STOPS]
    except BlockingIOError:
        came = []
    return 128 + (came[-1] if came else signal.SIGINT)
