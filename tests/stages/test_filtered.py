"""What filters over a round look at."""

from __future__ import annotations

from typing import Any

from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages import filtered


def recipe_of(**more: Any) -> Recipe:
    fields = {
        "age": "integer",
        "mood": ["calm", "angry"],
        "note": "text",
        "tags": ["text"],
        "fine": "boolean",
    }
    output = {"text": "text", "age": "integer", "mood": ["calm", "angry"], "note": "text", "tags": ["text"]}
    recipe = {
        "task": {"classify": {"low": "earns little", "high": "earns much"}},
        "seeds": {"file": "a.csv", "fields": fields, "splits": {"demonstration": 60}},
        "steps": {"text": {"prompt": "x", "output": output | {"fine": "text", "size": "number"}}},
        "rows": 9,
    }
    return inline(recipe | more, "made")


def test_fields_of_one_type_that_rows_and_seeds_share_are_typed() -> None:
    assert filtered.typed(recipe_of()) == {"age": "integer", "mood": ("calm", "angry")}
    fields = {"age": "integer", "label": ["low", "high"]}
    seeds = {"file": "a.csv", "label": "label", "fields": fields, "splits": {"demonstration": 60}}
    assert filtered.typed(recipe_of(seeds=seeds)) == {"age": "integer"}


def test_seeds_are_read_where_a_filter_may_learn_them() -> None:
    def reads(**filters: Any) -> list[str]:
        return list(filtered.stage(recipe_of(filters=filters)).reads)

    assert reads(words={}) == ["generations", "scores"]
    assert reads(learning_dynamics={"taught_by": "round"}) == ["generations", "scores"]
    assert reads(learning_dynamics={}) == ["generations", "scores", "seeds"]
