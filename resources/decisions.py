"""What people decided, in a database of its own, which only grows: nothing of it can be made again.

Any SQLite client can read it: `select person, count(*) from decisions group by 1`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import RLock
from typing import Any

from synth_assets.contracts.decision import Decision, current
from synth_assets.core.errors import UserError
from synth_assets.core.text.utf8 import clean
from synth_assets.resources.call_log.database import Execute, SQLite, chunks, marks

COLUMNS = tuple(field.name for field in fields(Decision))
NUMBERS = ("seconds", "probability")
JSON = ("value", "suggestion")  # columns that hold it
TABLES = (
    """CREATE TABLE IF NOT EXISTS decisions (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    decision_id TEXT NOT NULL UNIQUE,
    recipe TEXT NOT NULL,
    row_id TEXT NOT NULL,
    round TEXT NOT NULL,
    person TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    seconds REAL,
    saw_suggestion INTEGER NOT NULL,
    draw TEXT NOT NULL,
    probability REAL,
    note TEXT NOT NULL,
    corrects TEXT,
    time TEXT NOT NULL,
    suggestion TEXT NOT NULL,
    text_id TEXT NOT NULL,
    digest TEXT NOT NULL
)""",
    "CREATE INDEX IF NOT EXISTS decisions_of_recipe ON decisions (recipe, n)",
    *(
        f"CREATE TRIGGER IF NOT EXISTS no_{word.lower()} BEFORE {word} ON decisions "
        "BEGIN SELECT RAISE(ABORT, 'decisions are only added: correct one by another'); END"
        for word in ("UPDATE", "DELETE")
    ),
)
INSERT = f"INSERT INTO decisions ({', '.join(COLUMNS)}, digest) VALUES {marks(len(COLUMNS) + 1)}"
LATEST = "SELECT digest FROM decisions WHERE recipe = ? ORDER BY n DESC LIMIT 1"


class Decisions:
    """The decisions in a file, which is made with the first one; safe for many threads and processes.
    UserError, naming the file, when it cannot be read or written."""

    tables: Sequence[str] = TABLES

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = _Reviews(path)
        self._opening, self._is_open = RLock(), False

    def append(self, *decisions: Decision) -> int:
        """Store them, on the disk when this returns; how many were new. One whose id is there is left as it
        is. UserError, and none is stored, where one corrects a decision that is not its person's."""
        self._open()
        new = list[Decision]()
        with self._database.transaction() as execute:
            there = persons(execute, decisions)
            for each in decisions:
                if each.decision_id in there:
                    continue
                _check_corrects(each, there)
                there[each.decision_id] = (each.recipe, each.person)
                new.append(insert(execute, each))
            self._publish(execute, new)
        return len(new)

    def _publish(self, execute: Execute, new: Sequence[Decision]) -> None:
        """Tell others, before they are stored."""

    def all(self, recipe: str) -> list[Decision]:
        """Every decision of a recipe, also those that were corrected, in order of time."""
        if not self._path.exists():
            return []
        self._open()
        return self._found(self._database.execute, recipe)

    def _found(self, execute: Execute, recipe: str, where: str = "1", *values: str) -> list[Decision]:
        """Those of a recipe for which a condition holds, in order of time."""
        statement = (
            f"SELECT {', '.join(COLUMNS)} FROM decisions WHERE recipe = ? AND {where} ORDER BY time, n"
        )
        return list(map(_decision, execute(statement, [recipe, *values])))

    def current(self, recipe: str) -> list[Decision]:
        """Those that hold, after corrections and undos: at most one of a row, a person and a kind."""
        return current(self.all(recipe))

    def fingerprint(self, recipe: str) -> str:
        """Another one with each decision that is new; empty where there is none."""
        if not self._path.exists():
            return ""
        self._open()
        found = self._database.execute(LATEST, [recipe])
        return str(found[0][0]) if found else ""

    def damage(self) -> str:
        """What is wrong with the file, in words; empty: nothing. A digest goes over all decisions of a recipe
        before it, so that none can be gone or other than it was stored."""
        if not self._path.exists():
            return ""
        if says := self._database.damage():
            return says
        self._open()
        asked = f"SELECT digest, {', '.join(COLUMNS)} FROM decisions ORDER BY n"
        last: dict[str, str] = {}
        for digest, *values in self._database.execute(asked):
            recipe = values[COLUMNS.index("recipe")]
            if digest != _digest(last.get(recipe, ""), values):
                id_ = values[COLUMNS.index("decision_id")]
                return (
                    f"reviews {self._path}: decision {id_} of {recipe}, or one before it, is not as it was "
                    f"stored: {self._database.damaged}."
                )
            last[recipe] = digest
        return ""

    def close(self) -> None:
        """End this process's connection; the next use opens another."""
        self._database.close()

    def _open(self) -> None:
        with self._opening:
            if not self._is_open:
                if not self._database.is_only_to_read():
                    for statement in self.tables:
                        self._database.execute(statement)
                self._is_open = True


class _Reviews(SQLite):
    """Nothing can make a decision again, so it is on the disk before a person is told that it is stored."""

    what = "reviews"
    synchronous = "FULL"
    damaged = (
        "put a copy of it in its place; where there is none, move it away, and `synth verify --repair` has "
        "back what the lake has"
    )


def persons(execute: Execute, decisions: Sequence[Decision]) -> dict[str, tuple[str, str]]:
    """Recipe and person of the decisions that are there, of these and those that they correct."""
    wanted = {each.decision_id for each in decisions} | {each.corrects for each in decisions if each.corrects}
    found: dict[str, tuple[str, str]] = {}
    for chunk in chunks(sorted(wanted)):
        asked = f"SELECT decision_id, recipe, person FROM decisions WHERE decision_id IN {marks(len(chunk))}"
        found |= {id_: (recipe, person) for id_, recipe, person in execute(asked, chunk)}
    return found


def _check_corrects(decision: Decision, there: dict[str, tuple[str, str]]) -> None:
    if decision.corrects is None or there.get(decision.corrects) == (decision.recipe, decision.person):
        return
    why = "is another person's" if decision.corrects in there else "is not there"
    raise UserError(
        f"decision {decision.decision_id} of {decision.person} corrects {decision.corrects}, which {why}: "
        "people correct their own decisions."
    )


def insert(execute: Execute, decision: Decision) -> Decision:
    """Store one, and return it with its time. Its digest goes over all of the recipe's before it, and so the
    last one stands for all of them."""
    decision = replace(decision, time=decision.time or datetime.now(UTC).isoformat(timespec="milliseconds"))
    values = [*_stored(decision)]
    before = execute(LATEST, [decision.recipe])
    execute(INSERT, [*values, _digest(before[0][0] if before else "", values)])
    return decision


def _digest(before: str, values: Sequence[Any]) -> str:
    return sha256(json.dumps([before, *values]).encode()).hexdigest()[:32]


def _stored(decision: Decision) -> Iterator[Any]:
    for name, value in asdict(decision).items():
        if name in JSON:
            yield clean(json.dumps(value, ensure_ascii=False))
        elif name in NUMBERS:
            yield None if value is None else float(value)  # as it comes back
        elif name == "saw_suggestion":
            yield int(value)
        else:
            yield None if value is None else clean(str(value))


def _decision(row: tuple[Any, ...]) -> Decision:
    found = dict(zip(COLUMNS, row, strict=True))
    found |= {name: json.loads(found[name]) for name in JSON}
    return Decision(**{**found, "saw_suggestion": bool(found["saw_suggestion"])})
