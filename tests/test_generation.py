"""Conditions and steps: what is drawn, what is asked, what becomes of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from resources.sources import read_rows
from synth_assets.errors import UserError
from synth_assets.generation import prompts, steps
from synth_assets.generation.conditions import design, quotas
from synth_assets.recipe import Recipe, load
from synth_assets.selection.splits import support_set

ROUND = "2026-11-22"


@dataclass
class Scripted:
    """A model that answers from a script and remembers what it was asked."""

    answers: Sequence[Any]
    api: str = "completions"
    asked: list[Any] = field(default_factory=list)
    replicates: list[str] = field(default_factory=list)

    def complete(
        self, messages: Sequence[Any], sampling: Mapping[str, Any], replicates: Sequence[str]
    ) -> list[Any]:
        self.asked += messages
        self.replicates += replicates
        return [self.answers[i % len(self.answers)] for i in range(len(messages))]


@dataclass
class Said:
    text: str | None
    outcome: str = "ok"
    logprobs: Any = None
    identity: str = "id"
    prompt_tokens: int | None = 5
    completion_tokens: int | None = 7
    error: str | None = None


@pytest.fixture
def recipe(project: Path) -> Recipe:
    return load(project / "recipes" / "reviews.yaml")


@pytest.fixture
def seeds(recipe: Recipe) -> pd.DataFrame:
    return support_set(read_rows(recipe.seeds.file), recipe.seeds, recipe.cells, recipe.seed)


def conditions(recipe: Recipe, seeds: pd.DataFrame, cell: str = "negative", rows: int = 6, **changes: Any):
    return design(recipe.model_copy(update=changes), seeds, round_=ROUND, cell=cell, rows=rows)


def test_splits_are_balanced_disjoint_and_leave_the_rest_unlabeled(seeds: pd.DataFrame) -> None:
    assert seeds["split"].value_counts().to_dict() == {
        "demonstration": 4,
        "test": 4,
        "validation": 2,
        "unlabeled": 2,
    }
    assert set(seeds.groupby("split")["label"].nunique()) == {2}
    assert seeds["text"].is_unique


def test_a_row_keeps_its_split_when_rows_are_added_elsewhere(recipe: Recipe, seeds: pd.DataFrame) -> None:
    table = read_rows(recipe.seeds.file)
    more = pd.concat([table, pd.DataFrame({"text": ["new and fresh"], "label": ["positive"]})])
    after = support_set(more, recipe.seeds, recipe.cells, recipe.seed).set_index("row_id")["split"]
    before = seeds[seeds["label"] == "negative"].set_index("row_id")["split"]
    assert after[before.index].equals(before)


def test_more_rows_leave_the_first_ones_as_they_were(recipe: Recipe, seeds: pd.DataFrame) -> None:
    few, many = conditions(recipe, seeds, rows=4), conditions(recipe, seeds, rows=9)
    pd.testing.assert_frame_equal(few, many.head(4))


def test_a_new_value_moves_only_the_rows_that_take_it(recipe: Recipe, seeds: pd.DataFrame) -> None:
    before = conditions(recipe, seeds, rows=300)
    more = {"label": "labels", "tone": ["angry", "calm", "witty", "sad"]}
    after = conditions(recipe, seeds, rows=300, conditions=more)
    moved = before["tone"] != after["tone"]
    assert set(after.loc[moved, "tone"]) == {"sad"}
    assert 40 < moved.sum() < 110  # a quarter, give or take
    assert (before["row_id"] == after["row_id"]).equals(~moved)


def test_values_are_drawn_uniformly(recipe: Recipe, seeds: pd.DataFrame) -> None:
    counts = conditions(recipe, seeds, rows=900)["tone"].value_counts()
    sigma = (900 * (1 / 3) * (2 / 3)) ** 0.5
    assert all(abs(n - 300) < 4 * sigma for n in counts)


def test_demonstrations_have_the_label_of_their_row(recipe: Recipe, seeds: pd.DataFrame) -> None:
    labels = seeds.set_index("row_id")["label"]
    for cell in recipe.cells:
        shown = conditions(recipe, seeds, cell)["demonstration_ids"].explode()
        assert set(labels[shown]) == {cell}


def test_each_row_is_asked_as_a_sample_of_its_own(recipe: Recipe, seeds: pd.DataFrame) -> None:
    model = Scripted([Said("fine")])
    table = conditions(recipe, seeds)
    rows = steps.run(recipe.step, recipe.task, table, seeds, model)
    assert list(rows["row_id"]) == list(table["row_id"])  # whatever the order of asking was
    assert len(set(model.replicates)) == len(table)
    prompt = model.asked[0][0]["content"]
    assert prompt.endswith(tuple(f"negative ({tone}):" for tone in recipe.attributes["tone"]))
    assert prompt.count("negative: ") == 2


def test_what_is_no_answer_is_a_row_with_its_reason(recipe: Recipe, seeds: pd.DataFrame) -> None:
    said = [
        Said(" good one \nmore"),
        Said(""),
        Said("cut of", "truncated"),
        Said(None, "timed_out", error="60 s"),
    ]
    table = conditions(recipe, seeds, rows=4).assign(demonstration_set=0)
    rows = steps.run(recipe.step, recipe.task, table, seeds, Scripted(said))
    assert rows["text"].fillna("").tolist() == ["good one", "", "cut of", ""]
    assert rows["reason"].fillna("").tolist() == ["", "empty", "truncated", "timed_out"]


def test_a_chat_model_is_told_in_words_to_go_on(recipe: Recipe, seeds: pd.DataFrame) -> None:
    model = Scripted([Said("fine")], api="chat")
    steps.run(recipe.step, recipe.task, conditions(recipe, seeds), seeds, model)
    assert [m["role"] for m in model.asked[0]] == ["system", "user"]


def test_an_unknown_field_is_an_error_and_not_an_empty_word() -> None:
    with pytest.raises(UserError, match=r"'tune' is undefined.*Known fields: tone"):
        prompts.render("a {{ tune }} text", {"tone": "calm"})


def test_templates_run_in_a_sandbox() -> None:
    with pytest.raises(UserError, match="cannot be rendered"):
        prompts.render("{{ ''.__class__.__mro__[1].__subclasses__() }}", {})


def test_a_cell_that_keeps_little_is_asked_for_more() -> None:
    assert quotas({"a": 0.5, "b": 0.5}, 100) == {"a": 100, "b": 100}
    assert quotas({"a": 0.2, "b": 0.6}, 100) == {"a": 150, "b": 50}
    assert quotas({"a": 0.0, "b": 0.5}, 100) == {"a": 100, "b": 100}
    assert quotas({"a": None, "b": 0.0}, 100) == {"a": 100, "b": 100}
