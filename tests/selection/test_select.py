"""Choosing rows: what holds for every way, and what each way is for."""

from __future__ import annotations

import csv
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.core.errors import UserError
from synth_assets.evaluation.similarity import pairwise_similarity
from synth_assets.selection.methods import Votes, entropies, fast_vote_k
from synth_assets.selection.select import METHODS, select, select_mixed, select_random

GOLD = Path(__file__).parents[3] / "shared/data/gold_text"


def unit_rows(n: int, d: int = 6, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def shares(n: int) -> np.ndarray:
    return np.random.default_rng(4).dirichlet([1, 1, 1], size=max(1, n))


def bunches(size: int, count: int = 4) -> tuple[list[str], np.ndarray, list[str]]:
    """Ids, vectors and bunch of each row: `count` bunches far from each other."""
    noise = np.random.default_rng(1).normal(scale=0.1, size=(size * count, count))
    rows = np.repeat(np.eye(count), size, axis=0) + noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    bunch = [str(i // size) for i in range(size * count)]
    return [f"r{i}" for i in range(size * count)], rows.astype(np.float32), bunch


@pytest.mark.parametrize("by", METHODS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_way_gives_k_different_rows_whatever_their_order(by: str, data: st.DataObject) -> None:
    n, k = data.draw(st.integers(0, 25)), data.draw(st.integers(0, 30))
    different = data.draw(st.integers(1, 25))  # rows may repeat
    ids = [f"r{i}" for i in range(n)]
    vectors = unit_rows(different)[np.arange(n) % different]
    scores = data.draw(st.lists(st.none() | st.integers(0, 3), min_size=n, max_size=n))
    probabilities = shares(n)[np.arange(n) % different]
    taken = [f"r{i}" for i in data.draw(st.sets(st.integers(0, 24), max_size=n)) if i < n]
    shuffled = data.draw(st.permutations(range(n)))

    def chosen(at: list[int]) -> list[str]:
        return select(
            [ids[i] for i in at],
            k,
            by,
            parts=[7],
            vectors=vectors[at],
            query=unit_rows(1, seed=2)[0],
            against=unit_rows(3, seed=3),
            scores=[scores[i] for i in at],
            probabilities=probabilities[at],
            taken=taken,
            neighbours=4,
        )

    first = chosen(list(range(n)))
    assert len(first) == len(set(first)) == min(k, n - len(taken))
    assert set(first) <= set(ids) - set(taken)
    assert chosen(shuffled) == first


@pytest.mark.parametrize("by", METHODS)
def test_with_groups_it_is_k_of_each(by: str) -> None:
    ids, vectors, bunch = bunches(10)
    extra: dict[str, Any] = {"vectors": vectors, "query": vectors[0], "scores": range(40)}
    chosen = select(ids, 3, by, probabilities=shares(40), groups=bunch, **extra)
    assert sorted(bunch[ids.index(i)] for i in chosen) == sorted("0123" * 3)


def test_a_row_is_unsure_by_the_entropy_the_top_or_the_first_two_of_its_probabilities() -> None:
    p = np.array([[0.5, 0.5, 0.0], [0.4, 0.3, 0.3], [0.45, 0.44, 0.11], [1.0, 0.0, 0.0]])
    assert entropies(p).tolist() == pytest.approx([1.0, 1.571, 1.39, 0.0], abs=1e-3)
    first = {by: select(["a", "b", "c", "d"], 2, by, probabilities=p) for by in ("entropy", "margin")}
    assert first == {"entropy": ["b", "c"], "margin": ["a", "c"]}
    assert select(["a", "b", "c", "d"], 3, "least_confidence", probabilities=p) == ["b", "c", "a"]


@pytest.mark.parametrize("by", ["fast_vote_k", "facility_location"])
def test_rounds_that_know_what_was_taken_go_on_where_the_one_before_ended(by: str) -> None:
    ids, vectors, _ = bunches(10)
    at_once = select(ids, 12, by, vectors=vectors, neighbours=5)
    taken: list[str] = []
    for _ in range(3):
        taken += select(ids, 4, by, vectors=vectors, neighbours=5, taken=taken)
    assert taken == at_once


def test_random_is_by_rank() -> None:
    ids = [f"r{i}" for i in range(9)]
    assert select(ids, 4, "random", parts=[1, "a"]) == select_random(ids, 4, 1, "a")


def test_people_who_label_a_sample_get_the_same_rows_when_others_come() -> None:
    ids = [f"r{i}" for i in range(100)]
    drawn = select_random(ids, 20, 0, "faithfulness")
    assert len(set(drawn)) == 20
    assert drawn == select_random(ids[::-1], 20, 0, "faithfulness")
    assert len(set(drawn) - set(select_random([*ids, "new"], 20, 0, "faithfulness"))) <= 1
    assert drawn != select_random(ids, 20, 1, "faithfulness")


def test_what_is_missing_or_unknown_is_named() -> None:
    with pytest.raises(ValueError, match="nearest needs vectors and query"):
        select(["a"], 1, "nearest", scores=[1.0])
    with pytest.raises(UserError, match=r"Did you mean 'k_means'.*facility_location"):
        select(["a"], 1, "k_mean")


def test_the_most_similar_row_is_last_or_first() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.8, 0.6], [0.6, 0.8]])
    given = {"vectors": vectors, "query": np.array([1.0, 0.0])}
    assert select("abcd", 3, "nearest", **given) == ["d", "c", "a"]
    assert select("abcd", 3, "nearest", nearest_first=True, **given) == ["a", "c", "d"]


def test_neighbours_of_a_news_story_are_of_its_class() -> None:
    file = GOLD / "ag_news_test.csv"
    if not file.exists():
        pytest.skip(f"{file} is absent")
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    with file.open(newline="", encoding="utf-8") as opened:
        table = [(row[0], f"{row[1]} {row[2]}") for row in csv.reader(opened)]
    order = np.random.default_rng(0).permutation(len(table))[:1200]
    labels = [table[i][0] for i in order]
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit_transform(
        [table[i][1] for i in order]
    )
    vectors = TruncatedSVD(128, random_state=0).fit_transform(features)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [str(i) for i in range(1000)]
    hits = [
        labels[int(i)] == labels[q]
        for q in range(1000, 1200)
        for i in select(ids, 8, "nearest", vectors=vectors[:1000], query=vectors[q])
    ]
    assert np.mean(hits) > 0.6  # a random row: 0.25


@pytest.mark.parametrize(
    "by", ["cluster_nearest", "k_means", "k_medoids", "fast_vote_k", "facility_location"]
)
def test_four_rows_of_four_bunches_are_one_of_each(by: str) -> None:
    ids, vectors, bunch = bunches(30)
    chosen = select(ids, 4, by, vectors=vectors, query=vectors[0], neighbours=29)
    assert sorted(bunch[ids.index(i)] for i in chosen) == ["0", "1", "2", "3"]


def test_a_medoid_is_the_row_most_similar_to_its_cluster() -> None:
    ids, vectors, bunch = bunches(15)
    found = select(ids, 1, "k_medoids", vectors=vectors, groups=bunch)
    similarity = vectors @ vectors.T
    for c in range(4):
        rows = slice(15 * c, 15 * c + 15)
        assert found[c] == ids[15 * c + int(similarity[rows, rows].sum(axis=0).argmax())]


# Who votes for whom among twelve rows
GRAPH = [[1, 2], [0, 2], [0, 1], [0, 4], [0, 5], [4, 6], [5, 7], [6, 8], [7, 9], [8, 10], [9, 11], [9, 10]]


def test_fast_vote_k_on_twelve_rows_by_hand() -> None:
    votes = Votes(np.array(GRAPH))
    # votes of 0 to 11: 4 2 2 0 2 2 2 2 2 3 2 1. Row 0 is chosen: it votes no more (1 and 2 lose one), and its
    # voters 1 to 4 count a tenth: 1: 0.1 (of 2), 2: 0.1 (of 1), 4: 0.1 + 1, 5: 0.1 + 1. Then 9 has 3.
    # Row 9 is chosen: its voters 8, 10, 11 count a tenth: 7: 1.1, 8: 1 (of 7), 10: 0.1, 11: 0.1, 6: 2.
    assert votes.elect(3) == [0, 9, 6]


@given(st.lists(st.sets(st.integers(0, 10), min_size=3, max_size=3), min_size=12, max_size=12))
@settings(max_examples=50, deadline=None)
def test_votes_are_those_of_the_formula(others: list[set[int]]) -> None:
    graph = [[v + (v >= u) for v in sorted(row)] for u, row in enumerate(others)]  # no row votes for itself
    chosen: list[int] = []

    def score(u: int) -> Fraction:
        voters = [v for v in range(12) if u in graph[v] and v not in chosen]
        return sum((Fraction(1, 10 ** len(set(chosen) & set(graph[v]))) for v in voters), Fraction(0))

    for _ in range(12):
        chosen.append(max((u for u in range(12) if u not in chosen), key=score))
    assert Votes(np.array(graph)).elect(12) == chosen


def test_fast_vote_k_picks_what_the_papers_algorithm_picks_at_every_budget() -> None:
    """391 rows that each vote for 150 others: after a few picks each vote was discounted many times."""
    vectors = unit_rows(391, seed=3)
    order = np.argsort(-(vectors @ vectors.T) + 2 * np.eye(391), axis=1, kind="stable")
    votes = np.zeros((391, 391), dtype=int)  # of a row, for a column
    np.put_along_axis(votes, order[:, :150], 1, axis=1)
    chosen: list[int] = []
    for _ in range(100):
        times = votes[:, chosen].sum(axis=1)
        times[chosen] = 101  # they vote no more
        score = np.zeros(391, dtype=object)
        for t in range(101):
            score += votes[times == t].sum(axis=0).astype(object) * 10 ** (100 - t)
        chosen.append(max((u for u in range(391) if u not in chosen), key=lambda u: score[u]))
    for budget in (18, 50, 100):
        assert fast_vote_k(vectors, budget, 150) == chosen[:budget]


def test_vote_k_goes_on_over_the_confidence_from_the_least() -> None:
    ids, vectors = [f"r{i:03}" for i in range(200)], unit_rows(200)
    both: dict[str, Any] = {"vectors": vectors, "parts": [1], "neighbours": 20}
    chosen = select(ids, 20, "vote_k", scores=range(200), **both)
    assert chosen[:2] == select(ids, 2, "fast_vote_k", **both)
    rest = [int(i[1:]) for i in chosen[2:]]
    assert rest == sorted(rest)  # one of each of 18 bins of the least confident nine tenths
    assert max(rest) < 182
    assert all(b - a < 25 for a, b in pairwise(rest))


def test_facility_location_is_the_greedy_choice() -> None:
    ids, vectors = [f"r{i}" for i in range(60)], unit_rows(60)
    similarity = vectors.astype(float) @ vectors.T

    def value(chosen: list[str]) -> float:
        return float(similarity[[ids.index(i) for i in chosen]].max(axis=0).sum())

    found = select(ids, 6, "facility_location", vectors=vectors)
    for step in range(6):
        best = max(value([*found[:step], i]) for i in ids)
        assert value(found[: step + 1]) == pytest.approx(best, abs=1e-4)
    assert value(found) > max(value(select_random(ids, 6, seed)) for seed in range(20))


def test_dissimilar_rows_are_far_from_each_other_and_from_what_exists() -> None:
    ids, vectors = [f"r{i}" for i in range(300)], unit_rows(300)

    def similarity(chosen: list[str]) -> float:
        found = pairwise_similarity(vectors[[ids.index(i) for i in chosen]]).value
        assert found is not None
        return found

    assert similarity(select(ids, 6, "dissimilar", vectors=vectors)) < min(
        similarity(select_random(ids, 6, seed)) for seed in range(20)
    )
    ids, vectors, bunch = bunches(10)
    far = select(ids, 1, "dissimilar", vectors=vectors, against=vectors[10:])
    assert bunch[ids.index(far[0])] == "0"


def test_top_and_bottom_put_unknown_scores_last() -> None:
    scores = [2.0, None, 3.0, 1.0, float("nan")]
    assert select("dabce", 3, "top", scores=scores) == ["b", "d", "c"]
    assert select("dabce", 3, "bottom", scores=scores) == ["c", "d", "b"]
    assert set(select("dabce", 5, "top", scores=scores)[3:]) == {"a", "e"}


def test_a_mix_takes_from_each_pool_and_shuffles() -> None:
    pools = {"human": [f"h{i}" for i in range(175)], "machine": [f"m{i}" for i in range(1000)]}
    mixes = [select_mixed(pools, {"human": 6, "machine": 2}, "row", i) for i in range(40)]
    assert all(len(set(mix)) == 8 and sum(i[0] == "h" for i in mix) == 6 for mix in mixes)
    assert {i for mix in mixes for i, row in enumerate(mix) if row[0] == "m"} == set(range(8))
    assert all(a != b for a, b in combinations(mixes, 2))


def test_a_short_pool_is_made_up_for_by_the_others() -> None:
    pools = {"human": [f"h{i}" for i in range(9)], "machine": ["m0"]}
    mix = select_mixed(pools, {"human": 6, "machine": 2}, 1)
    assert sorted(i[0] for i in mix) == ["h"] * 7 + ["m"]
    with pytest.raises(UserError, match="unknown pool 'machines'"):
        select_mixed(pools, {"machines": 2})
