"""A process of its own, without the seconds in which a new interpreter imports everything: a fork of one that
has."""

from __future__ import annotations

import faulthandler
import functools
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import psutil

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["tests.clean_fork"]
)  # a fork of this process could wait for locks of its threads


class Forked:
    """What `call` does with these arguments, as the command line gives them; what it prints goes into a file.
    Used like a `subprocess.Popen`."""

    def __init__(
        self,
        call: Callable[[], Any],
        arguments: Sequence[str],
        prints: Path | None = None,
        folder: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.prints = prints or Path(tempfile.mkdtemp(), "printed")
        place = (self.prints.absolute(), folder or Path.cwd(), dict(env or os.environ))
        self.process = context.Process(target=run, args=(call, [*arguments], *place))
        self.process.start()
        assert self.process.pid
        self.pid = self.process.pid

    def poll(self) -> int | None:
        """Below 0 where a signal ended it."""
        return self.process.exitcode

    def wait(self, timeout: float = 600) -> int:
        self.process.join(timeout)
        if (code := self.poll()) is None:
            self.send_signal(signal.SIGUSR1)  # it prints where each of its threads stands
            time.sleep(0.5)
            self.kill()
            raise TimeoutError(self.said())
        return code

    def send_signal(self, told: int) -> None:
        os.kill(self.pid, told)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def said(self) -> str:
        return self.prints.read_text(encoding="utf-8")


def command(words: Sequence[str], *place: Path | None, env: Mapping[str, str] | None = None) -> Forked:
    """A command of this environment; `place`: the file for what it prints, and the folder to work in."""
    (script,) = entry_points(group="console_scripts", name=words[0])
    return Forked(script.load(), words, *place, env=env)  # imported here, it is there the next time


def python(code: str, *arguments: str) -> Forked:
    """`python -c CODE ARGUMENTS`."""
    return Forked(functools.partial(exec, code, {"__name__": "__main__"}), ["-c", *arguments])


def run(
    call: Callable[[], Any], arguments: list[str], prints: Path, folder: Path, env: dict[str, str]
) -> None:
    with prints.open("w", buffering=1, encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        faulthandler.register(signal.SIGUSR1, file)
        sys.argv = arguments
        settle(folder, env)
        os._exit(exit_code(call))


def settle(folder: Path, env: Mapping[str, str]) -> None:
    """Make a fork what a new process is."""
    for told in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(told, signal.default_int_handler if told == signal.SIGINT else signal.SIG_DFL)
    for stream in (1, 2):
        os.dup2(sys.stdout.fileno(), stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    places = [folder / place for place in env.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.path[:0] = map(str, [Path(sys.executable).parent, *places])  # the place of the command comes first


def exit_code(call: Callable[[], Any]) -> int:
    try:
        code = call()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        print(code)
        code = 1
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    return code or 0


def still_there(processes: Iterable[psutil.Process], seconds: float = 60) -> list[psutil.Process]:
    """Those that have not ended after this time. One that nobody has asked how it ended (a zombie) has."""
    left, end = list(processes), time.monotonic() + seconds
    while (left := [each for each in left if not _has_ended(each)]) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
