"""The call log: every model call, in a database before its answer is used. Append only.

Anybody can query it while runs write; by default it is one file, which any SQLite client can read:
`select outcome, count(*) from calls group by 1`.

Each row has a hash of its answer (`digest`), made when it is stored: an answer that does not hold is not
used. Rows that are older than the hashes get theirs where the lake has the same answer (`mending.py`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any, Literal, NamedTuple

from synth_assets.core.asking import REUSABLE, Answer
from synth_assets.resources.call_log.database import CHUNK, Database, Execute, chunks, marks
from synth_assets.resources.call_log.leases import Holder, Leases
from synth_assets.resources.call_log.postgres import open_database
from synth_assets.resources.call_log.rows import (
    COLUMNS,
    FOUND,
    Entry,
    answer_in,
    as_json,
    clean,
    digest_of,
    holds,
    identity_in,
    row_of,
)

TABLES = Path(__file__).with_name("tables.sql")  # a blank line ends a statement
ADDED = {  # columns that tables of older logs lack
    "calls.cost": "REAL",
    "calls.tokens_from": "TEXT",
    "calls.thoughts": "TEXT",
    "calls.digest": "TEXT",
}
INSERT = f"INSERT INTO calls ({', '.join(COLUMNS)}) VALUES "


class Mismatch(NamedTuple):
    """A row of the log whose identity is not that of the call it holds, or whose answer has changed."""

    id: int
    identity: str
    expected: str | None  # None: what the row holds is no call
    answer: bool = False  # it is the answer that has changed

    def __str__(self) -> str:
        if self.answer:
            return f"call {self.id}: the answer to {self.identity} is not the one that was stored"
        return f"call {self.id}: its identity is {self.identity}, what it holds has {self.expected or 'none'}"


class Extent(NamedTuple):
    """How far a log goes: a log that has lost rows, or is another one, goes less far, or begins otherwise."""

    first: str  # the oldest call, and when that was
    last: int  # the number of the latest row
    rows: int  # up to it
    old: bool  # the oldest row has no digest
    budget: dict[str, int]  # scope -> what is spent and reserved


Why = Literal["opened", "missing", "broken"]  # it was opened; it has no answer, or none that holds
Mend = Callable[["CallLog", Why], None]  # see `mending.mend`


class CallLog:
    """The log in a file (SQLite), or at a URL (Postgres), opened at the first use; safe for many threads and
    processes. UserError, naming the database, when it cannot be read or written."""

    def __init__(self, where: Path | str, mend: Mend | None = None) -> None:
        """`mend` puts back what the log has lost: called at the first use, when an answer is missing for the
        first time, and when one does not hold."""
        self._database = open_database(where)
        self._mend, self._opening = mend, RLock()
        self._is_open = self._mends = False
        self._mended = set[Why]()  # what it was mended for
        self._told: set[str] = set()
        self._leases = Leases(self._open)

    @property
    def name(self) -> str:
        """The file's path, or the URL without its secrets."""
        return self._database.name

    @property
    def is_shared(self) -> bool:
        """Whether several machines can share it."""
        return bool(self._database.tables)

    def find(self, identities: Iterable[str]) -> dict[str, Answer]:
        """The latest reusable answer of each identity that has one that holds."""
        identities = list(dict.fromkeys(identities))
        found, broken = self._look_up(identities)
        why: Why = "broken" if broken else "missing"
        if self._mend and len(found) < len(identities) and why not in self._mended:
            self._mended.add(why)
            self._mend(self, why)
            again, broken = self._look_up(identity for identity in identities if identity not in found)
            found |= again
        if new := broken - self._told:
            self._told |= new
            _say(
                f"{len(new):,} answers in the call log {self.name} are not as they were stored, and no table "
                "has a copy of them: they are asked for and paid again"
            )
        return found

    def _look_up(self, identities: Iterable[str]) -> tuple[dict[str, Answer], set[str]]:
        """What there is, and those of which there is only what does not hold."""
        found: dict[str, Answer] = {}
        broken: set[str] = set()
        for chunk in chunks(dict.fromkeys(identities)):
            found |= _answered(self.execute, chunk, broken)
        return found, broken - found.keys()

    def claim(self, identities: Sequence[str]) -> dict[str, Answer | bool]:
        """Leave to ask, so that processes which want the same thing at the same time pay once. True: ask.
        False: somebody else is asking, look again later. An Answer: somebody has asked. A claim ends with the
        answer, and with its process; of a process that is not known here, when it is not renewed for LEASE_S
        seconds."""
        return self._leases.claim(identities, _answered)

    def holders(self, identities: Sequence[str]) -> list[Holder]:
        """Who is asking for these, other than this process."""
        return self._leases.holders(identities)

    def now(self, execute: Execute) -> float:
        """Seconds since 1970, by the database's clock where it has one."""
        return self._database.now(execute)

    def release(self, identities: Sequence[str]) -> None:
        """Give claims up that brought no answer."""
        self._leases.release(identities)

    def append(self, entries: Sequence[Entry], within: Execute | None = None) -> None:
        """Write rows in their order, and end their claims; all committed when this returns, or none.
        `within`: as part of this transaction."""
        if not entries:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [row_of(entry, now) for entry in entries]
        with nullcontext(within) if within else self.transaction(alone=False) as execute:
            for chunk in chunks(rows):
                insert(execute, chunk)
                claims = [row[0] for row in chunk]
                execute(f"DELETE FROM claims WHERE identity IN {marks(len(chunk))}", claims)

    def rows(self, identities: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The latest row of each identity that holds, as its columns, in the order of the identities, each
        once."""
        for chunk in chunks(dict.fromkeys(identities)):
            among = f"identity IN {marks(len(chunk))}"
            query = f"SELECT {', '.join(COLUMNS)} FROM calls WHERE {among} ORDER BY id"
            rows = (dict(zip(COLUMNS, row, strict=True)) for row in self.execute(query, chunk))
            found = {row["identity"]: row for row in rows if holds(row)}  # the latest one stays
            yield from (found[identity] for identity in chunk if identity in found)

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
        prompt = clean(as_json(list(messages)))
        self.execute("UPDATE calls SET messages = ? WHERE identity = ? AND messages = ''", (prompt, identity))

    def verify(self) -> Iterator[Mismatch]:
        """Rows that do not hold the call which their identity stands for: somebody has changed what was asked
        (or it had half an emoji in it, which the log cannot hold: see `clean`), or the answer. What was asked
        is not looked at where the prompt is put away, nor an answer where a later one holds."""
        query = f"SELECT id, {', '.join(COLUMNS)} FROM calls WHERE id > ? ORDER BY id LIMIT {CHUNK}"
        last = 0
        while rows := self.execute(query, (last,)):
            found = [(row[0], dict(zip(COLUMNS, row[1:], strict=True))) for row in rows]
            broken = {row["identity"] for _, row in found if not holds(row)}
            replaced = _answered(self.execute, list(broken)) if broken else {}
            for id_, row in found:
                expected = identity_in(row) if row["messages"] else row["identity"]
                if row["identity"] != expected:
                    yield Mismatch(id_, row["identity"], expected)
                elif not holds(row) and row["identity"] not in replaced:
                    yield Mismatch(id_, row["identity"], expected, answer=True)
            last = rows[-1][0]

    def extent(self, before: Extent | None = None) -> Extent:
        """How far it goes. `before`: how far it went; only rows that came since are counted."""
        ((last,),) = self.execute("SELECT coalesce(max(id), 0) FROM calls")
        rows = before.rows + self.count(after=before.last) if before else self.count()
        first = self.execute("SELECT identity, time, digest FROM calls ORDER BY id LIMIT 1")
        identity, time, seal = first[0] if first else ("", "", "")
        budget = {scope: int(amount) for scope, amount in self.execute("SELECT scope, amount FROM budget")}
        return Extent(f"{identity} {time}".strip(), int(last), int(rows), seal is None, budget)

    def spent(self, budget: Mapping[str, int]) -> None:
        """No sum of a budget is less than what is said here."""
        with self.transaction() as execute:
            for scope, amount in budget.items():
                execute("INSERT INTO budget (scope, amount) VALUES (?, 0) ON CONFLICT DO NOTHING", (scope,))
                more = "UPDATE budget SET amount = ? WHERE scope = ? AND amount < ?"
                execute(more, (amount, scope, amount))

    def has(self, identities: Iterable[str]) -> bool:
        """Whether it has all of them, whatever became of them."""
        for chunk in chunks(identities):
            query = f"SELECT identity FROM calls WHERE identity IN {marks(len(chunk))}"
            if {*chunk} != {identity for (identity,) in self.execute(query, chunk)}:
                return False
        return True

    def damage(self) -> str:
        """What is wrong with its database as a whole, in words; empty: nothing."""
        return self._database.damage()

    def stored(self, identities: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """All rows of at most CHUNK identities, the earliest first: their numbers (`id`) and columns."""
        names = ("id", *COLUMNS)
        query = f"SELECT {', '.join(names)} FROM calls WHERE identity IN {marks(len(identities))} ORDER BY id"
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self.execute(query, identities):
            found.setdefault(row[1], []).append(dict(zip(names, row, strict=True)))
        return found

    def restore(
        self, missing: Iterable[Mapping[str, Any]], changed: Iterable[tuple[int, Mapping[str, Any]]] = ()
    ) -> None:
        """Put rows back: those of calls of which there is none, and (by their numbers) those that changed."""
        for rows in chunks(missing):
            among = marks(len(rows))
            with self.transaction() as execute:
                query = f"SELECT identity FROM calls WHERE identity IN {among}"
                there = {identity for (identity,) in execute(query, [row["identity"] for row in rows])}
                insert(
                    execute, [tuple(map(row.get, COLUMNS)) for row in rows if row["identity"] not in there]
                )
        change = f"UPDATE calls SET {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE id = ?"
        for pairs in chunks(changed):
            with self.transaction() as execute:
                for id_, row in pairs:
                    execute(change, [*map(row.get, COLUMNS), id_])

    def remove(self, number: int) -> None:
        """Take one row out."""
        self.execute("DELETE FROM calls WHERE id = ?", (number,))

    def prove(self, proven: Iterable[tuple[int, str]]) -> None:
        """Give rows (by their numbers) these digests."""
        for pairs in chunks(proven):
            with self.transaction() as execute:
                for id_, seal in pairs:
                    execute("UPDATE calls SET digest = ? WHERE id = ?", (seal, id_))

    def count(self, after: int | None = None) -> int:
        """Rows in the log, failed calls included; `after`: with higher numbers."""
        among = "" if after is None else " WHERE id > ?"
        return int(self.execute(f"SELECT count(*) FROM calls{among}", [after] if among else [])[0][0])

    def count_until(self, number: int) -> int:
        """Rows up to this number. To count all takes an index; to count these, the whole table."""
        count = "SELECT count(*) FROM calls"
        return int(self.execute(f"SELECT ({count}) - ({count} WHERE id > ?)", (number,))[0][0])

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a statement gives, committed when this returns. `?` stands for a value."""
        return self._open().execute(statement, values)

    def transaction(self, alone: bool = True) -> AbstractContextManager[Execute]:
        """Statements that take effect together, or not at all; see `Database.transaction`."""
        return self._open().transaction(alone)

    def close(self) -> None:
        """End this process's connection; the next use opens another."""
        self._database.close()
        self._is_open = False

    def _open(self) -> Database:
        if not self._is_open:
            with self._opening:  # who comes in the meantime waits
                if not (self._is_open or self._mends):
                    self._make_ready()
        return self._database

    def _make_ready(self) -> None:
        _make_tables(self._database)
        self._mends = True
        try:
            if self._mend:
                self._mend(self, "opened")
            self._is_open = True
        finally:
            self._mends = False


def _old(identities: Iterable[str], before: str) -> Iterator[tuple[str, list[str]]]:
    """Conditions for rows with these identities that are older and hold their prompt, and their values."""
    for chunk in chunks(dict.fromkeys(identities)):
        yield f"identity IN {marks(len(chunk))} AND time < ? AND messages <> ''", [*chunk, before]


def _make_tables(database: Database) -> None:
    """Make what is missing. Looks first: Postgres waits for all who write before it makes an index."""
    schema = TABLES.read_text(encoding="utf-8").rstrip() + database.tables
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


def _answered(
    execute: Execute, identities: Sequence[str], broken: set[str] | None = None
) -> dict[str, Answer]:
    """The latest reusable answers of at most CHUNK identities. `broken` takes those of which one does not
    hold."""
    outcomes = ", ".join(f"'{outcome}'" for outcome in REUSABLE)
    query = (
        f"SELECT {', '.join(FOUND)}, digest FROM calls WHERE identity IN {marks(len(identities))} "
        f"AND outcome IN ({outcomes}) ORDER BY id"
    )
    found = {}
    for *row, seal in execute(query, identities):
        if seal is None or seal == digest_of(row):
            found[row[0]] = row  # the latest one stays
        elif broken is not None:
            broken.add(row[0])
    return {identity: answer_in(row) for identity, row in found.items()}


def insert(execute: Execute, rows: Sequence[Sequence[Any]]) -> None:
    """Add rows: at most CHUNK rows, as the values of COLUMNS."""
    if rows:
        execute(INSERT + marks(len(rows), len(COLUMNS)), [value for row in rows for value in row])


def _say(words: str) -> None:
    print(f"note: {words}.", file=sys.stderr, flush=True)
