"""A structured answer: what fits becomes fields, what does not is an error in words, nothing is mended."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.core.answer_schema import LONGEST, REASON, SHOWN, Schema, SchemaError, correction, kind_of
from synth_assets.core.identity import canonical

REVIEW = Schema.of(
    {
        "text": "text",
        "rating": "integer",
        "share": "number",
        "kept": "boolean",
        "tone": ["polite", "angry"],
        "keywords": ["text"],
        "years": ["integer"],
    }
)
ANSWER = {
    "text": "a good film",
    "rating": 4,
    "share": 0.5,
    "kept": True,
    "tone": "angry",
    "keywords": ["film"],
    "years": [],
}


def test_an_answer_that_fits_is_what_json_says() -> None:
    assert REVIEW.parse(json.dumps(ANSWER)) == ANSWER
    assert REVIEW.parse(f"\n {json.dumps({**ANSWER, 'share': 1})}\n")["share"] == 1


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("text", 3, "text is 3, wanted text"),
        ("text", None, "text is null, wanted text"),
        ("text", "\ud83d", "text has half a character in it"),
        ("keywords", ["\ud83d"], "item 1 of keywords has half a character in it"),
        ("rating", "3", 'rating is "3", wanted an integer'),
        ("rating", 3.0, "rating is 3.0, wanted an integer"),
        ("rating", True, "rating is true, wanted an integer"),
        ("rating", 2**53, "rating is 9007199254740992, wanted a whole number from -9007199254740991 to"),
        ("share", "0.5", 'share is "0.5", wanted a number'),
        ("share", False, "share is false, wanted a number"),
        ("share", 10**400, "share is 1000"),
        ("kept", 1, "kept is 1, wanted true or false"),
        ("kept", "yes", 'kept is "yes", wanted true or false'),
        ("tone", "rude", 'tone is "rude", wanted one of "polite", "angry"'),
        ("tone", ["angry"], "tone is a list, wanted one of"),
        ("keywords", "film", 'keywords is "film", wanted a list of texts'),
        ("keywords", ["film", 3], "item 2 of keywords is 3, wanted text"),
        ("years", [1999, "2000"], 'item 2 of years is "2000", wanted an integer'),
        ("years", {"first": 1999}, "years is an object, wanted a list of integers"),
        ("mood", "calm", "mood is not asked for"),
        ("field_0", "calm", "field_0 is not asked for"),
    ],
)
def test_a_value_of_another_type_is_refused_and_not_converted(field: str, value: Any, reason: str) -> None:
    with pytest.raises(SchemaError) as caught:
        REVIEW.parse(json.dumps({**ANSWER, field: value}))
    assert str(caught.value).startswith(reason)


def test_all_that_is_wrong_is_said_in_one_line() -> None:
    wrong = {**ANSWER, "rating": "4", "tone": "rude"}
    del wrong["kept"]
    with pytest.raises(SchemaError) as caught:
        REVIEW.parse(json.dumps(wrong))
    assert str(caught.value) == (
        'rating is "4", wanted an integer; kept is missing, wanted true or false; '
        'tone is "rude", wanted one of "polite", "angry"'
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "not one JSON object"),
        ("4", "the answer is 4, wanted an object with text: text, rating: an integer"),
        (f"[{json.dumps(ANSWER)}]", "the answer is a list, wanted an object"),
        (f"```json\n{json.dumps(ANSWER)}\n```", "without a code fence"),
        (f"Here it is: {json.dumps(ANSWER)}", "not one JSON object"),
        (json.dumps(ANSWER) * 2, "Extra data"),
        (json.dumps(ANSWER)[:-1], "not one JSON object"),
        ('{"share": NaN}', "NaN is no number"),
        ('{"share": -Infinity}', "-Infinity is no number"),
        ('{"rating": 1, "rating": 2}', "rating is written twice"),
        (json.dumps(ANSWER).replace("0.5", "1e999"), "share is Infinity, wanted a number"),
        (json.dumps(ANSWER).replace("4", "4" * 5_000), "not one JSON object"),
        (json.dumps({**ANSWER, "\ud800": 1}), "wanted an object"),
    ],
)
def test_what_is_not_the_json_object_alone_is_refused(answer: str, reason: str) -> None:
    with pytest.raises(SchemaError) as caught:
        REVIEW.parse(answer)
    assert reason in str(caught.value)
    assert str(caught.value).encode()  # a log can hold it


@pytest.mark.parametrize(
    "answer",
    [
        "[" * 5_000,
        "[" * 5_000 + "]" * 5_000,
        '{"text": ' * 5_000 + "1" + "}" * 5_000,
        "x" * 10_000_000,
        json.dumps({"text": "x" * 10_000_000}),
        json.dumps({"keywords": [1] * 300_000}),
        json.dumps({f"key {i}": i for i in range(50_000)}),
        "{" + ", ".join(f'"key {i}": 1' for i in range(40_000)) + ', "key 39999": 2}',
        json.dumps({**ANSWER, "tone": "x" * 500_000}),
        json.dumps({**ANSWER, "x" * 500_000: 1}),
    ],
    ids=["open", "deep", "deep object", "junk", "long", "many items", "many keys", "twice", "word", "key"],
)
def test_a_monstrous_answer_is_a_short_error(answer: str) -> None:
    with pytest.raises(SchemaError) as caught:
        REVIEW.parse(answer)
    assert len(str(caught.value)) <= REASON


TEXT = st.text(st.characters(), max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
RIGHT = {
    "text": TEXT,
    "rating": st.integers(),
    "share": st.floats() | st.integers(),
    "kept": st.booleans(),
    "tone": st.sampled_from(["polite", "angry"]),
    "keywords": st.lists(TEXT, max_size=3),
    "years": st.lists(st.integers(), max_size=3),
}
NEARLY = st.builds(
    lambda right, other: {**right, **other},
    st.fixed_dictionaries(RIGHT),
    st.dictionaries(st.sampled_from(list(RIGHT)), JSON, max_size=1),
)


@settings(deadline=None)
@given(JSON | NEARLY)
def test_whatever_the_answer_is_its_fields_are_what_json_says_or_there_are_none(value: Any) -> None:
    text = json.dumps(value)
    try:
        parsed = REVIEW.parse(text)
    except SchemaError:
        return
    assert canonical(parsed) == canonical(json.loads(text))  # 1, 1.0 and true are not the same
    assert canonical(parsed).encode()


def test_fields_may_have_names_that_pydantic_uses_itself() -> None:
    names = ["text", "schema", "copy", "json", "model_config", "model_fields", "model_dump"]
    schema = Schema.of(dict.fromkeys(names, "text"))
    answer = dict.fromkeys(names, "x")
    assert schema.parse(json.dumps(answer)) == answer


def test_the_json_schema_is_fixed_because_it_is_part_of_an_identity() -> None:
    schema = Schema.of({"text": "text", "tone": ["polite", "angry"], "n": "integer", "years": ["number"]})
    assert schema.json == {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "tone": {"type": "string", "enum": ["polite", "angry"]},
            "n": {"type": "integer"},
            "years": {"type": "array", "items": {"type": "number"}},
        },
        "required": ["text", "tone", "n", "years"],
        "additionalProperties": False,
    }
    other = Schema.of({"tone": ["polite", "angry"], "text": "text", "n": "integer", "years": ["number"]})
    assert canonical(schema.json) != canonical(other.json)  # the order of the fields is asked for, too


def test_equal_declarations_are_equal_schemas() -> None:
    one, two = (Schema.of({"text": "text", "tone": ["polite", "angry"]}) for _ in range(2))
    assert len({one, two, REVIEW}) == 2


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("integr", "unknown type 'integr'. Did you mean 'integer'?"),
        (3, "a type is one of text, integer, number, boolean, [type] (a list)"),
        ({"type": "text"}, "a type is one of"),
        ([], "a list holds one type"),
        (["polite"], "a list holds one type (text, integer, number, boolean), or two words or more"),
        ([True, False], "True is not a word to YAML"),
        (["1", 2], "2 is not a word to YAML"),
        (["polite", "polite"], "listed twice"),
    ],
)
def test_a_type_that_is_none_is_refused(declared: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        kind_of(declared)


def test_the_instruction_holds_the_schema() -> None:
    words, schema = REVIEW.instruction().split(": ", 1)
    assert "nothing else" in words
    assert json.loads(schema) == REVIEW.json


def test_the_correction_shows_the_answer_and_says_what_is_wrong() -> None:
    asked = [{"role": "user", "content": "a review?"}]
    turns = correction(asked, '{"rating": "4"}', 'rating is "4", wanted an integer')
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[0] == asked[0]
    assert turns[1]["content"] == '{"rating": "4"}'
    assert 'rating is "4", wanted an integer' in turns[2]["content"]


def test_of_a_huge_answer_the_correction_shows_the_beginning_and_says_so() -> None:
    _, shown, again = correction([{"role": "user", "content": "?"}], "x" * LONGEST, "wrong")
    assert len(shown["content"]) == SHOWN
    assert "first 4,000 of 1,000,000 characters" in again["content"]
