"""Which rows go to people: the least sure, as many as time and money allow."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.annotation.allocation import Budget, Cost, allocate, for_people
from synth_assets.selection.methods import entropies

PERSON = Cost(dollars=0.10, minutes=0.2)


@pytest.mark.parametrize(
    ("budget", "people"),
    [
        (Budget(), 1000),
        (Budget(minutes=60), 300),  # 12 seconds a label
        (Budget(dollars=20), 200),
        (Budget(dollars=20, minutes=30), 150),
        (Budget(dollars=0.05), 0),
    ],
)
def test_people_are_given_what_time_and_money_allow(budget: Budget, people: int) -> None:
    assert for_people(1000, budget, PERSON) == people


def test_people_are_free_where_their_labels_cost_nothing() -> None:
    assert for_people(50, Budget(dollars=1, minutes=1), Cost()) == 50


def test_the_least_sure_rows_come_first_and_those_without_an_answer_before_them() -> None:
    unsure = {"a": 0.0, "b": 1.5, "c": None, "d": 0.7, "e": float("nan")}
    assert allocate(unsure, 4)[2:] == ["b", "d"]
    assert set(allocate(unsure, 2)) == {"c", "e"}
    assert allocate({f"r{i}": 1.0 for i in range(9)}, 3, 1) != allocate(
        {f"r{i}": 1.0 for i in range(9)}, 3, 2
    )


@pytest.mark.parametrize("people", [100, 300, 600])
def test_the_least_sure_rows_are_better_spent_on_than_random_ones(people: int) -> None:
    """Wang et al. 2021, with a model whose confidence is how often it is right."""
    draw = np.random.default_rng(0)
    sure = draw.uniform(0.5, 1, 1000)
    right = draw.random(1000) < sure
    unsure = {f"r{i}": 1 - float(c) for i, c in enumerate(sure)}
    given = [int(name[1:]) for name in allocate(unsure, people)]
    by_chance = draw.permutation(1000)[:people]
    assert (~right[given]).sum() > (~right[by_chance]).sum() * 1.2


def test_a_row_is_unsure_by_the_entropy_of_the_answers_to_several_wordings() -> None:
    shares = np.array([[1, 0, 0], [0.5, 0.5, 0], [4 / 7, 2 / 7, 1 / 7]])
    assert entropies(shares).tolist() == pytest.approx([0, 1, 1.379], abs=1e-3)
