"""One sentence on a round: better than the seeds alone or not, which set is best, what to do next."""

from __future__ import annotations

from typing import Any

import pytest

from synth_assets.contracts.measure import Row
from synth_assets.evaluation.verdict import sentence
from synth_assets.recipe.recipe import Recipe

ROUND = "2026-11-22"


def films(**fields: Any) -> Recipe:
    task = {"classify": {"good": "liked", "bad": "not liked"}, "text": "review"}
    return Recipe(**({"name": "films", "task": task, "steps": {"text": "Write."}, "rows": 20} | fields))


def measured(
    gain: tuple[float, float, float], n: int, best: float | None = None, of: str = "weighted"
) -> list[Row]:
    rows = [Row("accuracy", "seeds", 0.6, 0.5, 0.7, n), Row("accuracy", of, 0.6 + gain[0], 0.5, 0.8, n)]
    rows += [Row("accuracy", "real", 0.99, 0.9, 1.0, n), Row("accuracy_gain", of, *gain, n)]
    return rows if best is None else [*rows, Row("accuracy", "filtered", best, 0.5, 0.8, n)]


def said(recipe: Recipe, rows: list[Row]) -> str:
    return sentence(recipe, [row._asdict() for row in rows], ROUND)


def test_a_set_that_is_better_is_to_be_trained_on() -> None:
    assert said(films(), measured((0.05, 0.01, 0.09), 400)) == (
        "The set is better than the seeds alone on 400 test rows: accuracy of weighted 0.650, +0.050 (+0.010 "
        "to +0.090) against the seeds; it is the best of the sets; next: synth export films --to DIR."
    )


def test_where_seeds_weigh_the_set_is_with_them_and_another_set_may_be_best() -> None:
    recipe = films(weights={"by": "none", "seeds": 0.25})
    words = said(recipe, measured((-0.1, -0.15, -0.05), 400, best=0.7, of="seeds + weighted"))
    assert words.startswith("The set is worse than the seeds alone on 400 test rows: accuracy of seeds + ")
    assert "the best set there is filtered (0.700)" in words
    assert words.endswith("next: change filters, and see what filters do by synth tune films.")
    alone = said(recipe, measured((-0.1, -0.15, -0.05), 400, of="seeds + weighted"))
    assert "the best set there is seeds (0.600); next: change steps or conditions" in alone


def test_where_the_seeds_are_part_of_the_set_they_are_exported_with_it() -> None:
    recipe = films(weights={"by": "none", "seeds": 0.25})
    words = said(recipe, measured((0.05, 0.01, 0.09), 400, of="seeds + weighted"))
    assert words.endswith("next: synth export films --to DIR --seeds.")


def test_a_test_set_that_is_too_small_is_said_with_the_rows_that_would_tell() -> None:
    words = said(films(), measured((0.083, -0.25, 0.416), 12))
    assert words.startswith("It cannot be told with 12 test rows whether the set is better than the seeds")
    assert words.endswith("next: about 200 test rows would tell a gain of that size (seeds.splits.test).")
    same = said(films(), measured((0.0, -0.24, 0.24), 12))
    assert same.endswith("next: more test rows, 12 tell gains beyond 0.24 only (seeds.splits.test).")
    worse = said(films(), measured((-0.05, -0.125, 0.01), 40))
    assert "80 test rows would tell a loss of that size" in worse
    tiny = said(films(), measured((0.0001, -0.02, 0.02), 2000))
    assert tiny.endswith("next: more rows, or other steps and filters (synth tune films).")


def test_weights_that_cost_accuracy_are_what_to_change_first() -> None:
    rows = [*measured((0.05, 0.01, 0.09), 400), Row("weights_gain", "weighted", -0.1, -0.15, -0.05, 400)]
    assert said(films(), rows).endswith("next: other weights, these cost 0.100 (weights: {by: none}).")


def test_a_task_of_texts_is_told_by_a_model_that_is_shown_rows() -> None:
    recipe = films(task={"text": "question"})
    rows = [Row("in_context_token_f1", of, f1, n=50) for of, f1 in (("seeds", 0.5), ("filtered", 0.55))]
    rows.append(Row("in_context_gain", "filtered", 0.05, 0.02, 0.08, 50))
    words = said(recipe, rows)
    assert words.startswith(
        "The set is better than the seeds alone on 50 test rows: token f1 of filtered 0.5"
    )


ANSWERS = films(
    task={"text": "question"},
    seeds={"file": "seeds.csv", "splits": {"test": 4}},
    metrics={"in_context": {"answer": "text", "by": "exact_match", "prompt": "Write a question."}},
)


@pytest.mark.parametrize(
    ("recipe", "rows", "why"),
    [
        (films(), [], f"nothing was measured; next: synth run films --round {ROUND}."),
        (
            films(metrics={"student": False}),
            [Row("yield", "all", 1.0)],
            "metrics.student is off; next: metrics: {student: true}.",
        ),
        (films(), [Row("yield", "all", 1.0)], "the seeds have no test rows; next: seeds.splits.test."),
        (
            films(),
            [Row("accuracy", "seeds", None, reason="no row is labelled bad")],
            f"seeds: no row is labelled bad; next: mend that, then synth run films --round {ROUND}.",
        ),
        (
            films(task={"text": "note"}),
            [Row("yield", "all", 1.0)],
            "no metric tests it; next: metrics.in_context.",
        ),
        (
            ANSWERS,
            [Row("in_context_gain", "filtered", None, reason="no row was answered with both")],
            "no row was answered with both; next: more seeds (seeds.splits).",
        ),
    ],
    ids=["nothing", "no student", "no test rows", "unknown", "no labels", "no answers"],
)
def test_what_is_not_known_says_why_and_what_helps(recipe: Recipe, rows: list[Row], why: str) -> None:
    assert said(recipe, rows) == f"Whether the set is better than the seeds alone is not known: {why}"
