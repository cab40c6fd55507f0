"""What a round would be worth, and cost, if people labelled less of it, or more."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import pytest

from synth_assets.annotation.queue import drawn
from synth_assets.evaluation.front import NO_RANDOM
from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from synth_assets.report import charts
from synth_assets.report.metrics import metric_sections
from synth_assets.report.pages import Picture
from synth_assets.stages import front

TASK = {"annotate": {"file": "x.csv"}, "classify": {"a": "it is a", "b": "it is b"}}
IDS = [f"r{n}" for n in range(40)]


def recipe(**review: Any) -> Recipe:
    steps = {"text": {"annotate": "answer", "prompts": 5}}
    return inline({"task": TASK, "steps": steps, "model": "m", "review": {"gold": 0, **review}}, "fronts")


def now(drawn: str = "random") -> dict[str, pd.DataFrame]:
    """The model is wrong of each fourth row in the less sure half; people labelled each other row."""
    entropy = [0.0 if n < 20 else 0.5 + n / 100 for n in range(40)]
    made = pd.DataFrame({"row_id": IDS, "entropy": entropy, "confidence": [1 - e / 2 for e in entropy]})
    labels = pd.DataFrame({"row_id": IDS, "machine_label": "a"})
    labels["label"] = ["b" if n >= 20 and n % 4 == 0 else "a" for n in range(40)]
    labels["human_draw"] = [drawn if n % 2 == 0 else None for n in range(40)]
    said = pd.DataFrame({"row_id": IDS[::2], "kind": "label", "seconds": 6.0})
    return {"filtered": made, "labelled": labels, "reviews": said}


def test_the_more_people_label_of_what_is_unsure_the_better_and_the_dearer() -> None:
    lines, numbers = front.of_round(recipe(price=0.5, dollars=6, minutes=60), now())
    told = {(line.name, line.slice): line.value for line in lines}
    assert told["front", "0% by people"] == pytest.approx(0.75)  # of 20 that people labelled, 5 are wrong
    assert told["front", "50% by people"] == told["front", "100% by people"] == 1
    assert told["front_dollars", "50% by people"] == 10
    assert told["front_minutes", "50% by people"] == pytest.approx(2)
    assert numbers["labels_in_budget"] == 12
    ((axis, points),) = numbers["front_in_dollars"].values.items()
    assert axis == "US dollars for labels of people"
    best = [point.name for point in points if point.best]
    assert (best[0], best[-1]) == ("0% by people", "50% by people")  # more costs more, and is no better
    assert charts.svg("front", partial(charts.front, {axis: points})).count("<use") >= len(points)


def test_the_page_of_a_round_shows_it_as_a_table_and_a_picture_for_each_cost() -> None:
    lines, _ = front.of_round(recipe(price=0.5), now())
    metrics = {(line.name, line.slice): (line.value, line.low, line.high, line.n) for line in lines}
    section = next(s for s in metric_sections(metrics, ["a", "b"]) if s.name == "front")
    table, *pictures = section.parts
    assert len(table.rows) == 21
    assert [p.title for p in pictures if isinstance(p, Picture)] == [
        "right labels by minutes of people",
        "right labels by US dollars",
    ]
    assert pictures[0].svg.startswith("<svg")


def test_what_may_stand_is_what_agrees_with_people_as_far_as_the_release_wants() -> None:
    ids = [f"r{n}" for n in range(400)]
    made = pd.DataFrame({"row_id": ids, "entropy": [n / 400 for n in range(400)]})
    labels = pd.DataFrame({"row_id": ids, "machine_label": "a"})
    labels["label"] = ["b" if n >= 200 and n % 2 else "a" for n in range(400)]  # a quarter is wrong
    asked = {*drawn(ids)[:200]}
    labels["human_draw"] = ["random" if row in asked else None for row in ids]
    tables = {"filtered": made, "labelled": labels, "reviews": now()["reviews"]}
    lines, _ = front.of_round(recipe(price=1, agreement={"at_least": 0.9}), tables)
    (line,) = (line for line in lines if line.name == "may_stand")
    assert line.slice == "of 90% as people"
    assert 0.5 <= line.value <= 0.7


@pytest.mark.parametrize("by", ["disagreement", "confidence"])
def test_it_goes_by_what_the_review_goes_by(by: str) -> None:
    unsure = front.unsure_of(recipe(by=by, price=1), now()["filtered"])
    assert unsure is not None
    assert unsure["r39"] == pytest.approx(0.89 if by == "disagreement" else 0.445)


def test_what_is_not_known_says_why() -> None:
    ((line,), _) = front.of_round(recipe(price=1), now("chosen by disagreement"))
    assert (line.value, line.reason) == (None, NO_RANDOM)
    tables = now()
    tables["filtered"] = tables["filtered"].assign(entropy=None, confidence=None)
    ((line,), _) = front.of_round(recipe(price=1), tables)
    assert line.reason == front.NOT_SURE


def test_dollars_without_a_price_are_refused() -> None:
    with pytest.raises(Exception, match="write `price`, too"):
        recipe(dollars=5)
