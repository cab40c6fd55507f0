"""Several answers about a text as one: of numbers, of several labels, of spans."""

from __future__ import annotations

from typing import Any

import pytest

from synth_assets.annotation.answers import Said, together, wanted
from synth_assets.recipe.sections import Task

KINDS = {"person": "a name", "place": "a place"}
NUMBER = {"number": "score"}
LABELS = {"labels": "topics", "of": ["sport", "art", "law"]}
SPANS = {"spans": "marked", "of": KINDS}
TEXT = "Ann met Ola in Oslo"


def agreed(predict: dict[str, Any], *answers: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row, of answers in JSON."""
    of = wanted(Task(predict=predict))  # type: ignore[arg-type]
    return together(of, [Said(of.read(answer, TEXT)) for answer in answers], TEXT)


def test_numbers_agree_on_the_one_in_the_middle() -> None:
    made = agreed(NUMBER, *({"score": n} for n in (3, 9, 4, 4)))
    assert (made["score"], made["confidence"], made["entropy"]) == (4, 0.5, 1.5)


def test_of_labels_those_count_that_most_answers_have() -> None:
    said = (["art", "sport"], ["sport"], ["sport", "law"])
    made = agreed(LABELS, *({"topics": names} for names in said))
    assert made["topics"] == ["sport"]
    assert made["confidence"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="'war' is none of sport, art, law"):
        agreed(LABELS, {"topics": ["war"]})


def test_so_do_spans_which_are_written_as_marks() -> None:
    whole = {"person": ["Ann", "Ola"], "place": ["Oslo"]}
    made = agreed(SPANS, whole, {"person": ["Ann"], "place": []}, whole)
    assert made["marked"] == "<person>Ann</person> met <person>Ola</person> in <place>Oslo</place>"
    assert made["confidence"] == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="'Rome' does not stand in the text"):
        agreed(SPANS, {"person": [], "place": ["Rome"]})


@pytest.mark.parametrize(
    ("answer", "column"), [({"score": 1}, "score"), ({"person": [], "place": []}, "marked")]
)
def test_of_one_answer_it_is_not_known_how_sure_it_is(answer: dict[str, Any], column: str) -> None:
    made = agreed(NUMBER if column == "score" else SPANS, answer)
    assert made[column] == (1 if column == "score" else TEXT)
    assert made["confidence"] is made["entropy"] is None
