"""The call log is as whole as the lake, which has a copy of every call behind its rows.

What the log has lost, or holds otherwise than it was stored, comes back from there and is not paid again.
How far the log goes is noted beside the rows of the lake as they are written, and what of budgets is spent.
Only where it goes less far, or does not hold an answer, the two are compared.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.database import chunks
from synth_assets.resources.call_log.log import CallLog, Extent, Why
from synth_assets.resources.call_log.rows import COLUMNS, digest, holds, identity_in
from synth_assets.resources.storage.lake import Lake, Partition

CALLS = "calls"
PLACE = ("used_by", "round", "cell")
QUESTION = ("messages", "parameters", "model", "endpoint")
NOTE = ".calls.json"  # in the lake

Row = Mapping[str, Any]


@dataclass
class Compared:
    """Tables of calls in the lake beside the log; with a row's number in the log, the lake's copy of it."""

    missing: list[Row] = field(default_factory=list)  # from the log
    changed: list[tuple[int, Row]] = field(default_factory=list)  # in the log, by its own digest
    other: list[tuple[int, Row]] = field(default_factory=list)  # than in the log, which has no digest of it
    strange: list[Row] = field(default_factory=list)  # in the lake, by the log's digest
    proven: list[tuple[int, str]] = field(default_factory=list)  # equal in both, and not known to be: digests

    def add(self, copy: Row, stored: Sequence[Row]) -> None:
        """One row of the lake, and all rows that the log has of the same call."""
        seal = copy["digest"]
        equal = [row for row in stored if digest(row) == seal]
        if equal:
            self.proven += [(row["id"], seal) for row in equal if row["digest"] != seal]
            self.changed += [(row["id"], copy) for row in equal if not _asks_the_same(row, copy)]
        elif not stored:
            self.missing.append(copy)
        elif broken := [row for row in stored if not holds(row)]:
            its_own = next((row for row in broken if row["digest"] == seal), broken[-1])
            self.changed.append((its_own["id"], copy))
        elif old := [row for row in stored if row["digest"] is None]:
            self.other.append((old[-1]["id"], copy))
        else:
            self.strange.append(copy)


def _asks_the_same(row: Row, copy: Row) -> bool:
    """Whether the log has the question too, if it is not put away. A copy that is none is not better."""
    if not row["messages"] or all(row[name] == copy[name] for name in QUESTION):
        return True
    return identity_in(row) == row["identity"] or identity_in(copy) != copy["identity"]


def compare(log: CallLog, lake: Lake, recipe: str, place: Partition) -> Compared:
    """One table of calls beside the log. Nothing is found of a file that is missing or damaged."""
    found = Compared()
    for copies in chunks(_copies(lake, recipe, place)):
        stored = log.stored([copy["identity"] for copy in copies])
        for copy in copies:
            found.add(copy, stored.get(copy["identity"], ()))
    return found


def mend(log: CallLog, lake: Lake, why: Why = "opened", old: bool = False) -> None:
    """Put back what the log has lost or holds otherwise, and say so, if there is a reason to look: an answer
    is broken, or the log goes less far than it did. Its rows are counted only where an answer is missing.
    `old`: also rows without a digest that are others in the lake."""
    then = _noted(lake)
    if why == "broken" or _has_lost(log, lake, then, counted=why == "missing"):
        places = ((r, place) for r in lake.recipes() for place in lake.partitions(r, CALLS, PLACE))
        _say(log, sum(_mend(log, lake, recipe, place, old) for recipe, place in places))
        if then and then.budget:
            log.spent(then.budget)
        _write(log.extent(), lake)


def mend_place(log: CallLog, lake: Lake, recipe: str, **only: str) -> None:
    """The same for calls behind these partitions that are not in the log, before they are made again."""
    for place in lake.partitions(recipe, CALLS, PLACE, **only):
        calls: list[str] = []
        with suppress(UserError):  # the file is damaged
            calls = lake.table(recipe, CALLS, place, ["call_id"])["call_id"].to_pylist()
        if not log.has(calls):
            _say(log, _mend(log, lake, recipe, place))


def repair(log: CallLog, lake: Lake) -> None:
    """Mend the log, and take out of it what stands under another identity, where the call is there under its
    own."""
    mend(log, lake, "broken", old=True)
    for wrong in list(log.verify()):
        if wrong.expected not in (None, wrong.identity) and log.has([wrong.expected]):
            log.remove(wrong.id)


def _mend(log: CallLog, lake: Lake, recipe: str, place: Partition, old: bool = False) -> int:
    found = compare(log, lake, recipe, place)
    changed = [*found.changed, *(found.other if old else ())]
    log.restore(found.missing, changed)
    log.prove(found.proven)
    return len(found.missing) + len(changed)


def _say(log: CallLog, back: int) -> None:
    if back:
        what = f"{back:,} calls were missing or changed in the call log {log.name}"
        print(f"note: {what}: they are back from the lake, for nothing.", file=sys.stderr, flush=True)


def note(log: CallLog, lake: Lake) -> None:
    """Write down how far the log goes by now."""
    then = _noted(lake)
    if (now := log.extent(then)) != then:
        _write(now, lake)


def _write(extent: Extent, lake: Lake) -> None:
    if extent.last:
        lake.write_note(NOTE, json.dumps(extent._asdict()))


def _has_lost(log: CallLog, lake: Lake, then: Extent | None, counted: bool) -> bool:
    """Whether the log goes less far than it did, or is another one. Where nothing is noted: whether there is
    anything that it can have lost; a log that is older than notes has lost nothing if no row is missing."""
    now = log.extent(then)
    if then is None:
        if now.old and now.last == now.rows > 0:
            _write(now, lake)
            return False
        return True
    if now.first != then.first or now.last < then.last:
        return True
    return counted and log.count_until(then.last) < then.rows


def _noted(lake: Lake) -> Extent | None:
    """What the last note says; None where there is none that can be read."""
    with suppress(OSError, ValueError, TypeError):
        said = Extent(**json.loads(lake.note(NOTE) or ""))
        budget = [type(amount) for amount in dict(said.budget).values()]
        if [*map(type, said), *budget] == [str, int, int, bool, dict, *[int] * len(budget)]:
            return said
    return None


def _copies(lake: Lake, recipe: str, place: Partition) -> Iterator[Row]:
    """The rows of one table of calls, as the log has them."""
    try:
        table = lake.table(recipe, CALLS, place)
        as_written = lake.is_as_written(recipe, CALLS, place)
    except (UserError, OSError):
        return
    if not as_written:  # `synth verify` says so, and makes it again
        return
    who = {"asset": f"{recipe}/{place['used_by']}", "partition_key": _key(place)}
    for batch in table.to_batches(max_chunksize=1_000):
        for row in batch.to_pylist():
            copy = {name: row.get(name) for name in COLUMNS} | {"identity": row["call_id"], **who}
            yield {**copy, "digest": digest(copy)}


def _key(place: Partition) -> str:
    """The partition, as the log has it."""
    return place["round"] if place["cell"] == "all" else f"{place['cell']}|{place['round']}"
