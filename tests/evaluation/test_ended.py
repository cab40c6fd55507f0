"""Why the rounds of a recipe have ended: in a sentence, with the numbers that it rests on."""

from __future__ import annotations

from typing import Any

import pytest

from synth_assets.evaluation.ended import SoFar, ended
from synth_assets.recipe.recipe import Recipe

DAYS = ["2026-11-20", "2026-11-21", "2026-11-22"]
SEEDS = {"file": "none.csv", "splits": {"demonstration": 4, "test": 100}}


def films(rounds: Any, **fields: Any) -> Recipe:
    task = {"classify": {"good": "liked", "bad": "not liked"}}
    said = {"name": "films", "task": task, "seeds": SEEDS, "steps": {"text": "Write."}, "rows": 20}
    return Recipe(**(said | {"rounds": rounds} | fields))


def line(name: str, of: str, *value: float | None) -> dict[str, Any]:
    return dict(zip(("name", "slice", "value", "low", "high"), (name, of, *value), strict=True))


def measured(*low: float | None, name: str = "accuracy") -> dict[str, list[dict[str, Any]]]:
    """Rounds that were changed so, at the least, by the interval; None: it is not known."""
    found = dict[str, list[dict[str, Any]]]()
    for day, least in zip(DAYS, low, strict=False):
        value, high = (None, None) if least is None else (least + 0.02, least + 0.04)
        found[day] = [line(name, "weighted", 0.91, 0.89, 0.93)]
        found[day].append(line(f"{name}_change", "weighted, against it", value, least, high))
    return found


@pytest.mark.parametrize(
    ("rounds", "so_far", "words"),
    [
        (3, {}, "there are 3 of 3 rounds"),
        (4, {}, None),
        ({"until": {"accuracy": 0.89}}, {}, None),  # nothing was measured
        (
            {"until": {"accuracy": 0.88}},
            {"metrics": measured(None, 0.1)},
            "round 2 (2026-11-21): accuracy 0.910 (0.890 to 0.930) reached 0.88",
        ),
        ({"until": {"accuracy": 0.9}}, {"metrics": measured(None, 0.1)}, None),  # the value, not the interval
        ({"until": {"accepted": 5000}}, {"kept": 4999}, None),
        ({"until": {"accepted": 5000}}, {"kept": 5012}, "5,012 rows are kept, of 5,000 that were wanted"),
        ({"until": {"no_gain": 2}}, {"metrics": measured(None, -0.01)}, None),  # the first has no change
        (
            {"until": {"no_gain": 2}},
            {"metrics": measured(None, -0.01, -0.03)},
            "2 rounds in a row have no gain in accuracy: the last one's is -0.010 (-0.030 to +0.010)",
        ),
        ({"until": {"no_gain": 2}}, {"metrics": measured(None, -0.01, 0.01)}, None),
        ({"until": {"no_gain": 2}}, {"metrics": measured(-0.01, None, -0.01)}, None),
        ({"until": {"budget": 5}}, {"spent": 4.99}, None),
        ({"until": {"budget": 5}}, {"spent": 5.02}, "$5.02 are spent, of $5.00"),
        (
            {"until": {"budget": 5}},
            {"spent": 1.0, "unpriced": 12},
            "what 12 calls cost is not known, and the budget is in dollars: write the price of their model "
            "in models.yaml",
        ),
        ({"count": 9, "until": {"no_new_documents": True}}, {"new": {"topic": 1}}, None),
        (
            {"count": 9, "until": {"no_new_documents": True}},
            {"new": {"topic": 0}},
            "round 3 (2026-11-22) has no topic that an earlier round did not have",
        ),
    ],
)
def test_rounds_end_by_their_number_or_by_what_they_came_to(
    rounds: Any, so_far: dict[str, Any], words: str | None
) -> None:
    recipe = films(rounds, conditions={"topic": {"file": "topics.txt"}})
    assert ended(recipe, SoFar(DAYS, **so_far)) == words


@pytest.mark.parametrize(("wanted", "is_reached"), [(0.92, False), (0.94, True)])
def test_of_a_metric_that_is_better_when_it_is_low_the_upper_end_counts(
    wanted: float, is_reached: bool
) -> None:
    recipe = films(
        {"until": {"accuracy": wanted}},
        task={"predict": {"number": "stars"}},
        seeds=SEEDS | {"fields": {"stars": "number"}},
        steps={"text": {"prompt": "Write.", "output": {"text": "text", "stars": "number"}}},
    )
    assert (
        ended(recipe, SoFar(DAYS, {DAYS[0]: [line("rmse", "weighted", 0.91, 0.89, 0.93)]})) is not None
    ) == (is_reached)


def test_without_rounds_nothing_ends() -> None:
    assert ended(films(None), SoFar(DAYS)) is None
    assert ended(films(1), SoFar()) is None
