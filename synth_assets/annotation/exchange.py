"""Decisions in files of other programs, and back: CSV and JSON lines here, others beside.

A reader gives what it could read, and of what it could not where that stands and why. Nothing is taken of a
row that there is not, or that says what the task does not know.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from synth_assets.annotation.votes import read, written
from synth_assets.contracts.decision import BETTER, Decision, text_id
from synth_assets.core.errors import UserError, unknown
from synth_assets.core.identity import tagged_hash
from synth_assets.core.text.cells import bare, guarded
from synth_assets.core.text.utf8 import clean

NAMES = tuple(each.name for each in fields(Decision) if each.name != "recipe")
NUMBERS = ("seconds", "probability")
TEXTS = ("row_id", "round", "person", "kind", "draw", "note", "corrects", "decision_id", "text_id")
WORDS = ("value", "note", "text")  # of which blanks are a part
TRUE = ("true", "1", "yes")
RATINGS = range(1, 5)


class Row(NamedTuple):
    """A row, or a pair, as people read it."""

    texts: tuple[str, ...]
    round: str = ""


@dataclass(frozen=True)
class Of:
    """What a file is of: the recipe, the kind that its people are asked for, the names that they may say, the
    rows; and who says it where the file does not."""

    recipe: str
    kind: str
    names: Sequence[str]
    rows: Mapping[str, Row]
    person: str = ""

    def row(self, row_id: str) -> Row | None:
        """A row, or the pair of two."""
        first, _, second = row_id.partition("/")
        if self.kind != "choice" or not (first in self.rows and second in self.rows):
            return self.rows.get(row_id)
        both = self.rows[first], self.rows[second]
        return Row((*both[0].texts[:1], *both[1].texts[:1]), max(row.round for row in both))


@dataclass
class Read:
    """What a file has: decisions, and of what is not taken where it stands and why."""

    decisions: list[Decision] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)


Make = Callable[[], Iterable[Decision]]


def read_each(items: Iterable[tuple[str, Make]]) -> Read:
    """The decisions of the items, by the places where they stand."""
    found = Read()
    for place, make in items:
        try:
            found.decisions += make()
        except UserError as error:
            found.left.append((place, str(error).removesuffix(".")))
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            found.left.append((place, f"it cannot be read: {type(error).__name__}: {str(error)[:100]}"))
    return found


def made(of: Of, given: Mapping[str, Any]) -> Decision:
    """A decision of what a file says, with what is known besides: the same line gives the same id. UserError
    for what cannot be one."""
    said = {name: given[name] for name in NAMES if given.get(name) is not None}
    said |= {name: clean(str(said[name])) for name in TEXTS if name in said}
    said["saw_suggestion"] = str(said.get("saw_suggestion", "")).lower() in TRUE
    try:
        said |= {name: float(said[name]) for name in NUMBERS if name in said}
    except (TypeError, ValueError):
        raise UserError(f"{' or '.join(NUMBERS)} is no number") from None
    row = of.row(said.setdefault("row_id", ""))
    if row is None and "round" not in said:  # of a line that was exported, its row may be gone
        raise UserError(f"there is no row {said['row_id'][:60]!r}")
    said = {"kind": of.kind, "person": of.person, "round": row.round if row else "", **said}
    if not said["person"]:
        raise UserError("it does not say who decided: add a column person, or say --person NAME")
    if said["kind"] == "rating" and isinstance(value := said.get("value"), float) and value.is_integer():
        said["value"] = int(value)
    if "time" in said:
        said["time"] = moment(str(said["time"]))
    check(of, row, said["kind"], said.get("value"))
    said.setdefault("decision_id", tagged_hash("imported/1", [of.recipe, sorted(said.items())]))
    return Decision(recipe=of.recipe, **said)


def moment(said: str) -> str:
    """A point of time as the store has it."""
    try:
        at = datetime.fromisoformat(said.replace("Z", "+00:00"))
    except ValueError:
        raise UserError(f"{said!r} is no time: write it as in 2026-11-22T09:30:00+00:00") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def check(of: Of, row: Row | None, kind: str, value: Any) -> None:
    """UserError where that is no value of the kind, of this row."""
    if kind in ("skip", "undo"):
        return
    if kind in ("label", "choice"):
        _among("label" if kind == "label" else "choice", [value], of.names if kind == "label" else [*BETTER])
    elif kind == "labels":
        _among("label", _list(value), of.names)
    elif kind == "spans":
        _check_spans(of, row.texts[0] if row else None, _list(value))
    elif kind == "rating" and (type(value) is not int or value not in RATINGS):
        raise UserError(f"{value!r} is no rating: write 1, 2, 3 or 4")
    elif kind == "text" and not (isinstance(value, str) and value.strip()):
        raise UserError("an edited text is empty")


def _among(what: str, said: Sequence[Any], known: Sequence[str]) -> None:
    if other := [name for name in said if name not in known]:
        raise unknown(what, other[0], known)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{value!r} is no list: write it as JSON")
    return value


def _check_spans(of: Of, text: str | None, spans: list[Any]) -> None:
    end = 0
    try:
        ordered = sorted((int(start), int(stop), str(kind)) for start, stop, kind in spans)
    except (TypeError, ValueError):
        raise UserError(f"{spans!r} are no spans: write [[start, end, kind], ...]") from None
    _among("kind", [kind for *_, kind in ordered], of.names)
    for start, stop, kind in ordered:
        if not end <= start < stop <= (stop if text is None else len(text)):
            why = "overlaps another" if start < end else "is outside of the text"
            raise UserError(f"the span {start} to {stop} ({kind}) {why}")
        end = stop


def to_csv(decisions: Iterable[Decision], of: Of) -> str:
    """A decision a line, with its text for people; what a spreadsheet would run or change is guarded."""
    out = io.StringIO()
    table = csv.DictWriter(out, [*NAMES, "text"], lineterminator="\n")
    table.writeheader()
    for decision in decisions:
        cells = {name: getattr(decision, name) for name in NAMES} | {"text": _text(of, decision)}
        cells["value"] = written(decision.kind, decision.value)
        if cells["suggestion"] is not None:
            cells["suggestion"] = json.dumps(decision.suggestion, ensure_ascii=False)
        table.writerow({name: guarded(v) if isinstance(v, str) else v for name, v in cells.items()})
    return out.getvalue()


def _text(of: Of, decision: Decision) -> str | None:
    row = of.row(decision.row_id)
    return row and row.texts[0]


def of_csv(text: str, of: Of) -> Read:
    """Lines with at least `row_id` and `label` (or `value`); one without is not decided yet. UserError for a
    file without these columns."""
    csv.field_size_limit(2**31 - 1)  # a text of a row may be long
    table = csv.DictReader(io.StringIO(text), strict=True)
    try:
        there, lines = list(table.fieldnames or ()), [(table.line_num, row) for row in table]
    except csv.Error as error:
        raise UserError(f"line {table.line_num}: {error}: save it as CSV in UTF-8") from error
    if "row_id" not in there or not {"value", "label"} & {*there}:
        wanted = "wanted the columns row_id and label (or value)"
        raise UserError(f"{wanted}, there are {', '.join(there) or 'none'}")

    def cells(row: Mapping[str, str | None]) -> list[Decision]:
        said = {name: bare(v) for name, v in row.items() if name and isinstance(v, str)}
        plain = {name: v if name in WORDS else bare(v.strip()).strip() for name, v in said.items()}
        return _of_cells({name: value for name, value in plain.items() if value}, of)

    return read_each((f"line {line}", partial(cells, row)) for line, row in lines)


def _of_cells(cells: Mapping[str, str], of: Of) -> list[Decision]:
    said: dict[str, Any] = {"value": cells.get("label"), **cells}
    kind = said.get("kind", of.kind)
    if said["value"] is not None and kind != "text":
        said["value"] = said["value"].strip()
    try:
        said["value"] = read(kind, said["value"])
        said["suggestion"] = json.loads(said.get("suggestion", "null"))
    except ValueError as error:
        raise UserError(f"it cannot be read: {error}") from None
    return _of_line(said, of)


def to_jsonl(decisions: Iterable[Decision], of: Of) -> str:
    """A decision a line, values as they are."""
    lines = ({name: getattr(d, name) for name in NAMES} | {"text": _text(of, d)} for d in decisions)
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def of_jsonl(text: str, of: Of) -> Read:
    """Lines as those of a CSV file."""

    def one(line: str) -> list[Decision]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"it is no JSON: {error}") from None
        if not isinstance(said, dict):
            raise UserError("it is no object: write {...}")
        return _of_line({**said, "value": said.get("value", said.get("label"))}, of)

    lines = ((n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip())
    return read_each((f"line {n}", partial(one, line)) for n, line in lines)


def _of_line(said: dict[str, Any], of: Of) -> list[Decision]:
    """One decision, or none yet. Where nobody noted which text was read, it is the one beside it."""
    if said["value"] is None and said.get("kind") not in ("skip", "undo"):
        return []
    row = of.row(str(said.get("row_id", "")))
    if not said.get("decision_id") and row and isinstance(said.get("text"), str):
        said["text_id"] = text_id(said["text"], *row.texts[1:])
    return [made(of, said)]


def documents(text: str) -> Iterator[tuple[int, Any]]:
    """(number, task) of a JSON list. UserError for what is none."""
    try:
        tasks = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"it is no JSON: {error}") from None
    if not isinstance(tasks, list):
        raise UserError("wanted a list of tasks")
    yield from enumerate(tasks, 1)
