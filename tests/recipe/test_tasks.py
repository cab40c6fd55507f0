"""What a recipe says that is learned of a row; what means nothing for it is refused."""

from typing import Any

import pytest

from synth_assets.core.errors import UserError
from synth_assets.recipe.load import inline
from synth_assets.recipe.target import TargetLabels, TargetNumber, TargetSpans

LABELS = {"classify": {"no": "it is not", "yes": "so it is"}}
NUMBER = {"predict": {"number": "score"}}
SPANS = {"predict": {"spans": "marked", "of": ["person"]}}
SCORED: dict[str, Any] = {"conditions": {"score": [1, 2]}}


def recipe(task: dict[str, Any], **more: Any) -> Any:
    return inline({"task": task, "steps": {"text": "Write."}, "rows": 4, **more}, "guide")


@pytest.mark.parametrize(
    ("task", "more", "field", "why"),
    [
        ({**LABELS, "pair": "premise"}, {}, "task.pair", "unknown column of texts"),
        (
            {**LABELS, "pair": "score"},
            {**SCORED, "seeds": {"file": "a.csv", "splits": {"test": 2}}},
            "task.pair",
            "add score to seeds.fields",
        ),
        ({"ordered": True}, {}, "task.ordered", "write them as `task.classify`"),
        ({**LABELS, **NUMBER}, SCORED, "task.predict", "leave out `classify` or `predict`"),
        (NUMBER, {}, "task.predict.number", "unknown column"),
        ({"predict": {**SPANS["predict"], "spans": "text"}}, {}, "task.predict.spans", "unknown column"),
        (
            {"predict": {"score": 3}},
            {},
            "task.predict",
            "`number: COLUMN`, `labels: COLUMN`, `spans: COLUMN`",
        ),
        (
            NUMBER,
            {**SCORED, "filters": {"label_agreement": {}}},
            "filters",
            "label_agreement needs one label a row",
        ),
        (
            NUMBER,
            {**SCORED, "labelled": {"by": "confident_learning"}},
            "labelled",
            "values stay as they were made",
        ),
        (NUMBER, {**SCORED, "weights": {"by": "confidence"}}, "weights", "by none and by field"),
        (NUMBER, {**SCORED, "metrics": {"model_alone": 3}}, "metrics", "student, truth, in_context"),
        (NUMBER, {**SCORED, "student": {"by": "softmax"}}, "student.by", "Known: boosting, logistic"),
        (NUMBER, {**SCORED, "student": {"soft": True}}, "student", "are of one label a row"),
        ({}, {"filters": {"target": {}}}, "filters.target", "`task.predict`"),
        (
            {**SPANS, "pair": "score"},
            {"conditions": {"score": [1, 2], "marked": ["a", "b"]}},
            "task.pair",
            "spans stand in one text",
        ),
    ],
)
def test_what_means_nothing_is_refused(task: Any, more: Any, field: str, why: str) -> None:
    with pytest.raises(UserError) as caught:
        recipe(task, **more)
    found = {mistake.field: mistake.message for mistake in caught.value.mistakes}
    assert any(place.endswith(field) and why in words for place, words in found.items()), found


def test_values_are_read_whatever_they_are_written_as() -> None:
    number, labels = TargetNumber(number="score"), TargetLabels(labels="topics", of=["a", "b"])
    assert [number.read({"score": v}) for v in ("3", 3, 3.5, None, "")] == [3.0, 3.0, 3.5, None, None]
    assert [labels.read({"topics": v}) for v in ("b, a", ["a"], '["b"]', [], None)] == [
        ["a", "b"],
        ["a"],
        ["b"],
        [],
        None,
    ]
    spans = TargetSpans(spans="spans", kinds="kinds", of=["person"])
    row = {"text": "Ann sings", "spans": ["Ann"], "kinds": ["person"]}
    assert spans.stored(row) == "<person>Ann</person> sings"
    assert spans.read({**row, "spans": spans.stored(row)}) == spans.read(row)
    indented = {"text": " Ann sings", "spans": "<person>Ann</person> sings"}
    assert spans.stored(indented) == " <person>Ann</person> sings"


@pytest.mark.parametrize(
    ("target", "row", "why"),
    [
        (TargetNumber(number="score"), {"score": "many"}, "'many' is no number"),
        (TargetLabels(labels="topics", of=["a"]), {"topics": ["z"]}, "'z' is none of a"),
        (TargetLabels(labels="topics", of=["a"]), {"topics": "[" * 9_999}, "is no list in JSON"),
        (
            TargetSpans(spans="m", kinds="k", of=["x"]),
            {"text": "a", "m": [None], "k": ["x"]},
            "None does not stand",
        ),
        (TargetSpans(spans="m", of=["x"]), {"text": "a b", "m": "<x>a</x> c"}, "it is not the text"),
        (TargetSpans(spans="m", of=["x"]), {"text": "a", "m": "<y>a</y>"}, "'y' is none of x"),
        (
            TargetSpans(spans="m", kinds="k", of=["x"]),
            {"text": "a", "m": ["a"], "k": []},
            "not as many kinds",
        ),
        (
            TargetSpans(spans="m", kinds="k", of=["x"]),
            {"text": "a <b>", "m": ["a"], "k": ["x"]},
            "has <b> in it",
        ),
    ],
)
def test_a_value_that_cannot_be_read_says_why(target: Any, row: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        target.read(row)
    assert target.known_of(row) is None


def test_what_is_learned_enters_the_versions_that_rest_on_it_and_no_others() -> None:
    plain, paired = recipe(LABELS, **SCORED), recipe({**LABELS, "pair": "score"}, **SCORED)
    ordered = recipe({**LABELS, "ordered": True}, **SCORED)
    rest_on_it = ("seeds", "scorers", "filters", "labelled", "weights", "metrics")
    assert all(plain.version(part) != paired.version(part) for part in rest_on_it)
    assert plain.version("metrics") != ordered.version("metrics")
    for other in (paired, ordered):
        others = ("conditions", "codebook", "steps.text", "annotator", "labels")
        assert all(plain.version(part) == other.version(part) for part in others)
