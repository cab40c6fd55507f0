"""Conditions and steps: what is drawn, what is asked, what becomes of the answers."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from synth_assets.contracts.step import COLUMNS, Work
from synth_assets.core import templates
from synth_assets.core.answer_schema import Schema
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions.table import design
from synth_assets.generation.steps import chain
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage.sources import read_rows
from synth_assets.stages import tables
from synth_assets.stages.feedback import quotas
from synth_assets.stages.support import support

ROUND = "2026-11-22"


@dataclass
class Scripted:
    """A model that answers from a script, one question after the other, and remembers what it was asked."""

    answers: Sequence[Any]
    api: str = "completions"
    asked: list[Any] = field(default_factory=list)
    replicates: list[str] = field(default_factory=list)
    schema: Schema | None = None

    def complete(
        self,
        messages: Iterable[Any],
        sampling: Mapping[str, Any],
        replicates: Iterable[str],
        schema: Schema | None = None,
    ) -> Iterator[Any]:
        self.schema = schema
        for i, (message, replicate) in enumerate(zip(messages, replicates, strict=True)):
            self.asked.append(message)
            self.replicates.append(replicate)
            yield self.answers[i % len(self.answers)]


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
    return support(read_rows(recipe.seeds.file), recipe.seeds, recipe.cells, recipe.seed).rows


def step_rows(step: Any, task: Any, table: pd.DataFrame, seeds: pd.DataFrame, model: Any) -> pd.DataFrame:
    """The rows that one step makes of a condition table."""
    work = Work(table, seeds, task.fields(), model=model)
    made = chain._made(step, work, [*COLUMNS, *step.columns_of(None)], lambda row: None)
    return table.drop(columns=chain.DROPPED).assign(**made)


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
    after = support(more, recipe.seeds, recipe.cells, recipe.seed).rows.set_index("row_id")["split"]
    before = seeds[seeds["label"] == "negative"].set_index("row_id")["split"]
    assert after[before.index].equals(before)


def test_more_rows_leave_the_first_ones_as_they_were(recipe: Recipe, seeds: pd.DataFrame) -> None:
    few, many = conditions(recipe, seeds, rows=4), conditions(recipe, seeds, rows=9)
    pd.testing.assert_frame_equal(few, many.head(4))


def test_a_new_value_moves_only_the_rows_that_take_it(recipe: Recipe, seeds: pd.DataFrame) -> None:
    before = conditions(recipe, seeds, rows=300)
    more = {"label": "labels", "tone": dict.fromkeys(["angry", "calm", "witty", "sad"], 1.0)}
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
    rows = step_rows(recipe.steps["text"], recipe.task, table, seeds, model)
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
    rows = step_rows(recipe.steps["text"], recipe.task, table, seeds, Scripted(said))
    assert rows["text"].fillna("").tolist() == ["good one", "", "cut of", ""]
    assert rows["reason"].fillna("").tolist() == ["", "empty", "truncated", "timed_out"]
    assert rows["error"].fillna("").tolist() == ["", "", "", "60 s"]


def test_a_prompt_is_rendered_when_the_model_takes_it(recipe: Recipe, seeds: pd.DataFrame) -> None:
    table = conditions(recipe, seeds, rows=4).assign(tone=["calm", "calm", "angry", "calm"])
    step = recipe.steps["text"].model_copy(update={"complete": "{{ missing if tone == 'angry' else tone }}"})
    model = Scripted([Said("fine")])
    with pytest.raises(UserError, match="'missing' is undefined"):
        step_rows(step, recipe.task, table, seeds, model)
    assert len(model.asked) == 2


def test_no_answer_is_kept_once_its_row_is_made(recipe: Recipe, seeds: pd.DataFrame) -> None:
    @dataclass
    class Counting(Scripted):
        most: int = 0
        made: list[weakref.ref[Said]] = field(default_factory=list)

        def complete(self, messages: Iterable[Any], *_: Any) -> Iterator[Said]:
            for _message in messages:
                answer = Said("fine")
                self.made.append(weakref.ref(answer))
                self.most = max(self.most, sum(ref() is not None for ref in self.made))
                yield answer
                del answer

    model = Counting([])
    assert (
        len(step_rows(recipe.steps["text"], recipe.task, conditions(recipe, seeds, rows=9), seeds, model))
        == 9
    )
    assert model.most <= 2


OUTPUT = {
    "text": "text",
    "rating": "integer",
    "share": "number",
    "kept": "boolean",
    "mood": ("polite", "angry"),
    "words_used": ("text",),
    "years": ("integer",),
    "shares": ("number",),
    "flags": ("boolean",),
}
FIELDS = {
    "text": " a good film\n",
    "rating": 2**53 - 1,
    "share": 1,
    "kept": False,
    "mood": "angry",
    "words_used": ["good", "film"],
    "years": [1999],
    "shares": [0.5, 1],
    "flags": [],
}


@pytest.fixture
def with_output(recipe: Recipe) -> Recipe:
    step = {"prompt": "A {{ tone }} review?", "output": OUTPUT}
    said = {name: value for name, value in recipe if name in Recipe.model_fields}
    return Recipe.model_validate({**said, "steps": {"text": step}})


def test_the_fields_of_an_answer_become_columns(with_output: Recipe, seeds: pd.DataFrame) -> None:
    said = [Said(json.dumps(FIELDS)), Said(None, "timed_out"), Said(json.dumps({**FIELDS, "share": 0.25}))]
    model, table = Scripted(said), conditions(with_output, seeds, rows=3)
    rows = step_rows(with_output.steps["text"], with_output.task, table, seeds, model)
    assert model.schema == Schema.of(OUTPUT)
    rows = rows.assign(model="m", accepted=rows["reason"].isna())
    arrow = tables.to_arrow(with_output, "generations", rows)
    assert {name: str(arrow.schema.field(name).type) for name in OUTPUT} == {
        "text": "string",
        "rating": "int64",
        "share": "double",
        "kept": "bool",
        "mood": "string",
        "words_used": "list<item: string>",
        "years": "list<item: int64>",
        "shares": "list<item: double>",
        "flags": "list<item: bool>",
    }
    first, failed, last = arrow.select(list(OUTPUT)).to_pylist()
    assert first == FIELDS
    assert set(failed.values()) == {None}
    assert last["share"] == 0.25


def test_an_answer_that_does_not_fit_is_a_row_with_the_reason(
    with_output: Recipe, seeds: pd.DataFrame
) -> None:
    wrong = json.dumps({**FIELDS, "rating": "5"})
    said = [
        Said(wrong),  # even if nobody has looked at it before
        Said(wrong, "invalid", error="the gateway's reason"),
        Said(json.dumps({**FIELDS, "text": " "})),
        Said("{", "truncated"),
    ]
    table = conditions(with_output, seeds, rows=4)
    rows = step_rows(with_output.steps["text"], with_output.task, table, seeds, Scripted(said))
    assert rows["reason"].tolist() == ["invalid", "invalid", "empty", "truncated"]
    assert rows["error"].fillna("").tolist() == [
        'rating is "5", wanted an integer',
        "the gateway's reason",
        "",
        "",
    ]
    assert rows["text"].tolist() == [answer.text for answer in said]  # for whoever wants to see it
    assert rows[[n for n in OUTPUT if n != "text"]].isna().all(axis=None)


def test_a_chat_model_is_told_in_words_to_go_on(recipe: Recipe, seeds: pd.DataFrame) -> None:
    model = Scripted([Said("fine")], api="chat")
    step_rows(recipe.steps["text"], recipe.task, conditions(recipe, seeds), seeds, model)
    assert [m["role"] for m in model.asked[0]] == ["system", "user"]


def test_an_unknown_field_is_an_error_and_not_an_empty_word() -> None:
    with pytest.raises(UserError, match=r"'tune' is undefined.*Known fields: tone"):
        templates.render("a {{ tune }} text", {"tone": "calm"})


def test_an_unknown_field_of_a_demonstration_is_said_with_those_that_it_has() -> None:
    fields = {"tone": "calm", "demonstrations": [{"text": "a film", "label": "good"}]}
    for template in (
        "{% for d in demonstrations %}{{ d.tetx }}{% endfor %}",
        "{{ demonstrations[0]['tetx'] }}",
        "{{ demonstrations | map(attribute='tetx') | join }}",
    ):
        with pytest.raises(
            UserError, match=r"unknown field 'tetx'. Did you mean 'text'\? Known: label, text\.$"
        ):
            templates.render(template, fields)


def test_templates_run_in_a_sandbox() -> None:
    with pytest.raises(UserError, match="cannot be rendered"):
        templates.render("{{ ''.__class__.__mro__[1].__subclasses__() }}", {})


def test_a_cell_that_keeps_little_is_asked_for_more() -> None:
    assert quotas({"a": 0.5, "b": 0.5}, 100) == {"a": 100, "b": 100}
    assert quotas({"a": 0.2, "b": 0.6}, 100) == {"a": 150, "b": 50}
    assert quotas({"a": 0.0, "b": 0.5}, 100) == {"a": 100, "b": 100}
    assert quotas({"a": None, "b": 0.0}, 100) == {"a": 100, "b": 100}
