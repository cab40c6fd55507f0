"""Rows and decisions as tasks of Label Studio (its JSON for import and export), and back.

Its places in a text count UTF-16 units, as JavaScript does: an emoji is two.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from xml.sax.saxutils import quoteattr

from synth_assets.annotation.exchange import NAMES, Of, Read, documents, made, read_each
from synth_assets.contracts.decision import Decision, text_id
from synth_assets.core.errors import UserError

OWN = "synth"  # what of a decision has no other place there; Label Studio itself drops it
ANSWER, EDITED = "answer", "edited"  # names of its controls
SHAPE = {"label": "choices", "labels": "choices", "choice": "choices", "spans": "labels", "rating": "rating"}
FROM_DATA = ("draw", "probability", "round")  # what a task says of how it was drawn


def config(of: Of) -> str:
    """The labelling interface that the tasks fit, to be pasted into a project's settings."""
    pairs = any(len(row.texts) > 1 for row in of.rows.values())
    texts = ["first", "second"] if of.kind == "choice" else ["text", "second"] if pairs else ["text"]
    lines = [f'  <Text name="{name}" value="${name}"/>' for name in texts]
    to = f'toName="{texts[0]}"'
    values = ["first", "second", "tie"] if of.kind == "choice" else of.names
    if of.kind == "rating":
        lines.append(f'  <Rating name="{ANSWER}" {to} maxRating="4"/>')
    else:
        tag, one = ("Labels", "Label") if of.kind == "spans" else ("Choices", "Choice")
        several = ' choice="multiple"' if of.kind == "labels" else ""
        lines += [f'  <{tag} name="{ANSWER}" {to}{several}>']
        lines += [f"    <{one} value={quoteattr(value)}/>" for value in values]
        lines += [f"  </{tag}>"]
    if of.kind not in ("choice", "spans"):
        lines.append(f'  <TextArea name="{EDITED}" {to} editable="true" maxSubmissions="1"/>')
    return "\n".join(["<View>", *lines, "</View>"])


def to_tasks(
    drawn: Iterable[Mapping[str, Any]], decisions: Iterable[Decision], of: Of, suggestions: Mapping[str, Any]
) -> str:
    """A task a row (row_id, draw, probability), with what was decided about it; `suggestions` are shown."""
    about: dict[str, list[Decision]] = {}
    for decision in decisions:
        about.setdefault(decision.row_id, []).append(decision)
    tasks = []
    for place in drawn:
        row_id, row = place["row_id"], of.row(place["row_id"])
        if row is None:
            continue
        names = ("first", "second") if of.kind == "choice" else ("text", "second")
        texts: dict[str, Any] = dict(zip(names, row.texts, strict=False))
        shown = suggestions.get(row_id)
        tasks.append(
            {
                "data": texts | {"round": row.round} | dict(place),
                "predictions": [] if shown is None else [{"result": _result(of.kind, shown, row.texts[0])}],
                "annotations": [_annotation(each, row.texts[0]) for each in about.get(row_id, ())],
            }
        )
    return json.dumps(tasks, ensure_ascii=False, indent=1)


def _annotation(decision: Decision, text: str) -> dict[str, Any]:
    person: Any = int(decision.person) if decision.person.isdecimal() else decision.person
    own = {name: value for name in NAMES if (value := getattr(decision, name)) is not None}
    return {
        "unique_id": decision.decision_id,
        "completed_by": {"email": person} if "@" in decision.person else person,
        "lead_time": decision.seconds,
        "created_at": decision.time,
        "was_cancelled": decision.kind == "skip",
        "result": [] if decision.kind == "skip" else _result(decision.kind, decision.value, text),
        OWN: own,
    }


def _result(kind: str, value: Any, text: str) -> list[dict[str, Any]]:
    place = {"from_name": EDITED if kind == "text" else ANSWER, "to_name": "text"}
    if kind == "spans":
        place["type"] = "labels"
        return [
            {**place, "value": {**_units(text, start, end), "text": text[start:end], "labels": [name]}}
            for start, end, name in value
        ]
    place["type"] = "textarea" if kind == "text" else SHAPE[kind]
    key = "text" if kind == "text" else place["type"]
    several = value if kind in ("labels", "rating") else [value]
    return [{**place, "value": {key: several}}]


