"""Folders that machines of one lake share: each file is an object, too, and a copy of it is here to work on.

A person edits a file where they are. What was changed here since the two were last the same goes to the
store, what was changed there comes from it. Where both were, the one that a person edited wins; where both
are a person's, nobody knows which, and that is an error.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synth_assets.core.errors import UserError
from synth_assets.resources.storage import files
from synth_assets.resources.storage.objects import reached

if TYPE_CHECKING:
    from synth_assets.resources.storage.objects import Objects

FILES = ".files"  # no recipe has such a name
FRESH_S = 2.0  # so long a look at the store holds, unless this process has changed something
HIDDEN = "."  # begins names of files that are being written


class Same(NamedTuple):
    """A file and its object when they were last the same."""

    digest: str  # of the content
    mark: list[int]  # when the object was written, and its size
    since: float  # when this mark was seen first, by this machine's clock

    def surely(self, mark: list[int]) -> bool:
        """Whether an object of this mark has this content still: marks go by the second, and so what is
        written twice in one has the same."""
        return mark == self.mark and time.time() - self.since > FRESH_S


class SharedFolders:
    """The shared folders of a machine, each by its name."""

    def __init__(self, objects: Objects, state: Path) -> None:
        """`state`: a folder of this machine."""
        self._objects, self._state = objects, state
        self._seen: tuple[float, dict[str, list[int]]] = (float("-inf"), {})

    def make_same(
        self, folder: Path, only: str | None, is_edited: Callable[[bytes], bool], changed: bool
    ) -> None:
        """Make the files here and there the same, all or `only` one. `changed`: by this process just now.
        UserError where the store cannot be reached, or a file `is_edited` here and there."""
        name = folder.name
        with reached(self._objects), files.locked(self._state / f"{name}.lock"):
            there = {
                of.rpartition("/")[2]: mark
                for of, mark in self._there(changed).items()
                if of.rpartition("/")[0] == name
            }
            known = self._known(name)
            here = {p.name for p in folder.iterdir() if p.is_file()} if folder.is_dir() else set()
            wanted = {*there, *here, *known} if only is None else {only}
            for file in sorted(each for each in wanted if not each.startswith(HIDDEN)):
                now = self._settled(folder / file, there.get(file), known.get(file), is_edited)
                known = {of: same for of, same in known.items() if of != file} | ({file: now} if now else {})
            if self._state.parent.is_dir() and known != self._known(name):
                files.write(self._state / f"{name}.json", json.dumps(known))

    def _settled(
        self, path: Path, mark: list[int] | None, known: Same | None, is_edited: Callable[[bytes], bool]
    ) -> Same | None:
        """Make one file and its object the same, and say how they are; None where neither is left."""
        mine = path.read_bytes() if path.is_file() else None
        here, before = _digest(mine), known and known.digest
        if known and mark and here == before and known.surely(mark):
            return known
        theirs = self._objects.get(self._name(path)) if mark else None
        there = _digest(theirs)
        if here != there and there != before and here != before and mine is not None and theirs is not None:
            if is_edited(mine) and is_edited(theirs):
                raise UserError(
                    f"{path} was edited here and on another machine: move it away, and the other's "
                    f"({self._objects.where}/{self._name(path)}) comes in its place, to be edited."
                )
            wins = is_edited(mine) or not is_edited(theirs)
        else:
            wins = here != before and (there == before or theirs is None)
        if here != there and wins:
            return self._give(path, mine)
        if here != there:
            _take(path, theirs)
        if mark is None or there is None:
            return None
        since = known.since if known and known.mark == mark and known.digest == there else time.time()
        return Same(there, mark, since)

    def _give(self, path: Path, content: bytes | None) -> Same | None:
        """Put into the store what is here, or remove there what was removed here."""
        name = self._name(path)
        if content is None:
            self._objects.remove(name)
            self._seen[1].pop(name.removeprefix(f"{FILES}/"), None)
            return None
        self._objects.put(name, content)
        mark = self._seen[1][name.removeprefix(f"{FILES}/")] = self._objects.mark(name)
        return Same(sha256(content).hexdigest(), mark, time.time())

    def _name(self, path: Path) -> str:
        return f"{FILES}/{path.parent.name}/{path.name}"

    def _there(self, changed: bool) -> dict[str, list[int]]:
        """Folder and name of each object -> when it was written, and its size."""
        at, seen = self._seen
        if changed or time.monotonic() - at > FRESH_S:
            seen = self._objects.below(FILES)
            self._seen = (time.monotonic(), seen)
        return seen

    def _known(self, name: str) -> dict[str, Same]:
        """What was the same the last time; nothing where that is lost: then the store and the person win."""
        with suppress(OSError, ValueError, TypeError):
            said = json.loads((self._state / f"{name}.json").read_text(encoding="utf-8"))
            return {file: Same(*same) for file, same in said.items()}
        return {}


def _digest(content: bytes | None) -> str | None:
    return None if content is None else sha256(content).hexdigest()


def _take(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    with files.replacing(path) as file:
        file.write(content)
