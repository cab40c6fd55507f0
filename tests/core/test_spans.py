"""Spans in a text: marks, places and tags say the same."""

import pytest

from synth_assets.core.text.marks import Span, found, marked, of_tags, tagged, unmarked

ANN = "<person>Ann Lee</person> sings in <place>Oslo</place>."


def test_marks_come_off_and_go_on_again() -> None:
    text, spans = unmarked(f"  {ANN}\n")
    assert text == "Ann Lee sings in Oslo."
    assert spans == [Span("person", 0, 7), Span("place", 17, 21)]
    assert marked(text, spans) == ANN


def test_spaces_inside_of_marks_are_not_marked() -> None:
    assert unmarked("<person> Ann </person>sings 1 < 2") == ("Ann sings 1 < 2", [Span("person", 0, 3)])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<person>Ann sings", "<person> is not closed"),
        ("Ann</person> sings", "</person> stands which was not opened"),
        ("<person>Ann <place>Oslo</place></person>", "<place> stands inside <person>"),
        ("<person> </person>sings", "nothing is marked by </person>"),
    ],
)
def test_marks_that_are_wrong_are_named(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        unmarked(text)


def test_spans_that_are_listed_are_whole_words_first_and_each_has_a_place_of_its_own() -> None:
    text = "Romeo met Rome in Rome"
    assert found(text, [("place", "Rome"), ("place", "Rome"), ("person", "Romeo")]) == [
        Span("person", 0, 5),
        Span("place", 10, 14),
        Span("place", 18, 22),
    ]
    with pytest.raises(ValueError, match="'Paris' does not stand in the text"):
        found(text, [("place", "Paris")])


def test_tags_are_those_of_the_tokens_and_back() -> None:
    words, tags = tagged(*unmarked(ANN))
    assert words == ["Ann", "Lee", "sings", "in", "Oslo", "."]
    assert tags == ["B-person", "I-person", "O", "O", "B-place", "O"]
    text, spans = of_tags(words, tags)
    assert [text[s.start : s.end] for s in spans] == ["Ann Lee", "Oslo"]


def test_a_span_that_begins_or_ends_inside_a_token_cuts_it() -> None:
    words, tags = tagged("pre-Nazi times", [Span("group", 4, 8)])
    assert list(zip(words, tags, strict=True)) == [("pre-", "O"), ("Nazi", "B-group"), ("times", "O")]


def test_a_tag_that_goes_on_with_nothing_begins_a_span_as_in_conlls_script() -> None:
    _, spans = of_tags(["a", "b", "c", "d"], ["I-x", "B-x", "I-y", "O"])
    assert spans == [Span("x", 0, 1), Span("x", 2, 3), Span("y", 4, 5)]