def _units(text: str, start: int, end: int) -> dict[str, int]:
    def units(part: str) -> int:
        return len(part.encode("utf-16-le", "surrogatepass")) // 2

    return {"start": units(text[:start]), "end": units(text[:end])}


def of_tasks(text: str, of: Of) -> Read:
    """Decisions of the annotations of tasks whose data has `row_id`."""

    def items() -> Iterator[tuple[str, Any]]:
        for number, task in documents(text):
            annotations = task.get("annotations") if isinstance(task, dict) else None
            for n, annotation in enumerate(annotations if isinstance(annotations, list) else (), 1):
                place = f"task {number}, annotation {n}"
                yield place, partial(_taken, task, annotation, of)

    return read_each(items())


def _taken(task: Mapping[str, Any], said: Any, of: Of) -> list[Decision]:
    if not isinstance(said, dict) or not isinstance(task.get("data"), dict):
        raise UserError("it is no annotation of a task with `data`")
    try:
        return list(_decisions(task, said, of))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"it cannot be read: {error!r}") from error


def _decisions(task: Mapping[str, Any], said: Mapping[str, Any], of: Of) -> Iterator[Decision]:
    """The answer of an annotation, and an edited text."""
    data = task["data"]
    row = of.row(str(data.get("row_id", "")))
    if row is None:
        raise UserError(f"there is no row {str(data.get('row_id', ''))[:60]!r}: its data needs `row_id`")
    seen = said.get("parent_prediction") is not None or bool(task.get("predictions"))
    read = [data[name] for name in ("text", "first", "second") if isinstance(data.get(name), str)]
    common = {
        "row_id": data["row_id"],
        "person": _person(said.get("completed_by")) or of.person,
        "seconds": said.get("lead_time"),
        "time": said.get("created_at") or None,
        "saw_suggestion": seen,
        "text_id": text_id(*read),
        **{name: data.get(name) for name in FROM_DATA},
        **(said.get(OWN) or {}),
    }
    if said.get("was_cancelled"):
        yield made(of, {**common, "kind": "skip", **_id(said, "")})
        return
    results = said.get("result") or []
    edited = [r for r in results if r.get("type") == "textarea"]
    answers = [r for r in results if r.get("type") == ("labels" if of.kind == "spans" else SHAPE[of.kind])]
    if other := [r.get("type") for r in results if r not in edited and r not in answers]:
        raise UserError(f"{other[0]!r} is no answer to what people are asked ({of.kind})")
    if edited:
        value = edited[-1]["value"]["text"]
        value = value[0] if isinstance(value, list) else value
        yield made(of, {**common, "kind": "text", "value": value, **_id(said, "text" if answers else "")})
    if answers or (of.kind == "spans" and not edited):
        yield made(
            of, {**common, "kind": of.kind, "value": _value(of, answers, row.texts[0]), **_id(said, "")}
        )


def _id(said: Mapping[str, Any], part: str) -> dict[str, str]:
    """An annotation that Label Studio made has its own id, or else one by what it says."""
    unique = said.get("unique_id")
    return {"decision_id": "/".join(filter(None, [str(unique), part]))} if unique else {}


def _person(by: Any) -> str:
    if isinstance(by, Mapping):
        return str(by.get("email") or by.get("username") or by.get("id") or "")
    return "" if by is None else str(by)


def _value(of: Of, answers: Sequence[Mapping[str, Any]], text: str) -> Any:
    try:
        if of.kind == "spans":
            return sorted(_span(answer["value"], text) for answer in answers)
        said = answers[-1]["value"][SHAPE[of.kind]]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"its result cannot be read: {error}") from None
    if of.kind in ("labels", "rating"):
        return said
    if len(said) != 1:
        raise UserError(f"{', '.join(map(str, said)) or 'nothing'}: one answer is wanted")
    return said[0]


def _span(value: Mapping[str, Any], text: str) -> list[Any]:
    """Of UTF-16 units; where it says other words than stand there, as characters."""
    start, end, (name,) = int(value["start"]), int(value["end"]), value["labels"]
    units = text.encode("utf-16-le", "surrogatepass")
    first = units[: 2 * start].decode("utf-16-le", "ignore")
    words = units[2 * start : 2 * end].decode("utf-16-le", "ignore")
    if value.get("text") in (None, words):
        return [len(first), len(first) + len(words), name]
    if text[start:end] == value["text"]:
        return [start, end, name]
    raise UserError(f"{value['text']!r} does not stand at {start} to {end}: the text is another one")
