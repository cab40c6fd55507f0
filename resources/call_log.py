"""The call log: every model call, on disk before its answer is used. One SQLite file, append only.

Any SQLite client can read it while runs write: `select outcome, count(*) from calls group by 1`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from resources.process import is_gone, this_process
from synth_assets.errors import UserError

OUTCOMES = (
    "ok",
    "refused",
    "truncated",
    "invalid",
    "rate_limited",
    "provider_error",
    "timed_out",
    "over_budget",
)
REUSABLE = ("ok", "truncated", "refused", "invalid")  # the model has spoken; the others may be asked again
Execute = Callable[..., list[tuple[Any, ...]]]  # statement, values -> rows
CHUNK = 500  # identities a query; SQLite takes a limited number of variables

SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    identity TEXT NOT NULL,       -- synth_assets.identity.request_id
    messages TEXT NOT NULL,       -- JSON: [{role, content}]
    parameters TEXT NOT NULL,     -- JSON: {api, sampling, schema, seed, replicate}
    model TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    outcome TEXT NOT NULL,
    text TEXT,
    finish_reason TEXT,
    logprobs TEXT,                -- JSON: [[token, logprob, {token: logprob}]]
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost REAL,                    -- US dollars; null: the price or a token count is not known
    latency_s REAL,
    attempts INTEGER NOT NULL,
    error TEXT,
    run_id TEXT,
    asset TEXT,
    partition_key TEXT,
    time TEXT NOT NULL            -- ISO 8601, UTC
);
CREATE INDEX IF NOT EXISTS calls_identity ON calls (identity);
CREATE TABLE IF NOT EXISTS claims (  -- requests in flight: who asks, and until when that holds
    identity TEXT PRIMARY KEY,
    process TEXT NOT NULL,
    until REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS budget (  -- see resources.budget
    scope TEXT PRIMARY KEY,
    amount INTEGER NOT NULL       -- tokens, or billionths of a dollar: spent and reserved
);
"""
FOUND = (  # the columns that make an Answer
    "identity",
    "outcome",
    "text",
    "finish_reason",
    "logprobs",
    "prompt_tokens",
    "completion_tokens",
    "cost",
    "latency_s",
    "attempts",
    "error",
)
COLUMNS = (*FOUND, "messages", "parameters", "model", "endpoint", "run_id", "asset", "partition_key", "time")
INSERT = f"INSERT INTO calls ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


