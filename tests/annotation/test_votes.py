"""Several people's answers as one."""

from __future__ import annotations

from typing import Any

from synth_assets.annotation.votes import SEEN, Draw, Vote, Word, read, together, votes_of, written
from synth_assets.contracts.decision import text_id
from synth_assets.curation.labels.aggregation import dawid_skene, majority

LABELS = ["negative", "positive"]
CHOSEN, DRAWN = Draw("chosen"), Draw("random", 0.25)


def said(row: str, *answers: Any, draw: Draw = CHOSEN) -> list[Vote]:
    return [Vote(row, f"p{n}", answer, draw) for n, answer in enumerate(answers)]


def test_the_label_that_most_say_is_theirs_together() -> None:
    votes = [*said("a", "positive", "negative", "positive"), *said("b", "negative")]
    assert together(votes, LABELS, "label", majority) == {
        "a": Word("positive", CHOSEN),
        "b": Word("negative", CHOSEN),
    }


def test_of_people_who_are_divided_the_first_ones_word_holds() -> None:
    """A sample without the rows that people are divided about would be one of easy rows."""
    found = together(said("a", "positive", "negative", draw=DRAWN), LABELS, "label", majority)
    assert found == {"a": Word("positive", DRAWN, divided=True)}


def test_who_is_mostly_wrong_counts_less_by_dawid_and_skene() -> None:
    votes = []
    for n in range(40):
        truth = LABELS[n % 2]
        wrong = LABELS[1 - n % 2]
        votes += said(f"r{n}", truth, truth, wrong if n % 4 else truth)
    votes += [Vote("new", "p0", "positive"), Vote("new", "p2", "negative")]
    assert together(votes, LABELS, "label", majority)["new"].divided
    assert together(votes, LABELS, "label", dawid_skene)["new"] == Word("positive", CHOSEN)


def test_where_some_votes_measure_the_others_do_not_count() -> None:
    """Two who saw what the model says, and one who did not, of a row drawn at random."""
    seen = Draw(SEEN)
    votes = [*said("a", "positive", "positive", draw=seen), Vote("a", "blind", "negative", DRAWN)]
    assert together(votes, LABELS, "label", majority) == {"a": Word("negative", DRAWN)}


def test_labels_are_decided_one_by_one_and_spans_by_more_than_half() -> None:
    votes = said("a", ["x", "y"], ["y"], ["y", "z"])
    assert together(votes, ["x", "y", "z"], "labels", majority)["a"].value == ["y"]
    per, loc = [0, 3, "PER"], [8, 14, "LOC"]
    assert together(said("a", [per, loc], [per], [per]), ["PER", "LOC"], "spans", majority) == {
        "a": Word([(0, 3, "PER")], CHOSEN)
    }
    assert together(said("a", [per, loc], [per]), [], "spans", majority)["a"] == Word(
        [(0, 3, "PER"), (8, 14, "LOC")], CHOSEN, divided=True
    )


def test_votes_are_of_rows_that_are_there_and_spans_of_the_text_that_was_read() -> None:
    row = {
        "row_id": "a",
        "person": "ann",
        "kind": "spans",
        "value": '[[0, 3, "PER"]]',
        "draw": "random",
        "probability": 0.5,
        "saw_suggestion": True,
        "text_id": text_id("Ann sings."),
    }
    (vote,) = votes_of([row], "spans", {"a": "Ann sings."})
    assert vote == Vote("a", "ann", [[0, 3, "PER"]], Draw(SEEN))
    assert votes_of([row], "spans", {"a": "Bob sings."}) == []
    assert votes_of([row], "spans", {"b": "Ann sings."}) == votes_of([row], "label", {"a": ""}) == []


def test_values_are_written_so_that_equal_ones_are_equal() -> None:
    assert written("labels", ["b", "a"]) == written("labels", ["a", "b"]) == '["a", "b"]'
    for kind, value in (("label", "x"), ("rating", 3), ("spans", [[0, 1, "X"]]), ("skip", None)):
        assert read(kind, written(kind, value)) == value
