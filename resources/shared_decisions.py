"""What people decided on all machines of a lake: each has all of it in its own database, and takes from the
store, before it looks, what others have decided. What the store has lost it gives back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.contracts.decision import Decision
from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.database import Execute
from synth_assets.resources.decisions import TABLES, Decisions, insert, persons
from synth_assets.resources.storage.objects import reached

if TYPE_CHECKING:
    from synth_assets.resources.storage.objects import Objects

FOLDER = ".decisions"  # no recipe has such a name
AT_ONCE = 16  # objects that are read
SHARED = """CREATE TABLE IF NOT EXISTS shared (
    decision_id TEXT NOT NULL,
    object TEXT NOT NULL, -- in which it is; it may be in several
    PRIMARY KEY (decision_id, object)
)"""
ALONE = """decision_id NOT IN (
    SELECT decision_id FROM shared WHERE object IN (SELECT value FROM json_each(?))
)"""  # which are in none of these objects


class SharedDecisions(Decisions):
    """The decisions of all machines. What one stores is an object of its own, which never changes and is
    named by its content: whoever decides at the same time loses nothing."""

    tables = (*TABLES, SHARED)

    def __init__(self, path: Path, objects: Objects) -> None:
        super().__init__(path)
        self._objects = objects

    def append(self, *decisions: Decision) -> int:
        for recipe in sorted({each.recipe for each in decisions}):
            self._exchange(recipe)
        return super().append(*decisions)

    def _publish(self, execute: Execute, new: Sequence[Decision]) -> None:
        """Before they are stored here: what a person is told is stored is there for all."""
        for recipe in sorted({each.recipe for each in new}):
            said = [each for each in new if each.recipe == recipe]
            content = json.dumps([asdict(each) for each in said], ensure_ascii=False).encode()
            name = f"{recipe}/{_named(content)}"
            with reached(self._objects):
                self._objects.put(f"{FOLDER}/{name}", content)
            _note(execute, name, said)

    def all(self, recipe: str) -> list[Decision]:
        self._exchange(recipe)
        return sorted(super().all(recipe), key=lambda each: (each.time, each.decision_id))

    def fingerprint(self, recipe: str) -> str:
        """The same on all machines, in whatever order they took the decisions."""
        ids = sorted(each.decision_id for each in self.all(recipe))
        return sha256("\n".join(ids).encode()).hexdigest()[:32] if ids else ""

    def damage(self) -> str:
        """What is wrong, in words, also of what is in the store; empty: nothing."""
        if says := super().damage():
            return says
        try:
            with reached(self._objects):
                for _ in self._read(sorted(self._objects.below(FOLDER))):
                    pass
        except UserError as error:
            if error.mistakes[0].code != "damaged":
                raise
            return str(error)
        return ""

    def _exchange(self, recipe: str) -> None:
        """Store what others have decided since the last look, and put into the store what is only here. Who
        may not write here sees what was here."""
        if not self._path.parent.is_dir() or self._database.is_only_to_read():
            return
        with reached(self._objects):
            there = [f"{recipe}/{name}" for name in self._objects.below(f"{FOLDER}/{recipe}")]
        if not (there or self._path.exists()):
            return
        self._open()
        taken = {name for (name,) in self._database.execute("SELECT DISTINCT object FROM shared")}
        with reached(self._objects):
            new = dict(self._read([name for name in there if name not in taken]))
        if not new and not self._found(self._database.execute, recipe, ALONE, json.dumps(there)):
            return
        with self._database.transaction() as execute:
            _store(execute, [each for said in new.values() for each in said])
            for name, said in new.items():
                _note(execute, name, said)
            self._publish(execute, self._found(execute, recipe, ALONE, json.dumps(there)))

    def _read(self, names: Sequence[str]) -> Iterator[tuple[str, list[Decision]]]:
        """The decisions of each object. UserError for one that is not as it was written."""

        def read(name: str) -> tuple[str, list[Decision]] | None:
            content = self._objects.get(f"{FOLDER}/{name}")
            if content is None:  # it was removed after it was listed
                return None
            if not name.endswith(f"/{_named(content)}"):
                raise UserError(
                    f"{self._objects.where}/{FOLDER}/{name} is not as it was written: remove it, and the "
                    "next command on a machine that has its decisions writes them again.",
                    "damaged",
                )
            return name, [Decision(**said) for said in json.loads(content)]

        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from filter(None, pool.map(read, names))


def _named(content: bytes) -> str:
    return f"{sha256(content).hexdigest()[:32]}.json"


def _store(execute: Execute, decisions: Sequence[Decision]) -> None:
    """Those which are not there yet."""
    known = persons(execute, decisions)
    for each in sorted(decisions, key=lambda each: each.time):
        if each.decision_id not in known:
            known[each.decision_id] = (each.recipe, each.person)
            insert(execute, each)


def _note(execute: Execute, name: str, decisions: Sequence[Decision]) -> None:
    """That these are in this object."""
    for each in decisions:
        execute("INSERT OR IGNORE INTO shared VALUES (?, ?)", [each.decision_id, name])
