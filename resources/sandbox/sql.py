"""Run queries that nobody has read on a SQLite or DuckDB file: they may read the tables of that file only.

They run in a process of their own (queried.py), one after the other. SQLite's authorizer and DuckDB's locked
settings say what a query may do; the kernel holds the process to its memory and its time, and to no other
file, process or socket, where this machine grants the layers of python.py. What a function of DuckDB takes
counts in no limit of its own, nor does it see an interrupt: such a query ends with its process, and the
queries behind it have a new one.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from synth_assets.core.asking import Result
from synth_assets.core.errors import UserError
from synth_assets.core.identity import canonical
from synth_assets.resources.sandbox import queried
from synth_assets.resources.sandbox.child import started

MEMORY_MIB = 512
OPENING_S = 60.0  # until the data base is open, on a busy machine
GRACE_S = 1.0  # of a query that is told to end, before its process is ended
READING_S = 30.0  # of a result that has begun to come
OF_SIGNALS = {signal.SIGPROF: "timed_out", signal.SIGXCPU: "timed_out", signal.SIGABRT: "out_of_memory"}


def run_sql(
    sql: str, file: str | Path, timeout_s: float = 5, max_rows: int = 10_000, ordered: bool = True
) -> Result:
    """The rows of one SELECT on a data base file, as `result_key` writes them, or why there are none.

    A query that writes, attaches, reads other files or changes settings is `forbidden`; one that gives more
    than `max_rows` rows, or 32 million characters, is `too_large`, since half a result equals no other.
    Raises UserError when `file` is not there, cannot be opened, or is neither SQLite nor DuckDB.
    """
    (result,) = run_queries([sql], file, timeout_s, max_rows, ordered)
    return result


def run_queries(
    queries: Sequence[str],
    file: str | Path,
    timeout_s: float = 5,
    max_rows: int = 10_000,
    ordered: bool = True,
) -> Iterator[Result]:
    """The same of several, in their order."""
    arguments = (_kind(Path(file)), Path(file), _packages(), timeout_s, MEMORY_MIB, max_rows)
    done = 0
    while done < len(queries):
        with (
            tempfile.TemporaryFile() as complained,
            started(
                queried.__file__,
                *arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complained,
            ) as process,
        ):
            _opened(process, complained, file)
            for sql in queries[done:]:
                answer = _asked(process, sql, timeout_s)
                result = _result(answer, ordered) if answer else _ended(process, complained, timeout_s)
                yield result
                done += 1
                if answer is None or result.reason in ("timed_out", "out_of_memory"):
                    break  # it is over, or what is left of its memory belongs to nobody else's query


def result_key(rows: Sequence[Sequence[Any]], ordered: bool = False) -> str:
    """Equal results have equal keys: canonical JSON of the rows, sorted unless their order counts. 1, 1.0 and
    the decimal 1.00 are equal; so a sum does not differ by the type of its column."""
    lines = [canonical(queried.plain(row)) for row in rows]
    return f"[{','.join(lines if ordered else sorted(lines))}]"


def _kind(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: no such data base file. Correct its path.")
    try:
        with path.open("rb") as opened:
            start = opened.read(16)
    except OSError as error:
        raise UserError(f"{path}: cannot be opened to read: {error.strerror}") from error
    if start == b"SQLite format 3\0":
        return "sqlite"
    if start[8:12] == b"DUCK":
        return "duckdb"
    raise UserError(f"{path}: neither a SQLite nor a DuckDB file. Known: SQLite 3, DuckDB.")


def _packages() -> Path:
    """The folder that duckdb is installed in."""
    spec = find_spec("duckdb")
    assert spec
    assert spec.origin
    return Path(spec.origin).parents[1]


def _opened(process: subprocess.Popen[bytes], complained: IO[bytes], file: str | Path) -> None:
    """Wait until it is. UserError where another process writes to it, or it is of another version."""
    answer = _line(process, OPENING_S)
    if answer is None or answer["reason"] != "ok":
        why = answer["error"] if answer else _last(complained) or f"no answer within {OPENING_S:g} s"
        raise UserError(f"{file}: cannot be opened to read: {why}")


def _asked(process: subprocess.Popen[bytes], sql: str, timeout_s: float) -> dict[str, Any] | None:
    """The answer to a query; None where the process has ended, or did not end the query in time."""
    assert process.stdin
    try:
        process.stdin.write(json.dumps(sql).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    return _line(process, timeout_s + GRACE_S)


def _line(process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any] | None:
    """The next line of its output, if it begins within these seconds."""
    assert process.stdout
    descriptor, parts, end = process.stdout.fileno(), list[bytes](), time.monotonic() + seconds
    waiting = select.poll()  # `select` takes no descriptor above 1,023
    waiting.register(descriptor, select.POLLIN | select.POLLHUP)
    while not (parts and parts[-1].endswith(b"\n")):
        if not waiting.poll(max(0.0, end - time.monotonic()) * 1000):
            return None
        if not (part := os.read(descriptor, 2**20)):
            return None
        if not parts:
            end = time.monotonic() + READING_S
        parts.append(part)
    answer: dict[str, Any] = json.loads(b"".join(parts))
    return answer


def _result(answer: dict[str, Any], ordered: bool) -> Result:
    if answer["reason"] != "ok":
        return Result(answer["reason"], error=answer["error"])
    return Result("ok", result_key(answer["rows"], ordered))


def _ended(process: subprocess.Popen[bytes], complained: IO[bytes], timeout_s: float) -> Result:
    """Why a query has no answer: its process is over, or is not to go on."""
    try:
        code = process.wait(0.1)
    except subprocess.TimeoutExpired:
        return Result("timed_out", error=f"ran longer than {timeout_s:g} s")
    reason = OF_SIGNALS.get(signal.Signals(-code), "error") if code < 0 else "error"
    words = {"timed_out": f"ran longer than {timeout_s:g} s", "out_of_memory": "more memory than the limit"}
    return Result(reason, error=words.get(reason) or _last(complained) or f"ended with exit code {code}")


def _last(complained: IO[bytes]) -> str:
    complained.seek(0)
    return " ".join(complained.read()[-500:].decode("utf-8", "replace").split())
