"""The cascade keeps its promise, whatever the confidences are worth, for fewer calls of the dear
annotator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from synth_assets.annotation.cascade import USUAL, Order, Promise, next_rows, ordered

Rows = tuple[np.ndarray, np.ndarray]  # (n,) confidence, and whether the dear annotator agrees
Draw = Callable[[np.random.Generator, int], Rows]


def calibrated(draw: np.random.Generator, n: int) -> Rows:
    sure = draw.beta(6, 0.6, n)
    return sure, draw.random(n) < sure


def no_use(draw: np.random.Generator, n: int) -> Rows:
    return draw.random(n), draw.random(n) < 0.945  # a little too bad to be taken whole


def upside_down(draw: np.random.Generator, n: int) -> Rows:
    sure = draw.random(n)
    return sure, draw.random(n) < 0.99 - 0.2 * sure


def all_alike(draw: np.random.Generator, n: int) -> Rows:
    return np.ones(n), draw.random(n) < 0.93


def just_too_bad(draw: np.random.Generator, n: int) -> Rows:
    """As many differ as break the promise, by one, and they are all among the surest."""
    sure = np.sort(draw.random(n))[::-1]
    agrees = np.ones(n, dtype=bool)
    agrees[draw.permutation(n // 2)[: n // 20 + 1]] = False
    return sure, agrees


def cascade(rows: Rows, seed: int = 0, promise: Promise = USUAL) -> tuple[float, float]:
    """Share of labels that the dear annotator would have given otherwise, and share of rows that it is asked
    of."""
    sure, agrees = rows
    names = [f"r{i}" for i in range(len(sure))]
    draw = np.random.default_rng(seed)
    surest = [names[i] for i in np.lexsort((draw.random(len(sure)), -sure))]
    order = Order(surest, [names[i] for i in draw.permutation(len(sure))])
    truth = dict(zip(names, map(bool, agrees), strict=True))
    asked: dict[str, bool] = {}
    while (found := next_rows(order, asked, promise)).ask:
        assert not asked.keys() & set(found.ask)  # nobody is asked twice
        asked |= {name: truth[name] for name in found.ask}
    taken = set(found.taken) - asked.keys()
    return sum(not truth[name] for name in taken) / len(names), 1 - len(taken) / len(names)


@pytest.mark.parametrize("kind", [calibrated, no_use, upside_down, all_alike, just_too_bad])
def test_in_200_sets_the_promise_is_broken_in_one_of_20_at_the_most(kind: Draw) -> None:
    found = [cascade(kind(np.random.default_rng(seed), 400), seed) for seed in range(200)]
    broken = sum(differ > 0.05 + 1e-9 for differ, _ in found)
    assert broken <= 10 + 2 * 3.1  # .05 of 200, and twice the standard error of that
    assert np.mean([asked for _, asked in found]) < 1


@pytest.mark.parametrize(
    ("kind", "asked"), [(calibrated, 0.5), (lambda d, n: (d.random(n), d.random(n) < 0.985), 0.4)]
)
def test_the_better_the_cheap_annotator_the_less_the_dear_one_is_asked(kind: Draw, asked: float) -> None:
    found = [cascade(kind(np.random.default_rng(seed), 1000), seed)[1] for seed in range(20)]
    assert np.mean(found) < asked


@pytest.mark.parametrize("n", [1, 2, 19, 20, 60])
def test_of_few_rows_the_promise_holds_too(n: int) -> None:
    found = [cascade(no_use(np.random.default_rng(seed), n), seed) for seed in range(60)]
    assert sum(differ > 0.05 + 1e-9 for differ, _ in found) <= 3 + 2 * 1.7


def test_whose_labels_are_all_wrong_is_taken_nowhere() -> None:
    differ, asked = cascade((np.linspace(0, 1, 500), np.zeros(500, dtype=bool)))
    assert (differ, asked) == (0, 1)


def test_a_target_of_1_allows_no_other_label() -> None:
    rows = np.linspace(0, 1, 200), np.arange(200) != 7
    differ, asked = cascade(rows, promise=Promise(1.0, 0.05))
    assert differ == 0
    assert asked > 0.9


def test_without_rows_nothing_is_asked() -> None:
    assert next_rows(ordered({}), {}) == ([], [])


def test_rows_without_a_label_are_never_taken_and_one_order_serves_all_who_ask() -> None:
    sure = {f"r{i}": None if i % 4 == 0 else 0.9 + i / 1e4 for i in range(400)}
    order = ordered(sure, "round 1")
    assert order == ordered(dict(reversed(sure.items())), "round 1")
    agrees: dict[str, bool] = {}
    while (found := next_rows(order, agrees)).ask:
        agrees |= dict.fromkeys(found.ask, True)
    assert found.taken
    assert not any(sure[name] is None for name in found.taken)
    assert next_rows(order, agrees | dict.fromkeys(order.drawn[-5:], False)).taken == found.taken


def test_among_rows_of_one_confidence_others_are_taken_first_than_are_drawn_first() -> None:
    order = ordered(dict.fromkeys((f"r{i}" for i in range(200)), 1.0))
    assert len({*order.surest[:50]} & {*order.drawn[:50]}) < 25
