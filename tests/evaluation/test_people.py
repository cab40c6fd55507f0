"""What people's decisions measure."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synth_assets.annotation.queue import ordered
from synth_assets.evaluation.people import AGREES, NO_TWO, _skipped, alpha, released, verdicts
from synth_assets.evaluation.round import share_of_sample

N = None
# Krippendorff (2011), "Computing Krippendorff's alpha-reliability": observers A to D, units 1 to 12
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]


def test_alpha_is_that_of_the_published_example() -> None:
    units = [[v for v in unit if v is not None] for unit in zip(*PUBLISHED, strict=True)]
    nominal, interval = alpha(units), alpha(units, order=[1, 2, 3, 4, 5])
    assert (nominal.value, interval.value) == (pytest.approx(0.743, abs=1e-3), pytest.approx(0.849, abs=1e-3))
    assert nominal.n == 11
    assert nominal.low is not None
    assert nominal.low < 0.743 < nominal.high < 1.01  # type: ignore[operator]


def test_alpha_says_why_it_is_not_known() -> None:
    assert alpha([["x"], ["y"]]).why == NO_TWO
    same = alpha([["x", "x"]] * 3)
    assert same.value is None
    assert "people say the same of all rows" in same.why


def test_alpha_of_people_who_guess_is_about_nothing() -> None:
    drawn = np.random.default_rng(1).choice(list("abc"), size=(400, 2))
    found = alpha(drawn.tolist())
    assert found.low < 0 < found.high  # type: ignore[operator]


def test_what_people_say_of_pairs_is_the_judges_measure() -> None:
    def row(ids: str, value: str, seen: bool = False) -> dict[str, Any]:
        return {"row_id": ids, "kind": "choice", "value": value, "saw_suggestion": seen}

    said = [row("a/b", "first"), row("c/d", "first"), row("c/d", "second"), row("e/f", "second", seen=True)]
    assert verdicts(pd.DataFrame(said)) == {
        ("a", "b"): 1,
        ("b", "a"): 0,
        ("c", "d"): 0.5,
        ("d", "c"): 0.5,
    }
    assert verdicts(None) == {}


def test_who_looked_before_they_answered_is_missing_as_who_skipped() -> None:
    said = [("a", "label", False), ("b", "label", True), ("c", "skip", False), ("d", "label", False)]
    rows = pd.DataFrame(said, columns=["row_id", "kind", "saw_suggestion"]).assign(draw="random")
    (found,) = _skipped(rows, "label")
    assert found.value == 0.5


@pytest.mark.parametrize(
    ("measured", "fine", "told"),
    [
        (None, False, "Nobody has said whether the labels are right: synth review bank"),
        ((0.95, 0.88, 0.98, 60), True, r"95.0% of the labels \(88.0% to 98.0%, of 60 rows drawn at random\)"),
        ((0.85, 0.7, 0.93, 40), False, "about 156 more such rows tell: synth review bank"),
        ((0.6, 0.5, 0.7, 90), False, "Look at what they say otherwise"),
        ((1.0, None, None, 1), False, "Label more of them"),
    ],
)
def test_a_set_is_released_once_the_whole_interval_reaches_the_target(
    measured: tuple[Any, ...] | None, fine: bool, told: str
) -> None:
    names = ("value", "low", "high", "n")
    line = dict(zip(("name", "slice"), AGREES, strict=True)) | {"reason": "one row has no interval"}
    rows = [] if measured is None else [line | dict(zip(names, measured, strict=True))]
    said, words = released(0.8, rows, "bank")
    assert said is fine
    assert re.search(told, words), words


def test_a_queue_that_begins_with_doubtful_rows_measures_right_by_its_control_alone() -> None:
    """Whoever stops after 100 of 1,000 rows, in 200 queues: the interval of the rows drawn at random has the
    share of right labels as often as it should, and that of all rows that people saw does not."""
    draw = np.random.default_rng(0)
    right = draw.random(1000) < 0.73
    doubt = dict(enumerate(draw.normal(size=1000) - 1.5 * right))  # wrong rows are mostly the doubtful ones
    worth = {f"r{i}": value for i, value in doubt.items()}
    of, hits = {f"r{i}": bool(r) for i, r in enumerate(right)}, []
    for seed in range(200):
        seen = ordered(worth, "confidence", control=0.3, double=0, seed=seed)[:100]
        random = share_of_sample([of[place.row_id] for place in seen if place.draw == "random"])
        everything = share_of_sample([of[place.row_id] for place in seen])
        hits.append([found.low <= right.mean() <= found.high for found in (random, everything)])  # type: ignore[operator]
    by_control, by_all = np.mean(hits, axis=0)
    assert by_control >= 0.93
    assert by_all < 0.05
