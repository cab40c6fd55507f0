"""The section `rounds`: its short form, and what it cannot mean."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from synth_assets.recipe.recipe import Recipe


def films(**fields: Any) -> Recipe:
    said: dict[str, Any] = {
        "name": "films",
        "task": {"classify": {"good": "liked", "bad": "not liked"}},
        "seeds": {"file": "seeds.csv", "splits": {"demonstration": 4, "test": 100}},
        "steps": {"text": "Write about {{ topic }}."},
        "conditions": {"topic": {"file": "topics.txt"}},
        "rows": 20,
    }
    return Recipe(**(said | fields))


def test_a_number_is_how_many_and_nothing_rests_on_it() -> None:
    short, long = films(rounds=5), films(rounds={"count": 5, "until": {"accuracy": 0.9}})
    assert short.rounds == films(rounds={"count": 5}).rounds
    assert films().rounds is None
    assert "rounds" not in long.model_dump()  # so that it is part of no version


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rounds": {}}, "it says no end: write `count`"),
        ({"rounds": {"until": {}}}, "it says no end"),
        ({"rounds": True}, "cannot be True: write its fields, as in {count: ...}"),
        ({"rounds": 0}, "greater than or equal to 1"),
        ({"rounds": {"until": {"accuracy": 90}}}, "it is a share: write a number above 0"),
        (
            {"rounds": {"until": {"no_gain": 2}}, "seeds": {"file": "s.csv", "splits": {"demonstration": 4}}},
            "there are no test rows: write how many as seeds.splits.test",
        ),
        (
            {"rounds": {"until": {"accuracy": 0.9}}, "metrics": {"student": False}},
            "metrics.student is off, and so nothing measures it",
        ),
        (
            {"rounds": {"until": {"no_new_documents": True}}, "conditions": {"topic": ["law"]}},
            "no condition is of a file",
        ),
        (
            {"rounds": 30, "schedule": {"cron": "0 2 * * *", "keep": 7}},
            "rounds that `synth clean` removes count no more (rounds.count): write 30 or more",
        ),
        (
            {"rounds": {"until": {"accepted": 401}}, "schedule": {"cron": "0 2 * * *", "keep": 10}},
            "removes count no more (rounds.until.accepted): write 11 or more",
        ),
        (
            {"rounds": {"until": {"budget": 5}}, "schedule": {"cron": "0 2 * * *", "keep": 10}},
            "nor what they cost (rounds.until.budget): leave it out, or write rounds.count",
        ),
        (
            {"rounds": {"until": {"no_gain": 3}}, "schedule": {"cron": "0 2 * * *", "keep": 2}},
            "removes count no more (rounds.until.no_gain): write 3 or more",
        ),
    ],
)
def test_an_end_that_cannot_be_known_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as error:
        films(**fields)
    assert words in str(error.value)
