"""`rows: {accepted: 500, at_most: 2000}`: asked for until so many rows pass the filters of a row alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synth_assets.core.asking import Answer
from synth_assets.core.errors import UserError
from synth_assets.core.identity import tagged_hash
from synth_assets.recipe.accepted import Accepted
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages import accepted, conditions, generations, scores
from synth_assets.stages.run import Run
from synth_assets.stages.stage import Made

RECIPE = """
task: {text: review}
conditions: {tone: [angry, calm, witty]}
steps:
  idea: An idea for a {{ tone }} review.
  text: "{{ idea }}: the review."
rows: {accepted: 500, at_most: 20000}
model: generator
filters:
  words: {at_least: 3}
  duplicate: {}
minimum_yield: 0.0
"""


@dataclass
class Scripted:
    """A model that writes three words, or with the rest of the `share` one. `paid` are its calls."""

    share: float
    paid: dict[str, str | None] = field(default_factory=dict)
    outcome: Callable[[int], str] = lambda _: "ok"  # of its calls, by their number
    api: str = "chat"
    name: str = "generator"

    def complete(self, messages: Any, sampling: Any, replicates: Any, schema: Any = None) -> Iterator[Answer]:
        for message, replicate in zip(messages, replicates, strict=True):
            call = tagged_hash("test/1", [message, replicate])
            outcome = "ok" if call in self.paid else self.outcome(len(self.paid))
            if outcome == "ok":
                good = random.Random(call).random() < self.share
                self.paid[call] = call[:9] + (" is fine" if good else "")
            yield Answer(call, outcome, text=self.paid.get(call))


@dataclass
class Scripting(Run):
    """The run of a cell whose model is scripted."""

    asked: Any = None
    said: list[str] = field(default_factory=list)
    cap: str = ""

    def model(self, *_: Any, **__: Any) -> Any:
        return self.asked

    def say(self, words: str) -> None:
        self.said.append(words)

    def held(self) -> str:
        return self.cap


def recipe_of(folder: Path, *edits: tuple[str, str]) -> Recipe:
    text = RECIPE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = folder / "recipes" / "reviews.yaml"
    path.write_text(text)
    (folder / "models.yaml").write_text("generator: {name: strong, base_url: 'http://localhost:1'}")
    return load(path)


def no_seeds() -> Any:
    import pandas as pd

    return pd.DataFrame(columns=["row_id", "text", "split"])


def made(recipe: Recipe, model: Scripted, **more: Any) -> tuple[Made, Scripting]:
    """The stage's rows of a cell."""
    seeds = no_seeds()
    there: Any = {("seeds", ""): seeds}
    run = Scripting(
        recipe, None, SimpleNamespace(encode=None), "2026-11-21", "1", made=there, asked=model, **more
    )  # type: ignore[arg-type]
    return conditions.until_accepted(run, seeds), run


def passing(recipe: Recipe, model: Scripted, rows: Any) -> int:
    """How many of the rows pass `words` once the stages after have made them; they may pay nothing."""
    paid = len(model.paid)
    there: Any = {("seeds", ""): no_seeds()}
    run = Scripting(recipe, None, SimpleNamespace(encode=None), "2026-11-21", "1", made=there, asked=model)  # type: ignore[arg-type]
    before: dict[str, Any] = {}
    for name in recipe.steps:
        stage = generations.stage(recipe, name)
        before[stage.name] = stage.compute(run, conditions=rows, **before).rows
    scored = scores.compute(run, before["generations"], no_seeds()).rows
    assert len(model.paid) == paid
    return int((scored["words"] >= 3).sum())


@pytest.mark.parametrize(("share", "wanted"), [(0.9, 200), (0.3, 100), (0.05, 40)])
def test_a_cell_ends_with_the_row_that_makes_enough(project: Path, share: float, wanted: int) -> None:
    recipe, model = recipe_of(project, ("500", str(wanted))), Scripted(share)
    found, run = made(recipe, model)
    assert passing(recipe, model, found.rows) == wanted
    assert passing(recipe, model, found.rows[:-1]) == wanted - 1
    assert found.numbers["not_needed"] <= 2 / share  # as many as two rows more take
    assert len(model.paid) == 2 * (len(found.rows) + found.numbers["not_needed"])
    (verdict,) = found.verdicts["enough_rows"]
    assert verdict.fine
    assert verdict.words.startswith(f"{wanted} of {wanted} rows passed of {len(found.rows):,} asked for")
    assert len(run.said) < 12