@dataclass(frozen=True)
class TokenLogprob:
    """One token of an answer: its natural-log probability, and those of the likeliest alternatives."""

    token: str
    logprob: float
    top: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What became of one request. Whatever is not known is None, never 0."""

    identity: str
    outcome: str  # one of OUTCOMES
    text: str | None = None
    finish_reason: str | None = None
    logprobs: list[TokenLogprob] | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None  # US dollars
    latency_s: float | None = None  # of the attempt that counted, without the waits before it
    attempts: int = 1
    error: str | None = None
    from_log: bool = False


class CallLog:
    """The log in one file; opened at the first use, safe for many threads and processes.

    Raises UserError, naming the file, when it cannot be written or read (a full disk, no permission).
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = Lock()  # one connection, one thread at a time
        self._process = this_process()
        self._connection: sqlite3.Connection | None = None

    def find(self, identities: Iterable[str]) -> dict[str, Answer]:
        """The latest reusable answer of each identity that has one."""
        wanted = list(dict.fromkeys(identities))
        found: dict[str, Answer] = {}
        outcomes = ", ".join("?" * len(REUSABLE))
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            query = (
                f"SELECT {', '.join(FOUND)} FROM calls WHERE identity IN ({', '.join('?' * len(chunk))}) "
                f"AND outcome IN ({outcomes}) ORDER BY id"
            )
            for row in self._execute(query, [*chunk, *REUSABLE]):
                found[row[0]] = _answer(row)  # rows come in the order of ids: the latest one stays
        return found

    def claim(self, identity: str, lease_s: float) -> Answer | bool:
        """Leave to ask, so that processes which want the same thing at the same time pay once.

        True: ask. False: somebody else is asking, look again later. An Answer: somebody has asked. A claim
        ends with the answer, with its process, or (of another machine's process) after `lease_s` seconds.
        """
        with self.transaction() as execute:
            outcomes = ", ".join(f"'{outcome}'" for outcome in REUSABLE)
            query = f"SELECT {', '.join(FOUND)} FROM calls WHERE identity = ? AND outcome IN ({outcomes})"
            if answered := execute(f"{query} ORDER BY id DESC LIMIT 1", (identity,)):
                return _answer(answered[0])
            for process, until in execute(
                "SELECT process, until FROM claims WHERE identity = ?", (identity,)
            ):
                if time.time() < until and not is_gone(process):
                    return False
            mine = (identity, self._process, time.time() + lease_s)
            execute("INSERT OR REPLACE INTO claims (identity, process, until) VALUES (?, ?, ?)", mine)
            return True

    def release(self, identity: str) -> None:
        """Give a claim up that brought no answer."""
        self._execute("DELETE FROM claims WHERE identity = ?", (identity,))

    def rows(self, identities: Iterable[str]) -> list[dict[str, Any]]:
        """The latest row of each identity, as its columns, in the order of the identities."""
        wanted = list(dict.fromkeys(identities))
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            query = (
                f"SELECT {', '.join(COLUMNS)} FROM calls "
                f"WHERE identity IN ({', '.join('?' * len(chunk))}) ORDER BY id"
            )
            for row in self._execute(query, chunk):
                found[row[0]] = dict(zip(COLUMNS, row, strict=True))
        return [found[identity] for identity in wanted if identity in found]

    def append(
        self,
        answer: Answer,
        *,
        messages: Sequence[Mapping[str, str]],
        parameters: Mapping[str, Any],
        model: str,
        endpoint: str,
        context: Mapping[str, str | None] | None = None,
    ) -> None:
        """Write one row, committed when this returns. `context`: run_id, asset, partition_key."""
        where = context or {}
        row = (
            answer.identity,
            answer.outcome,
            answer.text,
            answer.finish_reason,
            _dump(answer.logprobs),
            answer.prompt_tokens,
            answer.completion_tokens,
            answer.cost,
            answer.latency_s,
            answer.attempts,
            answer.error,
            clean(json.dumps(list(messages), ensure_ascii=False, default=dict)),
            clean(json.dumps(dict(parameters), ensure_ascii=False, sort_keys=True, default=dict)),
            model,
            endpoint,
            where.get("run_id"),
            where.get("asset"),
            where.get("partition_key"),
            datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        with self.transaction() as execute:
            execute(INSERT, row)
            execute("DELETE FROM claims WHERE identity = ?", (answer.identity,))

    def count(self) -> int:
        """Rows in the log, failed calls included."""
        return int(self._execute("SELECT count(*) FROM calls")[0][0])

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def transaction(self) -> Iterator[Execute]:
        """Statements that take effect together, or not at all; other processes wait."""
        with self._lock, _named(self.path):
            if self._connection is None:
                self._connection = _open(self.path)
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield lambda statement, values=(): connection.execute(statement, values).fetchall()
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock, _named(self.path):
            if self._connection is None:
                self._connection = _open(self.path)
            return self._connection.execute(statement, values).fetchall()


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout = 30000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # survives kill -9; a power cut may cost the last rows
    connection.executescript(SCHEMA)
    if "cost" not in [row[1] for row in connection.execute("PRAGMA table_info(calls)")]:
        connection.execute("ALTER TABLE calls ADD COLUMN cost REAL")  # a log from before there were prices
    return connection


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk say into an error that names the file."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        full = "full" in str(error) or "No space left" in str(error)
        fix = (
            "free some space and run again, what is saved stays" if full else "check the file and its folder"
        )
        raise UserError(f"call log {path}: {error}; {fix}.") from error


def clean(text: str) -> str:
    """`text` as UTF-8 can hold it: half an emoji (a lone surrogate) from a cut answer becomes `?`."""
    return text.encode("utf-8", "replace").decode()


def _dump(logprobs: list[TokenLogprob] | None) -> str | None:
    if logprobs is None:
        return None
    return json.dumps([[t.token, t.logprob, t.top] for t in logprobs], ensure_ascii=False)


def _answer(row: tuple[Any, ...]) -> Answer:
    known = dict(zip(FOUND, row, strict=True))
    if known["logprobs"] is not None:
        known["logprobs"] = [TokenLogprob(*token) for token in json.loads(known["logprobs"])]
    return Answer(**known, from_log=True)
