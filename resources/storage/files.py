"""Files that readers see whole: written beside their place, flushed to disk, and renamed over it.

A full disk or a killed process leaves what was there. What a killed process leaves beside it has a name that
nobody reads (`.<name>.<process>.<thread>`), and goes with the next write to the same place.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import file_digest
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import IO

from synth_assets.core.errors import SYSTEMS
from synth_assets.resources.storage.process import lives, this_process

try:
    import fcntl
except ModuleNotFoundError:
    raise ImportError(SYSTEMS) from None

DAY_S = 86_400.0
END = 1 << 20  # bytes


def private(folder: Path) -> None:
    """Make a home, and folders above it that are not there, for this user alone: prompts, seeds and answers
    are in it. What is in it is as open as the umask says: who opens the home to others opens all of it."""
    if not folder.is_dir():
        private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Where to write a file or a folder that takes the place of `path` when the block ends without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in leftovers(path.parent, path.name):
        _remove(left)
    written = path.with_name(f".{path.name}.{this_process()}.{threading.get_ident()}")
    try:
        yield written
        written.replace(path)
    finally:
        _remove(written)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time holds this file's lock; when it is killed, the kernel lets go of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def flushed(path: Path) -> Iterator[IO[bytes]]:
    """A new file whose content is on the disk when the block ends."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when the block ends without error."""
    with beside(path) as written, flushed(written) as file:
        yield file


def write(path: Path, text: str) -> None:
    """Replace a file by this text."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def leftovers(folder: Path, name: str, within: str = "") -> Iterator[Path]:
    """What ended processes left beside files of this name; `within`: in which subfolders. Of a process that
    is not known here, what is older than a day."""
    for path in folder.glob(f"{within}.{name}.*"):
        place, _, rest = path.name.removeprefix(f".{name}.").partition("@")
        alive = lives(f"{place}@{rest.partition('.')[0]}")
        with suppress(FileNotFoundError):
            if alive is False or (alive is None and time.time() - path.stat().st_mtime > DAY_S):
                yield path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file; read once a process, unless its size or times change. What is put back with its
    old time has a new one all the same, that nobody can set."""
    stat = path.stat()
    return _sha256(path, stat.st_size, (stat.st_mtime_ns, stat.st_ctime_ns))


def digest(folder: Path) -> str | None:
    """What tells a folder of a model from another: names and sizes of its files, and both ends of each, which
    is quick for large ones; None where there is no such folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    if not files:
        return None
    stats = [path.stat() for path in files]
    return _digest(folder, tuple(files), tuple((stat.st_size, stat.st_mtime_ns) for stat in stats))


@lru_cache
def _digest(folder: Path, files: tuple[Path, ...], stats: tuple[tuple[int, int], ...]) -> str:
    found = sha256_of()
    for path, (size, _) in zip(files, stats, strict=True):
        found.update(f"{path.relative_to(folder)} {size}\n".encode())
        with path.open("rb") as file:
            found.update(file.read(END))
            file.seek(max(0, size - END))
            found.update(file.read(END))
    return found.hexdigest()


@lru_cache(maxsize=100_000)  # a manual has thousands of files, and each version asks for all of them
def _sha256(path: Path, size: int, times: tuple[int, int]) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
