"""Diversity of vectors, and their distance to real ones: values by hand, references, known orders."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
import pytest

from synth_assets.contracts.measured import Measured
from synth_assets.evaluation import similarity
from synth_assets.evaluation.similarity import (
    centroid_distance,
    chamfer_distance,
    cluster_coverage,
    divergence_area,
    mauve,
    nearest_distance,
    nearest_distances,
    pairwise_similarity,
    remote_clique,
    vendi_score,
)

GOLD = Path(__file__).parents[3] / "shared/data/gold_text"
OF_ONE_SET = [pairwise_similarity, centroid_distance, remote_clique, vendi_score]
OF_TWO_SETS = [nearest_distance, chamfer_distance, lambda a, b: cluster_coverage(a, b)[0], mauve]


def unit_rows(n: int, d: int = 8, seed: int = 0, towards: float = 0.0) -> np.ndarray:
    """Rows of length 1, in float32; around the first axis where `towards` is large."""
    rows = np.random.default_rng(seed).normal(size=(n, d))
    rows[:, 0] += towards
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def encode(texts: Sequence[str]) -> np.ndarray:
    """Counts of words, hashed into 256 places, of length 1."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=256).transform(texts).toarray().astype(np.float32)


def finite(found: Measured) -> bool:
    """A value in its interval, or no value and the reason."""
    known = [x for x in (found.low, found.value, found.high) if x is not None]
    return (
        bool(np.isfinite(known).all()) and known == sorted(known) and (found.value is None) == bool(found.why)
    )


@pytest.mark.parametrize("d", [8, 64])
def test_pairwise_similarity_is_the_mean_of_all_pairs(d):
    rows = unit_rows(300, d)
    pairs = [float(a.astype(np.float64) @ b) for a, b in combinations(rows, 2)]
    assert pairwise_similarity(rows).value == pytest.approx(np.mean(pairs), abs=1e-6)
    assert pairwise_similarity(np.repeat(rows[:1], 5, axis=0)).value == pytest.approx(1)


def test_its_jackknife_leaves_out_every_row():
    rows = unit_rows(30)
    without = [pairwise_similarity(np.delete(rows, i, axis=0)).value for i in range(30)]
    error = np.sqrt(29 / 30 * ((without - np.mean(without)) ** 2).sum())
    found = pairwise_similarity(rows)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=1e-3)


def test_pairs_of_one_class_are_more_alike_when_classes_lie_apart():
    rows = np.concatenate([unit_rows(50, towards=4), unit_rows(50, towards=-4)])
    labels = ["x"] * 50 + ["y"] * 50
    within = pairwise_similarity(rows, labels)
    each = [pairwise_similarity(rows[:50]).value, pairwise_similarity(rows[50:]).value]
    assert within.value == pytest.approx(np.mean(each))
    assert within.low > pairwise_similarity(rows).high
    assert pairwise_similarity(rows[:3], ["x", "y", "z"]).why == "no class has two rows"
    assert pairwise_similarity(rows[:3], ["x", "x", "z"]).value is not None


def test_distances_are_the_same_in_parts_of_any_size(monkeypatch):
    rows, others = unit_rows(50), unit_rows(20, seed=1)
    whole = nearest_distances(rows, others)
    monkeypatch.setattr(similarity, "BLOCK", 7)
    assert np.array_equal(nearest_distances(rows, others), whole)


def test_distances_by_hand():
    rows = np.array([[1, 0], [-1, 0], [0, 1]], dtype=np.float32)
    root = np.sqrt(2)
    assert remote_clique(rows).value == pytest.approx((2 + root + root) / 3)
    assert centroid_distance(rows[:2]).value == 1
    assert list(nearest_distances(rows, rows, own=np.arange(3))) == pytest.approx([root, root, root])
    assert list(nearest_distances(rows, rows[:2])) == pytest.approx([0, 0, root])
    # two rows at 0 and one at the root of 2 from the others; both real rows are found
    assert chamfer_distance(rows, rows[:2]).value == pytest.approx(root / 3)


def test_a_set_too_large_for_all_pairs_is_drawn_from_with_an_error(monkeypatch):
    rows = unit_rows(600)
    exact = remote_clique(rows)
    monkeypatch.setattr(similarity, "EXACT_ROWS", 200)
    drawn = [remote_clique(rows, seed) for seed in range(60)]
    assert {m.n for m in drawn} == {200}
    assert np.mean([m.low <= exact.value <= m.high for m in drawn]) > 0.9
    assert all(m.high - m.low > exact.high - exact.low for m in drawn)
    exact = nearest_distance(rows, rows[:50])
    monkeypatch.setattr(similarity, "EXACT_PAIRS", 0)
    drawn = [nearest_distance(rows, rows[:50], seed) for seed in range(60)]
    assert {m.n for m in drawn} == {100}
    assert np.mean([m.low <= exact.value <= m.high for m in drawn]) > 0.9


def test_intervals_hold_the_value_of_other_sets_of_the_same_source():
    sets = [unit_rows(100, towards=1, seed=seed) for seed in range(150)]
    for measure in (pairwise_similarity, centroid_distance, remote_clique):
        found = [measure(rows) for rows in sets]
        expected = np.mean([m.value for m in found])
        assert np.mean([m.low <= expected <= m.high for m in found]) > 0.9


