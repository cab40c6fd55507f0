"""Run a program that nobody has read: Python in a process of its own that may compute, and little else.

What holds, by layer (`layers()` tells which of them this machine grants; none needs root):

    limits      processor time, memory, size of one file, open files, core files (every system; macOS does
                not keep the memory limit); the whole process group is killed at the end of the time
    audit       Python's own hooks end the program at once on a file outside of its folder, a socket, a new
                process, a signal, ctypes, whether or not it would have caught the error (every system)
    namespaces  no network but its own empty one; the folder lies in memory, 64 MiB and 1,000 files at most
    landlock    the kernel opens no file but the standard library's, the system's libraries' and the folder's
    seccomp     the kernel starts no process, opens no socket, signals nobody, wins no privilege,
                changes the rights and times of no file

Always: no variable of the parent's environment, no descriptor of it, standard library only, one fixed hash
seed (the order of a set is the same in every run). With landlock and seccomp the kernel keeps the walls, and
a program that tricks the interpreter is still inside. With limits and audit alone (macOS, an old kernel,
a container that forbids the rest) the sandbox stops accidents and honest programs, not an attacker: audit
hooks can be tricked from within.

Not held off anywhere: a flaw of the kernel; reading what lies in the library folders; learning by `stat` that
a file outside exists and how long it is; the clock and chance; and, without namespaces, filling the disk.
"""

from __future__ import annotations

import math
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import IO

from synth_assets.core.asking import Result
from synth_assets.resources.sandbox import confined
from synth_assets.resources.sandbox.child import started
from synth_assets.resources.storage.process import processors

REASONS = ("ok", "error", "timed_out", "out_of_memory", "forbidden", "truncated")
STDOUT_BYTES = 2**20  # of what is kept of a program's output


def run_python(
    code: str, stdin: str = "", timeout_s: float = 5, memory_mib: int = 512, to_its_end: bool = False
) -> Result:
    """Run `code` as a program: what it printed, and one of REASONS, after `timeout_s` seconds at most.

    Output beyond 1 MiB is cut, and the program then counts as `truncated`: half an answer equals no other.
    `to_its_end`: it is an error to end before the last line was reached, by `exit()` or otherwise. That it
    was reached is shown by a number that is made of a secret only then.
    """
    secret = secrets.token_bytes(confined.SECRET_BYTES)
    with (
        tempfile.TemporaryDirectory(prefix="synth-sandbox-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as program,
        tempfile.TemporaryFile() as asked,
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as complained,
        tempfile.TemporaryFile() as reached,
    ):
        for file, content in ((program, secret + _bytes(code)), (asked, _bytes(stdin))):
            file.write(content)
            file.seek(0)
        descriptors = (program.fileno(), reached.fileno())
        arguments = (os.path.realpath(folder), math.ceil(timeout_s), memory_mib, *descriptors)
        streams = {"stdin": asked, "stdout": said, "stderr": complained, "pass_fds": descriptors}
        with started(confined.__file__, *arguments, cwd=folder, **streams) as process:
            try:
                code_of_exit = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                code_of_exit = None
        ended = _ended(code_of_exit, said, complained, timeout_s)
        reached.seek(0)
        if to_its_end and ended.reason == "ok" and reached.read() != blake2b(secret).digest():
            return Result("error", ended.text, "ended before its last line")
        return ended


def run_many(
    codes: Sequence[str],
    workers: int | None = None,
    timeout_s: float = 5,
    memory_mib: int = 512,
    to_its_end: bool = False,
) -> list[Result]:
    """One Result a program, in their order, `workers` at a time (None: as many as processors)."""
    with ThreadPoolExecutor(workers or processors()) as pool:
        return list(pool.map(lambda code: run_python(code, "", timeout_s, memory_mib, to_its_end), codes))


def layers() -> tuple[str, ...]:
    """The layers of the table above that hold here, as a program in the sandbox finds them."""
    return tuple((run_python("print(*__layers__)", timeout_s=30).text or "").split())


def _ended(code: int | None, said: IO[bytes], complained: IO[bytes], timeout_s: float) -> Result:
    stdout, size = _read(said, 0, STDOUT_BYTES), said.seek(0, os.SEEK_END)
    last = _read(complained, max(0, complained.seek(0, os.SEEK_END) - 2000), 2000).strip().rpartition("\n")[2]
    last = last or f"ended with exit code {code}"
    if code is None or code == -signal.SIGXCPU:
        return Result("timed_out", stdout, f"ran longer than {timeout_s:g} s")
    if code == confined.OUT_OF_MEMORY:
        return Result("out_of_memory", stdout, last)
    if code == confined.FORBIDDEN:
        return Result("forbidden", stdout, last)
    if size > STDOUT_BYTES:
        return Result("truncated", stdout, f"printed more than {STDOUT_BYTES} bytes")
    if code < 0:
        return Result("error", stdout, f"ended by signal {-code}")
    return Result("ok", stdout) if code == 0 else Result("error", stdout, last)


def _read(file: IO[bytes], start: int, length: int) -> str:
    file.seek(start)
    return file.read(length).decode("utf-8", "replace")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
