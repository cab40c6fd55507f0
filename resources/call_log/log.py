"""The call log: every model call, in a database before its answer is used. Append only.

Anybody can query it while runs write; by default it is one file, which any SQLite client can read:
`select outcome, count(*) from calls group by 1`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from synth_assets.core.asking import REUSABLE, Answer, TokenLogprob
from synth_assets.core.identity import verify
from synth_assets.core.text.thoughts import apart
from synth_assets.resources.call_log.database import CHUNK, Database, Execute, chunks, marks
from synth_assets.resources.call_log.leases import Holder, Leases
from synth_assets.resources.call_log.postgres import open_database

TABLES = Path(__file__).with_name("tables.sql")  # a blank line ends a statement
ADDED = {  # columns that tables of older logs lack
    "calls.cost": "REAL",
    "calls.tokens_from": "TEXT",
    "calls.thoughts": "TEXT",
}
PLAIN = (  # columns that are fields of an Answer
    *("identity", "outcome", "text", "finish_reason", "prompt_tokens", "completion_tokens", "tokens_from"),
    *("cost", "latency_s", "attempts", "error", "thoughts"),
)
FOUND = (*PLAIN, "logprobs")  # the columns that make an Answer
WHO = ("run_id", "asset", "partition_key")
COLUMNS = (*FOUND, "messages", "parameters", "model", "endpoint", *WHO, "time")
INSERT = f"INSERT INTO calls ({', '.join(COLUMNS)}) VALUES "


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer with what was asked. `context`: run_id, asset, partition_key of who asked."""

    answer: Answer
    messages: Sequence[Mapping[str, str]]
    parameters: Mapping[str, Any]  # api, sampling, schema, seed, replicate
    model: str
    endpoint: str
    context: Mapping[str, str | None] = field(default_factory=dict)


class Mismatch(NamedTuple):
    """A row of the log whose identity is not that of the call it holds."""

    id: int
    identity: str
    expected: str | None  # None: what the row holds is no call


