"""A map of rows: two main components, and real rows that have no kept row near."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from synth_assets.evaluation.map_of_rows import ALONE, MOST, RowMap, map_of_rows, sample


def encode(texts: Sequence[str]) -> np.ndarray:
    """Two bunches of unit vectors, red and blue; the number of a text moves it a little."""
    found = np.zeros((len(texts), 5))
    for row, text in zip(found, texts, strict=True):
        bunch, number = text.split()
        row[0 if bunch == "red" else 1] = 1
        row[2:] = np.random.default_rng(int(number)).normal(size=3) / 5
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def of(bunch: str, numbers: range) -> list[str]:
    return [f"{bunch} {n}" for n in numbers]


def mapped(**texts: list[str]) -> RowMap:
    found = map_of_rows({"real": [], "kept": [], "dropped": [], **texts}, encode)
    assert found is not None
    return found


def test_real_rows_of_a_bunch_that_no_kept_row_is_in_are_alone() -> None:
    real = of("red", range(40)) + of("blue", range(40, 80))
    found = mapped(real=real, kept=of("red", range(100, 180)), dropped=["blue 500"])
    assert {i for i in found.alone if i >= 40} == set(range(40, 80))
    assert len([i for i in found.alone if i < 40]) <= 4  # by chance
    likeness = found.likeness[list(found.alone)]
    assert (np.diff(likeness) >= 0).all()  # the farthest first
    x = found.places["real"][:, 0]
    assert min(abs(x[:40].mean() - x[40:].mean()), 0.9) == 0.9  # the first direction tells the bunches apart
    series = found.series()
    assert list(series) == ["dropped", "kept", "real", ALONE]
    assert series[ALONE] == [series["real"][i] for i in found.alone]


@pytest.mark.parametrize("kept", [20, 80, 800])
def test_hardly_a_real_row_is_alone_among_as_many_or_more_rows_of_the_same_source(kept: int) -> None:
    found = mapped(real=of("red", range(80)), kept=of("red", range(100, 100 + kept)))
    assert len(found.alone) <= 10


def test_a_map_is_the_same_again_and_in_any_order() -> None:
    real, kept = of("red", range(20)) + of("blue", range(20, 30)), of("blue", range(40, 60))
    first, again = mapped(real=real, kept=kept), mapped(real=real, kept=kept)
    assert first.series() == again.series()
    turned = mapped(real=real[::-1], kept=kept)
    assert np.allclose(turned.places["real"][::-1], first.places["real"])
    assert 0 < first.share <= 1


def test_too_few_rows_have_no_map_and_without_kept_rows_none_is_called_alone() -> None:
    assert map_of_rows({"real": ["red 1"], "kept": ["blue 1"], "dropped": []}, encode) is None
    assert mapped(real=of("red", range(20))).alone == []


def test_what_is_drawn_rests_on_ids_alone() -> None:
    rows = pd.DataFrame(
        {"row_id": [f"r{i}" for i in range(2000)], "text": [f"t{i // 2}" for i in range(2000)]}
    )
    drawn = sample(rows)
    assert len(drawn) == len(set(drawn)) == MOST
    assert sample(rows[::-1]) == drawn
    fewer = sample(rows[~rows["text"].isin(drawn[:10])])
    assert fewer[: MOST - 10] == drawn[10:]