def test_what_was_answered_is_not_paid_again(project: Path) -> None:
    recipe, model = recipe_of(project, ("500", "50")), Scripted(0.5)
    fifty, _ = made(recipe, model)
    paid = dict(model.paid)
    again, _ = made(recipe, model)
    assert model.paid == paid
    assert again.rows.equals(fifty.rows)

    sixty, _ = made(recipe_of(project, ("500", "60")), model)  # ten rows more: the difference
    fresh = Scripted(0.5)
    alone, _ = made(recipe_of(project, ("500", "60")), fresh)
    assert sixty.rows.equals(alone.rows)
    assert sixty.rows[: len(fifty.rows)].equals(fifty.rows)
    assert set(model.paid) == {*paid, *fresh.paid}
    fewer, _ = made(recipe_of(project, ("500", "40")), model)
    assert set(model.paid) == {*paid, *fresh.paid}
    assert fewer.rows.equals(fifty.rows[: len(fewer.rows)])


def test_what_was_killed_goes_on(project: Path) -> None:
    def killed(at: int) -> str:
        if at == 70:
            raise KeyboardInterrupt
        return "ok"

    recipe, model, fresh = recipe_of(project, ("500", "50")), Scripted(0.5, outcome=killed), Scripted(0.5)
    with pytest.raises(KeyboardInterrupt):
        made(recipe, model)
    model.outcome = fresh.outcome
    assert made(recipe, model)[0].rows.equals(made(recipe, fresh)[0].rows)
    assert model.paid == fresh.paid


def test_whole_questions_are_asked(project: Path) -> None:
    sampled = ('text: "{{ idea }}: the review."', 'text: {prompt: "{{ idea }}: the review.", samples: 4}')
    recipe, model = recipe_of(project, ("500", "50"), sampled), Scripted(0.4)
    found, _ = made(recipe, model)
    assert len(found.rows) % 4 == 0
    assert passing(recipe, model, found.rows) >= 50 > passing(recipe, model, found.rows[:-4])


@pytest.mark.parametrize(
    ("edit", "more", "words"),
    [
        (
            ("at_most: 20000", "at_most: 900"),
            {},
            r"2\d\d of 500 rows passed of 900 asked for \(yield 0\.\d\d, 0\.\d\d to 0\.\d\d\); lost by "
            r"words 6\d\d\. rows\.at_most ended it: raise rows\.at_most to about 2,\d00, "
            r"or loosen filters\.words\.",
        ),
        (
            ("at_most: 20000", "at_most: 900"),
            {"cap": "reviews/all: the budget of $2 is spent"},
            r"1\d\d of 500 rows passed of 500 asked for .* It ended there: reviews/all: the budget of \$2 is "
            r"spent\. What was answered is not paid again\.",
        ),
    ],
)
def test_what_ended_it_is_said(project: Path, edit: Any, more: Any, words: str) -> None:
    import re

    found, _ = made(recipe_of(project, edit), Scripted(0.3), **more)
    (verdict,) = found.verdicts["enough_rows"]
    assert not verdict.fine
    assert verdict.blocks
    assert re.fullmatch(words, verdict.words), verdict.words
    assert len(found.rows) == verdict.numbers["asked_for"]


def test_a_cap_that_is_reached_with_the_last_row_ends_nothing(project: Path) -> None:
    found, _ = made(recipe_of(project, ("500", "5")), Scripted(1.0), cap="the budget is spent")
    assert found.verdicts["enough_rows"][0].fine


def test_where_nobody_answers_it_ends(project: Path) -> None:
    model = Scripted(0.5, outcome=lambda at: "ok" if at < 100 else "provider_error")
    found, _ = made(recipe_of(project, ("500", "60")), model)
    (verdict,) = found.verdicts["enough_rows"]
    assert not verdict.fine
    assert "It ended there: the last 20 rows got no answer (provider_error)." in verdict.words


def test_a_batch_is_what_is_missing_at_the_best_yield_that_is_likely() -> None:
    wanted = Accepted(accepted=500, at_most=2000)
    assert accepted.next_batch(0, 0, wanted, 1) == 500
    assert 900 < accepted.next_batch(150, 500, wanted, 1) < 350 / 0.3
    assert accepted.next_batch(25, 500, wanted, 1) == 1500
    assert accepted.next_batch(499, 1000, wanted, 4) == 4


@pytest.mark.parametrize(
    ("old", "new", "place", "why"),
    [
        ("rows:", "design: latin\nrows:", "design", "write balanced, or coverage; or write `rows: 500`"),
        ("rows:", "mode: batch\nrows:", "mode", "which a Batch API has a day later: leave it out"),
        ("rows:", "feedback: {rows: yield}\nrows:", "feedback.rows", "whatever it kept before"),
        ("at_most: 20000", "at_most: 20", "rows.at_most", "500 rows cannot pass where 20 are asked for"),
        (", at_most: 20000", "", "rows.at_most", "is missing"),
        ("rows: {accepted: 500, at_most: 20000}", "rows: many", "rows", "valid integer"),
    ],
)
def test_what_cannot_go_together_is_refused(project: Path, old: str, new: str, place: str, why: str) -> None:
    with pytest.raises(UserError) as refused:
        recipe_of(project, (old, new))
    (mistake,) = refused.value.mistakes
    assert mistake.field == place
    assert why in str(mistake)