class CallLog:
    """The log in a file (SQLite), or at a URL (Postgres), opened at the first use; safe for many threads and
    processes. UserError, naming the database, when it cannot be read or written."""

    def __init__(self, where: Path | str) -> None:
        self._database = open_database(where)
        self._has_tables = False
        self._leases = Leases(self._open)

    @property
    def name(self) -> str:
        """The file's path, or the URL without its secrets."""
        return self._database.name

    def find(self, identities: Iterable[str]) -> dict[str, Answer]:
        """The latest reusable answer of each identity that has one."""
        found: dict[str, Answer] = {}
        for chunk in chunks(dict.fromkeys(identities)):
            found |= _answered(self.execute, chunk)
        return found

    def claim(self, identities: Sequence[str]) -> dict[str, Answer | bool]:
        """Leave to ask, so that processes which want the same thing at the same time pay once. True: ask.
        False: somebody else is asking, look again later. An Answer: somebody has asked. A claim ends with the
        answer, and with its process; of a process that is not known here, when it is not renewed for LEASE_S
        seconds."""
        claims: dict[str, Answer | bool] = {}
        if identities:
            with self.transaction() as execute:
                for chunk in chunks(dict.fromkeys(identities)):
                    claims |= self._leases.claim(execute, chunk, _answered(execute, chunk))
            if True in claims.values():
                self._leases.keep()
        return claims

    def holders(self, identities: Sequence[str]) -> list[Holder]:
        """Who is asking for these, other than this process."""
        return self._leases.holders(identities)

    def now(self, execute: Execute) -> float:
        """Seconds since 1970, by the database's clock where it has one."""
        return self._database.now(execute)

    def release(self, identities: Sequence[str]) -> None:
        """Give claims up that brought no answer."""
        if identities:
            with self.transaction() as execute:
                for chunk in chunks(identities):
                    execute(f"DELETE FROM claims WHERE identity IN {marks(len(chunk))}", chunk)

    def append(self, entries: Sequence[Entry], within: Execute | None = None) -> None:
        """Write rows in their order, and end their claims; all committed when this returns, or none.
        `within`: as part of this transaction."""
        if not entries:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [_row(entry, now) for entry in entries]
        with nullcontext(within) if within else self.transaction() as execute:
            for chunk in chunks(rows):
                execute(INSERT + marks(len(chunk), len(COLUMNS)), [value for row in chunk for value in row])
                claims = [row[0] for row in chunk]
                execute(f"DELETE FROM claims WHERE identity IN {marks(len(chunk))}", claims)

    def rows(self, identities: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The latest row of each identity, as its columns, in the order of the identities, each once."""
        for chunk in chunks(dict.fromkeys(identities)):
            among = f"identity IN {marks(len(chunk))}"
            query = f"SELECT {', '.join(COLUMNS)} FROM calls WHERE {among} ORDER BY id"
            found = {row[0]: row for row in self.execute(query, chunk)}  # the latest one stays
            for identity in chunk:
                if identity in found:
                    yield dict(zip(COLUMNS, found[identity], strict=True))

    def prompts(self, identities: Iterable[str], before: str) -> tuple[int, int]:
        """How many of these calls, older than a time, hold their prompt here, and its characters in all."""
        found = [
            self.execute(f"SELECT count(*), sum(length(messages)) FROM calls WHERE {where}", values)[0]
            for where, values in _old(identities, before)
        ]
        return sum(n for n, _ in found), sum(size or 0 for _, size in found)

    def put_away(self, identities: Iterable[str], before: str) -> None:
        """Take the prompts of these calls out of the log, which somebody else holds. The answers stay, under
        their identities: nobody asks again. A prompt comes back when its answer is used (`put_back`)."""
        for where, values in _old(identities, before):
            self.execute(f"UPDATE calls SET messages = '' WHERE {where}", values)
        self._open().shrink()

    def has_put_away(self) -> bool:
        """Whether any call is without its prompt."""
        return bool(self.execute("SELECT 1 FROM calls WHERE messages = '' LIMIT 1"))

    def put_back(self, identity: str, messages: Sequence[Mapping[str, str]]) -> None:
        """Give a call its prompt again, which its identity is a hash of."""
        prompt = clean(_json(list(messages)))
        self.execute("UPDATE calls SET messages = ? WHERE identity = ? AND messages = ''", (prompt, identity))

    def verify(self) -> Iterator[Mismatch]:
        """Rows that do not hold the call which their identity stands for: somebody has changed what was asked
        (or it had half an emoji in it, which the log cannot hold: see `clean`). Those whose prompt is put
        away are left out."""
        query = (
            "SELECT id, identity, messages, parameters, model, endpoint FROM calls "
            f"WHERE id > ? AND messages <> '' ORDER BY id LIMIT {CHUNK}"
        )
        last = 0
        while rows := self.execute(query, (last,)):
            for id_, identity, *call in rows:
                expected = _derived(*call)
                if identity != expected:
                    yield Mismatch(id_, identity, expected)
            last = rows[-1][0]

    def count(self) -> int:
        """Rows in the log, failed calls included."""
        return int(self.execute("SELECT count(*) FROM calls")[0][0])

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a statement gives, committed when this returns. `?` stands for a value."""
        return self._open().execute(statement, values)

    def transaction(self) -> AbstractContextManager[Execute]:
        """Statements that take effect together, or not at all; other processes wait."""
        return self._open().transaction()

    def close(self) -> None:
        """End this process's connection; the next use opens another."""
        self._database.close()
        self._has_tables = False

    def _open(self) -> Database:
        if not self._has_tables:
            _make_tables(self._database)
            self._has_tables = True
        return self._database


def _old(identities: Iterable[str], before: str) -> Iterator[tuple[str, list[str]]]:
    """Conditions for rows with these identities that are older and hold their prompt, and their values."""
    for chunk in chunks(dict.fromkeys(identities)):
        yield f"identity IN {marks(len(chunk))} AND time < ? AND messages <> ''", [*chunk, before]


def _make_tables(database: Database) -> None:
    """Make what is missing. Looks first: Postgres waits for all who write before it makes an index."""
    schema = TABLES.read_text(encoding="utf-8")
    wanted = {*re.findall(r"IF NOT EXISTS (\w+)", schema), *ADDED}

    def missing(execute: Execute) -> set[str]:
        return wanted - {name for (name,) in execute(database.names)}

    if missing(database.execute):
        with database.transaction() as execute:
            for statement in schema.split("\n\n"):
                execute(statement)
            for column in missing(execute):
                table, name = column.split(".")
                execute(f"ALTER TABLE {table} ADD COLUMN {name} {ADDED[column]}")


def _answered(execute: Execute, identities: Sequence[str]) -> dict[str, Answer]:
    """The latest reusable answers of at most CHUNK identities."""
    outcomes = ", ".join(f"'{outcome}'" for outcome in REUSABLE)
    query = (
        f"SELECT {', '.join(FOUND)} FROM calls WHERE identity IN {marks(len(identities))} "
        f"AND outcome IN ({outcomes}) ORDER BY id"
    )
    return {row[0]: _answer(row) for row in execute(query, identities)}  # the latest one stays


def _row(entry: Entry, now: str) -> tuple[Any, ...]:
    """The values of COLUMNS."""
    answer = entry.answer
    tokens = None if answer.logprobs is None else [[t.token, t.logprob, t.top] for t in answer.logprobs]
    return (
        *_plain(answer),
        None if tokens is None else _json(tokens),
        clean(_json(list(entry.messages))),
        clean(_json_sorted(entry.parameters)),
        entry.model,
        entry.endpoint,
        *(entry.context.get(name) for name in WHO),
        now,
    )


_plain = attrgetter(*PLAIN)
_json = json.JSONEncoder(ensure_ascii=False, default=dict).encode
_json_sorted = json.JSONEncoder(ensure_ascii=False, default=dict, sort_keys=True).encode


def clean(text: str) -> str:
    """`text` as UTF-8 can hold it: half an emoji (a lone surrogate) from a cut answer becomes `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _answer(row: tuple[Any, ...]) -> Answer:
    known = dict(zip(FOUND, row, strict=True))
    if known["logprobs"] is not None:
        known["logprobs"] = [TokenLogprob(*token) for token in json.loads(known["logprobs"])]
    if known["thoughts"] is None and known["text"] and known["outcome"] != "refused":
        # logs of older versions have them in the text
        known["text"], known["thoughts"], ended = apart(known["text"])
        if not ended and known["outcome"] == "ok":
            known["outcome"] = "truncated"
    return Answer(**known, from_log=True)


def _derived(messages: str, parameters: str, model: str, endpoint: str) -> str | None:
    """The identity that belongs to these columns of a row; None when they hold no call."""
    try:
        return verify(json.loads(messages), json.loads(parameters), model, endpoint)
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
