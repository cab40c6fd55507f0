"""What a set gives away: copies, closeness to the seeds, and a signal of which rows the prompts showed."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.curation.likeness.duplicates import ngram_overlap
from synth_assets.curation.likeness.runs import overlap
from synth_assets.evaluation.privacy import (
    auc,
    closer_than_real,
    membership_signal,
    nearest_seed_distance,
    verbatim_overlap,
    whole_copies,
)
from synth_assets.evaluation.similarity import nearest_distances
from tests.evaluation.test_similarity import finite, unit_rows

SEED = "The plot is dull, and the jokes are older than the film itself."


def noisy(rows: np.ndarray, noise: float, seed: int) -> np.ndarray:
    moved = rows + noise * unit_rows(len(rows), rows.shape[1], seed)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def test_copies_and_overlap():
    texts = [
        SEED.upper(),  # case does not matter
        "He said: the plot is dull, and the jokes are new.",  # eight words in a row
        "The plot is dull and the jokes are older.",  # signs are no words
        "Dull.",
        "",
    ]
    sources = [SEED, "dull."]
    copies, shared = whole_copies(texts, sources), verbatim_overlap(texts, sources)
    assert (copies.value, copies.n) == (2 / 5, 5)
    assert shared.value == 4 / 5
    assert 0.3 < shared.low < shared.value < shared.high < 1
    assert verbatim_overlap(texts, sources, n=10).value == 2 / 5
    assert verbatim_overlap(texts[:4], sources, n=99).value == copies.value * 5 / 4


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("I paid, and it was: declined!", "We paid; I paid, and it was: declined!"),  # eight with the signs
        ("don’t know why it says card not accepted", "Don't know why it says card NOT accepted"),
        ("the plot is dull and the jokes are bad", "The plot is dull, and the jokes are old."),
        ("my card did not work in the shop", "my card did not work at the shop"),
        ("它不工作了我的卡", "我的卡它不工作了我的卡。"),
        ("Declined!", "declined"),
        ("!!!", "?!"),
    ],
)
def test_the_filter_of_contamination_and_the_check_of_it_cut_words_alike(text: str, test: str) -> None:
    """Else a row passes the filter for which the check then stops the round."""
    dropped = ngram_overlap([text], [test], n=8) != [0.0]
    assert overlap([text], [test], 8) == ngram_overlap([text], [test], n=8)
    assert (verbatim_overlap([text], [test], n=8).value == 1) == dropped


def test_nothing_to_compare_is_unknown():
    assert whole_copies([], [SEED]).why == "no texts"
    assert verbatim_overlap([SEED], []).why == "nothing to compare with"
    assert verbatim_overlap([""], [SEED, ""]).value == 0


def test_the_closest_rows_are_in_the_lowest_quantile():
    seeds = unit_rows(50)
    rows = np.concatenate([seeds[:10], unit_rows(90, seed=1)])
    distances = np.sort(nearest_distances(rows, seeds))
    assert nearest_seed_distance(rows, seeds).value == 0  # copies
    median = nearest_seed_distance(rows, seeds, quantile=0.5)
    assert median.value == pytest.approx(np.median(distances))
    assert distances[35] < median.low < median.value < median.high < distances[65]


def test_rows_as_new_as_real_ones_are_no_closer_to_the_seeds():
    seeds = unit_rows(200)
    fresh = [closer_than_real(unit_rows(200, seed=s), seeds) for s in range(1, 41)]
    assert np.mean([m.low <= 0.5 <= m.high for m in fresh]) > 0.9
    assert closer_than_real(noisy(seeds, 0.1, 1), seeds).low > 0.9
    here, elsewhere = unit_rows(200, towards=4), unit_rows(200, towards=-4)
    assert closer_than_real(elsewhere, here).high < 0.1


def test_a_set_made_of_some_seeds_tells_them_from_those_held_out():
    real = unit_rows(240)
    shown, held_out = real[:120], real[120:]
    leaking = np.concatenate([noisy(shown[:60], 0.3, 1), unit_rows(300, seed=2)])
    found = membership_signal(leaking, shown, held_out)
    assert 0.6 < found.low < found.value < found.high < 0.9
    copied = membership_signal(shown, shown, held_out)
    assert (copied.value, copied.high) == (1, 1)
    assert 0.95 < copied.low < 1
    nothing = [membership_signal(unit_rows(300, seed=s), shown, held_out) for s in range(1, 41)]
    assert np.mean([m.low <= 0.5 <= m.high for m in nothing]) > 0.9


def test_area_by_hand_and_its_interval():
    assert auc(np.array([3, 1]), np.array([2, 1])).value == (1 + 1 + 0.5) / 4
    # Newcombe (2006) takes it where the variance at the area itself reaches the value
    found = auc(np.arange(40) % 13, np.arange(40) % 9)
    area, n = found.low, 40
    pairs = 1 + (n - 1) * ((1 - area) / (2 - area) + area / (1 + area))
    assert found.value - area == pytest.approx(1.96 * np.sqrt(area * (1 - area) * pairs) / n, rel=1e-4)
    assert auc(np.zeros(5), np.zeros(5)).value == 0.5
    assert auc(np.zeros(5), np.ones(5)).low == 0


def test_intervals_of_an_area_hold_the_truth_about_95_times_in_100():
    draw = np.random.default_rng(0).normal
    found = [auc(draw(1, size=40), draw(0, size=60)) for _ in range(400)]
    truth = 0.7602  # of normals one apart: the normal distribution at 1 / root of 2
    assert 0.92 < np.mean([m.low < truth < m.high for m in found]) < 0.98


def test_odd_sets_have_a_value_or_a_reason():
    same, broken = np.repeat(unit_rows(1), 6, axis=0), unit_rows(6) * np.float32("nan")
    real = unit_rows(20, seed=1)
    for rows in (unit_rows(0), unit_rows(1), same, broken):
        for measure in (nearest_seed_distance, closer_than_real):
            assert finite(measure(rows, real))
            assert finite(measure(real, rows))
        assert finite(membership_signal(rows, real, real))
        assert finite(membership_signal(real, rows, real))
        assert finite(membership_signal(real, real, rows))


def test_measurements_give_the_same_values():
    from synth_assets.evaluation import MembershipSignal, VerbatimOverlap

    overlap = VerbatimOverlap().compute(data=[SEED, "new"], sources=[SEED])
    assert overlap["verbatim_overlap"] == 0.5
    rows, real = unit_rows(20), unit_rows(30, seed=1)
    found = MembershipSignal().compute(data=rows, shown=real[:15], held_out=real[15:])
    expected = membership_signal(rows, real[:15], real[15:])
    assert found["membership_signal"] == expected.value
    assert (found["low"], found["high"]) == (expected.low, expected.high)
