"""What people decided on all machines of a lake: each has all of it in its own database, and takes from the
store, before it looks, what others have decided."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.contracts.decision import Decision
from synth_assets.resources.decisions import Decisions, insert, persons
from synth_assets.resources.storage.objects import reached

if TYPE_CHECKING:
    from synth_assets.resources.storage.objects import Objects

FOLDER = ".decisions"  # no recipe has such a name
TAKEN = "CREATE TABLE IF NOT EXISTS taken (name TEXT PRIMARY KEY)"  # objects whose decisions are here


class SharedDecisions(Decisions):
    """The decisions of all machines. What one stores is an object of its own, which never changes: whoever
    decides at the same time loses nothing."""

    def __init__(self, path: Path, objects: Objects) -> None:
        super().__init__(path)
        self._objects = objects

    def append(self, *decisions: Decision) -> int:
        for recipe in sorted({each.recipe for each in decisions}):
            self._take(recipe)
        return super().append(*decisions)

    def _publish(self, new: Sequence[Decision]) -> None:
        """Before they are stored here: what a person is told is stored is there for all."""
        for recipe in sorted({each.recipe for each in new}):
            said = [asdict(each) for each in new if each.recipe == recipe]
            content = json.dumps(said, ensure_ascii=False).encode()
            with reached(self._objects):
                self._objects.put(f"{FOLDER}/{recipe}/{sha256(content).hexdigest()[:32]}.json", content)

    def all(self, recipe: str) -> list[Decision]:
        self._take(recipe)
        return sorted(super().all(recipe), key=lambda each: (each.time, each.decision_id))

    def fingerprint(self, recipe: str) -> str:
        """The same on all machines, in whatever order they took the decisions."""
        ids = sorted(each.decision_id for each in self.all(recipe))
        return sha256("\n".join(ids).encode()).hexdigest()[:32] if ids else ""

    def _take(self, recipe: str) -> None:
        """Store what others have decided since the last look. Who may not write here sees what was here."""
        if not self._path.parent.is_dir() or self._database.is_only_to_read():
            return
        with reached(self._objects):
            there = self._objects.below(f"{FOLDER}/{recipe}")
        if not there:
            return
        self._open()
        self._database.execute(TAKEN)
        taken = {name for (name,) in self._database.execute("SELECT name FROM taken")}
        new = {name: self._decided(name) for of in there if (name := f"{recipe}/{of}") not in taken}
        decisions = sorted((each for of in new.values() for each in of), key=lambda each: each.time)
        with self._database.transaction() as execute:
            known = persons(execute, decisions)
            for each in decisions:
                if each.decision_id not in known:
                    known[each.decision_id] = (each.recipe, each.person)
                    insert(execute, each)
            for name in new:
                execute("INSERT OR IGNORE INTO taken VALUES (?)", [name])

    def _decided(self, name: str) -> list[Decision]:
        with reached(self._objects):
            content = self._objects.get(f"{FOLDER}/{name}") or b"[]"
        return [Decision(**said) for said in json.loads(content)]
