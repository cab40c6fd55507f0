"""Filters that hold a text to the other columns of its row: each keeps the good, and says what is wrong."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from synth_assets.core.errors import UserError
from synth_assets.curation.filters.constraints import lemmas
from synth_assets.recipe.load import load
from tests.curation.test_curation import run

TREE = {"words": "tree, hop, story"}
PASSAGE = {"passage": "It was the Eiffel Tower, in Paris.", "text": "Which tower?"}


@pytest.mark.parametrize(
    ("name", "rule", "good", "bad", "why"),
    [
        (
            "mentions",
            {"of": "words"},
            {"text": "Trees! He hopped through stories.", **TREE},
            {"text": "He hopped through a story.", **TREE},
            "lacks the word 'tree'",
        ),
        (
            "spans",
            {"of": "spans"},
            {"text": "Ann met Bob", "spans": ["Ann", "Bob"]},
            {"text": "ann met Bob", "spans": ["Ann", "Bob"]},
            "lacks the span 'Ann'",
        ),
        (
            "evidence",
            {"of": "passage"},
            {"answer": "Eiffel tower!", **PASSAGE},
            {"answer": "Par", **PASSAGE},
            "'Par' is not in passage",
        ),
        (
            "evidence",
            {},
            {"answer": "the England", "text": "It is England's, or Dallas-Fort Worth's."},
            {"answer": "Eng", "text": "It is England's."},
            "'Eng' is not in text",
        ),
        (
            "evidence",
            {},
            {"answer": "25", "text": "A 25-member group"},
            {"answer": "5", "text": "25-member"},
            "",
        ),
        (
            "evidence",
            {},
            {"answer": "北京", "text": "他住在北京的西边"},
            {"answer": "南京", "text": "北京"},
            "",
        ),
        (
            "grounded",
            {"of": "facts"},
            {
                "text": "In 1903 Ada King was born in London.",
                "facts": "Ada Byron King | born in | London, 1903",
            },
            {"text": "Ada King was born in Paris.", "facts": "Ada Byron King | born in | London"},
            "facts does not have Paris",
        ),
        (
            "alternation",
            {},
            {"text": "", "turns": ["hi", "hello", "bye", "ciao"]},
            {"text": "", "turns": ["hi", "hello", "bye", "Hello!"]},
            "turn 4 repeats turn 2",
        ),
        ("alternation", {}, {"text": "", "turns": ["a", "b"]}, {"text": "", "turns": ["a"]}, "not pairs"),
        (
            "field",
            {"of": "rating", "at_least": 4},
            {"text": "", "rating": 4},
            {"text": "", "rating": 3},
            "rating is 3",
        ),
        (
            "ranges",
            {"of": {"age": [18, 99], "price": [1, 100]}},
            {"text": "", "age": 30, "price": 5.0},
            {"text": "", "age": 12, "price": 5.0},
            "age is 12",
        ),
        (
            "arithmetic",
            {},
            {"text": "<<48/2=24>>24, so 24 + 1 = 25, and 2 + 3 * 4 = 14"},
            {"text": "<<48/2=24>>24, so 24 + 1 = 26"},
            "24 + 1 is not 26",
        ),
        (
            "eliminator",
            {"of": "base"},
            {"text": "Name two trees.", "base": "Name a tree."},
            {"text": "name a tree", "base": "Name a tree."},
            "is the same as base",
        ),
        (
            "eliminator",
            {"of": "base"},
            {"text": "Plant it.", "base": ""},
            {"text": "What is it?", "base": "x"},
            "stop words",
        ),
    ],
)
def test_a_constraint_keeps_the_good_and_says_what_is_wrong(
    name: str, rule: dict, good: dict[str, Any], bad: dict[str, Any], why: str
) -> None:
    kept, rejected = run(
        pd.DataFrame([good, bad], index=[0, 1]).assign(row_id=["good", "bad"]), **{name: rule}
    )
    assert list(kept["row_id"]) == ["good"]
    assert why in rejected["reason"].iloc[0]


def test_words_have_base_forms() -> None:
    for form, base in {"cities": "city", "boxes": "box", "making": "make", "hopped": "hop"}.items():
        assert base in lemmas(form)
    assert "gla" not in lemmas("glass")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("mentions: {of: tones}", "Did you mean 'tone'"),
        ("field: {of: tone}", r"column \(double or int64\)"),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_the_alternatives(edit, rule: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(edit("duplicate: {}", rule))