@pytest.mark.parametrize("n", [40, 300])
def test_vendi_score_is_that_of_all_similarities(n):
    rows = unit_rows(n, d=64, towards=3)
    shares = np.linalg.eigvalsh(rows.astype(np.float64) @ rows.T / n)
    shares = shares[shares > 1e-12]
    assert vendi_score(rows).value == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-6)
    assert vendi_score(np.eye(7)).value == pytest.approx(7)
    assert vendi_score(np.repeat(rows[:1], 9, axis=0)).value == pytest.approx(1)


@pytest.mark.parametrize("n", [40, 300])
def test_vendi_score_agrees_with_its_authors_package(n):
    vendi = pytest.importorskip("vendi_score.vendi")
    rows = unit_rows(n, d=64, towards=3)
    assert vendi_score(rows).value == pytest.approx(vendi.score_dual(rows.astype(np.float64)), rel=1e-6)


def test_coverage_counts_the_clusters_that_are_hit():
    centres = np.eye(10, dtype=np.float32)
    real = np.repeat(centres, 20, axis=0) + unit_rows(200, d=10) * 0.05
    found, expected = cluster_coverage(centres[[0, 0, 1, 2]], real, k=10)
    assert found.value == pytest.approx(0.3)
    assert expected.value == pytest.approx(1 - 0.9**4, abs=1e-3)
    assert finite(found)
    assert cluster_coverage(real, real, k=10)[0].value == 1


def test_fresh_real_rows_cover_what_is_expected():
    rows = unit_rows(4000)
    found, expected = cluster_coverage(rows[:60], rows[60:], k=50)
    assert found.value == pytest.approx(expected.value, abs=0.15)


def test_mauve_falls_with_the_distance_of_two_sets():
    real = unit_rows(400)
    values = [mauve(unit_rows(400, seed=1, towards=t), real).value for t in (0, 1, 4)]
    assert 0 < values[2] < values[1] < values[0] <= 1
    assert values[0] > 0.9
    assert mauve(real, real).value == pytest.approx(1)


def test_area_of_the_divergence_curve():
    # mauve-text 0.4.0, scaling factor 5, 25 mixtures
    p, q = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.1, 0.2, 0.3, 0.4])
    assert divergence_area(p, q) == pytest.approx(0.2711696522515651, abs=1e-12)
    assert divergence_area(p, p) == pytest.approx(1)
    assert divergence_area(np.array([1.0, 0]), np.array([0, 1.0])) < 0.01


def test_odd_sets_have_a_value_or_a_reason():
    same, broken = np.repeat(unit_rows(1), 6, axis=0), unit_rows(6) * np.float32("nan")
    zero = np.zeros((6, 8), dtype=np.float32)
    for rows in (unit_rows(0), unit_rows(1), unit_rows(2), same, zero, broken):
        for measure in OF_ONE_SET:
            assert finite(measure(rows))
        for compare in OF_TWO_SETS:
            assert finite(compare(rows, unit_rows(30)))
            assert finite(compare(unit_rows(30), rows))
    assert pairwise_similarity(broken).why == "a vector has a number that is not finite"
    assert remote_clique(same).value == pytest.approx(0, abs=1e-6)
    assert nearest_distances(same, same).max() == 0


def test_copied_and_templated_reviews_are_less_varied_than_real_ones():
    file = GOLD / "rt-polarity.all"
    if not file.exists():
        pytest.skip(f"{file} is absent")
    lines = Random(0).sample(file.read_text("latin-1").split("\n")[:-1], 1200)
    real, others = ([line.split(" ", 1)[1] for line in part] for part in (lines[:600], lines[600:]))
    words, choose = " ".join(real).split(), Random(0).choice
    templates = [f"this {choose(words)} film has a {choose(words)} plot and jokes ." for _ in real]
    plain, test = encode(real), encode(others)
    for texts in (real[:20] * 30, templates):
        rows = encode(texts)
        assert pairwise_similarity(rows).low > pairwise_similarity(plain).high
        assert remote_clique(rows).high < remote_clique(plain).low
        assert centroid_distance(rows).high < centroid_distance(plain).low
        assert vendi_score(rows).value < vendi_score(plain).value / 2
        assert chamfer_distance(rows, test).low > chamfer_distance(plain, test).high
        assert cluster_coverage(rows, test)[0].high < cluster_coverage(plain, test)[0].low
        assert mauve(rows, test).value < mauve(plain, test).value / 2


def test_measurements_give_the_same_values():
    from synth_assets.evaluation import AveragePairwiseSimilarity, ClusterCoverage, VendiScore

    rows, real = unit_rows(20), unit_rows(30, seed=1)
    found = AveragePairwiseSimilarity().compute(data=rows)
    assert found["average_pairwise_similarity"] == pytest.approx(pairwise_similarity(rows).value, abs=1e-6)
    assert found["low"] < found["average_pairwise_similarity"] < found["high"]
    assert VendiScore().compute(data=rows)["vendi_score"] == pytest.approx(vendi_score(rows).value)
    covered = ClusterCoverage().compute(data=rows, real=real, k=5)
    assert (covered["cluster_coverage"], covered["expected"]) == pytest.approx(
        tuple(m.value for m in cluster_coverage(rows, real, 5))
    )
