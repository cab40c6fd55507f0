"""Decisions in files of other programs, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.annotation import conll, exchange, label_studio
from synth_assets.annotation.exchange import Of, Read, Row
from synth_assets.contracts.decision import Decision, text_id
from synth_assets.core.errors import UserError
from synth_assets.resources.decisions import Decisions

ROWS = {
    "r1": Row(("😀 Ann sings in Oslo.",), "2026-11-21"),
    "r2": Row(("=1+1 is a formula",), "2026-11-21"),
    "r3": Row(("and\tmore", "of two"), "2026-11-22"),
}
LABELS = Of("bank", "label", ["x", "y, z"], ROWS)
TIME = "2026-11-30T10:00:00.000+00:00"


def decision(n: int, row: str, value: Any, kind: str = "label", **more: Any) -> Decision:
    given: dict[str, Any] = {"person": "ann@b.org", "time": TIME, "round": ROWS[row].round} | more
    return Decision(f"d{n}", "bank", row, kind=kind, value=value, **given)


SAID = [
    decision(1, "r1", "x", draw="random", probability=0.1, seconds=2.5, text_id=text_id("other")),
    decision(2, "r1", "y, z", person="007", saw_suggestion=True, suggestion="x"),
    decision(3, "r2", "x", draw="chosen by confidence", note='"so"\n=1'),
    decision(4, "r3", None, "skip"),
    decision(5, "r3", " another\r\ntext\n", "text"),
]
HISTORY = [
    *SAID,
    decision(7, "r2", "long " * 40_000, "text"),
    decision(6, "r2", None, "undo", corrects="d3"),
]


@pytest.mark.parametrize(
    ("to", "back"),
    [(exchange.to_csv, exchange.of_csv), (exchange.to_jsonl, exchange.of_jsonl)],
    ids=["csv", "jsonl"],
)
def test_all_that_was_decided_comes_back_equal(to: Callable[..., str], back: Callable[..., Read]) -> None:
    assert back(to(HISTORY, LABELS), LABELS) == Read(HISTORY)


@pytest.mark.parametrize(
    ("kind", "names", "said"),
    [
        ("label", ["x", "y, z"], SAID),
        ("labels", ["x", "y"], [decision(1, "r1", ["x", "y"], "labels"), decision(2, "r2", [], "labels")]),
        ("rating", [], [decision(1, "r1", 3, "rating")]),
        ("spans", ["PER", "LOC"], [decision(1, "r1", [[2, 5, "PER"], [15, 19, "LOC"]], "spans", person="7")]),
    ],
)
def test_label_studio_gives_back_what_it_was_given(kind: str, names: list[str], said: list[Decision]) -> None:
    of = Of("bank", kind, names, ROWS)
    tasks = label_studio.to_tasks([{"row_id": row} for row in ROWS], said, of, {})
    assert label_studio.of_tasks(tasks, of) == Read(said)


def test_what_label_studio_makes_itself_is_read() -> None:
    """It drops what it does not know, gives people numbers, and counts an emoji as two."""
    of = Of("bank", "spans", ["PER"], ROWS)
    place = {"row_id": "r1", "draw": "random", "probability": 0.5}
    (task,) = json.loads(label_studio.to_tasks([place], [], of, {"r1": [[2, 5, "PER"]]}))
    span = {"start": 3, "end": 6, "text": "Ann", "labels": ["PER"]}
    result = {"from_name": "answer", "to_name": "text", "type": "labels", "value": span}
    assert task["predictions"] == [{"result": [result]}]
    task["annotations"] = [
        {
            "id": 5,
            "completed_by": 10,
            "lead_time": 4.288,
            "created_at": "2021-03-09T22:16:08.728353Z",
            "was_cancelled": False,
            "result": [result],
        }
    ]
    (found,) = label_studio.of_tasks(json.dumps([task]), of).decisions
    assert (found.person, found.seconds, found.time) == ("10", 4.288, "2021-03-09T22:16:08.728+00:00")
    assert (found.value, found.draw, found.saw_suggestion) == ([[2, 5, "PER"]], "random", True)
    assert not found.measures
    again = label_studio.of_tasks(json.dumps([task]), of).decisions
    assert again == [found]


@pytest.mark.parametrize("result", [3, [3], [{"type": "choices"}], [{"type": "choices", "value": {}}]])
def test_an_annotation_that_is_none_is_told(result: Any) -> None:
    task = {"data": {"row_id": "r1"}, "annotations": [{"completed_by": 1, "result": result}, 7]}
    found = label_studio.of_tasks(json.dumps([task, 5]), LABELS)
    assert found.decisions == []
    assert [place for place, _ in found.left] == ["task 1, annotation 1", "task 1, annotation 2"]


def test_the_interface_of_label_studio_has_the_labels() -> None:
    made = label_studio.config(Of("bank", "label", ["x", 'a "b" & <c>'], {}))
    assert "<Choice value='a \"b\" &amp; &lt;c&gt;'/>" in made
    assert '<Text name="text" value="$text"/>' in made


def test_spans_are_conll_and_back() -> None:
    of = Of("bank", "spans", ["PER", "LOC"], ROWS)
    said = [
        decision(1, "r1", [[2, 5, "PER"], [15, 19, "LOC"]], "spans", draw="random", probability=0.5),
        decision(2, "r1", [], "spans", person="bo"),
    ]
    text = conll.to_conll(said, of)
    assert "Ann\tB-PER\nsings\tO" in text
    assert conll.of_conll(text, of) == Read(said)


def test_conll_of_other_programs_is_found_by_its_words() -> None:
    of = Of("bank", "spans", ["PER"], ROWS, person="ann")
    text = (
        "-DOCSTART- -X- O O\n\n😀 O\nAnn NNP B-PER\nsings VBZ O\nin IN O\nOslo NNP O\n. . O\n\nNo O\nrow O\n"
    )
    found = conll.of_conll(text, of)
    assert [(each.row_id, each.value, each.person) for each in found.decisions] == [
        ("r1", [[2, 5, "PER"]], "ann")
    ]
    assert found.left == [("line 10", "no rows have these words: write `# row_id = ID` above them")]


def test_a_file_that_people_filled_in_needs_no_more_than_rows_and_labels() -> None:
    text = "row_id,label,text\nr1,x,as it was\nr2,,\nr9,x,\nr2,q,\n"
    found = exchange.of_csv(text, Of("bank", "label", ["x"], ROWS, person="ann"))
    (decision,) = found.decisions
    assert (decision.row_id, decision.value, decision.draw, decision.person) == ("r1", "x", "chosen", "ann")
    assert decision.text_id == text_id("as it was")
    assert found.left == [
        ("line 4", "there is no row 'r9'"),
        ("line 5", "unknown label 'q'. Known: x"),
    ]
    nobody = exchange.of_csv("row_id,label\nr1,x\n", Of("bank", "label", ["x"], ROWS))
    assert nobody.left == [
        ("line 2", "it does not say who decided: add a column person, or say --person NAME")
    ]


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("labels", "x", "'x' is no list"),
        ("rating", 5, "5 is no rating: write 1, 2, 3 or 4"),
        ("choice", "left", "unknown choice 'left'"),
        ("spans", [[0, 99, "PER"]], "the span 0 to 99 (PER) is outside of the text"),
        ("spans", [[0, 3, "PER"], [2, 5, "PER"]], "the span 2 to 5 (PER) overlaps another"),
        ("spans", [[0, "PER"]], "are no spans"),
        ("text", " ", "an edited text is empty"),
        ("label", "x", "yesterday"),
        ("label", "x", "seconds or probability is no number"),
    ],
)
def test_what_cannot_be_is_told_and_not_taken(kind: str, value: Any, why: str) -> None:
    line = {"row_id": "r1", "kind": kind, "value": value, "person": "ann"}
    line |= {"time": "yesterday"} if why == "yesterday" else {}
    line |= {"seconds": "long"} if "seconds" in why else {}
    names = ["PER"] if kind == "spans" else ["x"]
    found = exchange.of_jsonl(json.dumps(line), Of("bank", kind, names, ROWS))
    assert found.decisions == []
    assert why in found.left[0][1]


@pytest.mark.parametrize(
    ("read", "text", "why"),
    [
        (exchange.of_csv, "id,label\n", "wanted the columns row_id and label"),
        (label_studio.of_tasks, "{}", "wanted a list of tasks"),
        (label_studio.of_tasks, "[" * 100_000, "it is no JSON"),
    ],
)
def test_a_file_of_something_else_is_refused(read: Callable[..., Read], text: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        read(text, LABELS)


ODD = [None, 5, True, "x", [], [1], {"a": 1}, float("nan"), float("inf"), "nan", "\ud800", "0.5", -1, 10**30]


@pytest.mark.parametrize("kind", ["label", "labels", "spans", "rating"])
def test_whatever_a_file_holds_is_told_or_stored_as_it_comes_back(kind: str, tmp_path: Path) -> None:
    of, shape = Of("bank", kind, ["x", "y"], ROWS, "ann"), label_studio.SHAPE[kind]
    value = {"choices": ["x"], "labels": ["x"], "rating": 3, "start": 0, "end": 3}
    results = [{"type": shape, "value": value}, {"type": "textarea", "value": {"text": ["new"]}}]
    note = {"completed_by": 1, "result": results, "lead_time": 1.0, "created_at": TIME}
    task = {"data": {"row_id": "r1", "draw": "random", "probability": 0.3}, "annotations": [note]}
    said = {"label": "x", "labels": ["x"], "spans": [[2, 5, "x"]], "rating": 3}[kind]
    line = {**dict.fromkeys([*exchange.NAMES, "text"]), "row_id": "r1", "value": said}
    found = [d for each in odd(task) for d in label_studio.of_tasks(json.dumps([each]), of).decisions]
    found += exchange.of_jsonl("\n".join(map(json.dumps, odd(line))), of).decisions
    assert len(found) > 20
    store = Decisions(tmp_path / "reviews.sqlite")
    store.append(*(each for each in found if not each.corrects))
    assert store.damage() == ""


def odd(whole: Any) -> Iterator[Any]:
    """What there is, with something else in each of its places."""
    yield from ODD
    each = whole.items() if isinstance(whole, dict) else enumerate(whole) if isinstance(whole, list) else ()
    for name, part in list(each):
        for other in odd(part):
            changed = whole.copy()
            changed[name] = other
            yield changed
