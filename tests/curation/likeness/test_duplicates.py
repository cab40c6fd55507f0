"""Duplicates: what counts as the same text, exact scores in blocks, and greedy order."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest

from synth_assets.contracts.filter import Context
from synth_assets.core.registry import FILTERS
from synth_assets.core.text.normal_form import normal_form
from synth_assets.curation.keep import keep
from synth_assets.curation.likeness import duplicates, similarity_join
from synth_assets.curation.likeness.duplicates import (
    exact_duplicates,
    near_duplicates,
    ngram_overlap,
    semantic_duplicates,
)


def shingles(text: str, grams: tuple[int, int] = (1, 3)) -> set[tuple[str, ...]]:
    words = normal_form(text).split(" ")
    sizes = range(min(grams[0], len(words)), grams[1] + 1)
    return {tuple(words[i : i + n]) for n in sizes for i in range(len(words) - n + 1)}


def brute_force(
    texts: list[str], start: int, at_most: float | None, grams: tuple[int, int] = (1, 3)
) -> tuple[list[float], list[int | None]]:
    scores: list[float] = []
    nearest: list[int | None] = []
    kept = list(range(start))
    sets = [shingles(text, grams) for text in texts]
    for i in range(start, len(texts)):
        own = sets[i]
        alike = [(len(own & sets[j]) / len(own | sets[j]), -j) for j in kept]
        score, j = max(alike, default=(0.0, 0))
        scores.append(score)
        nearest.append(-j if score else None)
        if at_most is None or score <= at_most:
            kept.append(i)
    return scores, nearest


def random_texts(n: int, seed: int = 0) -> list[str]:
    choose = random.Random(seed)
    return [" ".join(choose.choices("abcdef", k=choose.randint(1, 8))) for _ in range(n)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Ｆine,  FILM!", "fine film"),
        ("Straße", "strasse"),
        ("co\u00adop\u200berate", "cooperate"),
        ("किताब", "किताब"),
        ("好电影", "好 电 影"),
        (" 👍 !", "👍 !"),
        ("", ""),
    ],
)
def test_normal_form(text, expected):
    assert normal_form(text) == expected
    assert normal_form(expected) == expected


def test_exact_duplicates_point_to_the_first():
    assert exact_duplicates(["A b.", "c", "a, b", "C!", "d"]) == [None, None, 0, 1, None]
    assert exact_duplicates(["a b", "x", "X"], earlier=["z", "A-B", "a b"]) == [1, None, 4]
    assert exact_duplicates(["👍", "👎", "👍"]) == [None, None, 0]
    assert exact_duplicates([]) == []


def test_near_duplicates_by_hand():
    # {a, b, c, ab, bc, abc} and {a, b, d, ab, bd, abd}: 3 of 9
    assert near_duplicates(["a b c", "a b d", "x"]) == ([0.0, 3 / 9, 0.0], [None, 0, None])
    assert near_duplicates(["a b d"], earlier=["x", "a b c"]) == ([3 / 9], [1])
    assert near_duplicates(["A, b", "a b", "a b"]) == ([0.0, 1.0, 1.0], [None, 0, 0])
    assert near_duplicates(["", ""]) == ([0.0, 1.0], [None, 0])
    assert near_duplicates([], earlier=["a"]) == ([], [])


@pytest.mark.parametrize("at_most", [None, 0.3, 0.6])
@pytest.mark.parametrize("entries", [1, 500, 4_000_000])
@pytest.mark.parametrize("grams", [(1, 3), (3, 3), (2, 4)])
def test_near_duplicates_equal_brute_force_in_blocks_of_any_size(monkeypatch, at_most, entries, grams):
    monkeypatch.setattr(duplicates, "BLOCK_ENTRIES", entries)
    texts = random_texts(80)
    scores, nearest = near_duplicates(texts[15:], at_most, texts[:15], grams)
    expected_scores, expected_nearest = brute_force(texts, 15, at_most, grams)
    assert scores == pytest.approx(expected_scores)
    assert nearest == expected_nearest


@pytest.fixture
def large(monkeypatch):
    """A small set is treated as a large one is, in several blocks."""
    monkeypatch.setattr(duplicates, "SMALL", 0)
    monkeypatch.setattr(similarity_join, "BLOCK", 300)


def varied(n: int, seed: int = 0) -> list[str]:
    """Sentences of 1 to 40 words, a third of them others with a few words changed; some without ASCII."""
    choose = random.Random(seed)
    vocabulary = [f"w{i}" for i in range(300)] + ["Ünder", "好电影", "ﬁne", "-", "it's", "co\u00adop", "👍"]
    texts = ["", "👍", "👍 !", "!!", "Word", "...", "two  words", "Two_words"]
    while len(texts) < n:
        words = choose.choice(texts).split() if choose.random() < 0.35 else []
        words = words or choose.choices(vocabulary, k=choose.randint(1, 40))
        for _ in range(choose.randint(0, 3)):
            words[choose.randrange(len(words))] = choose.choice(vocabulary)
        texts.append(choose.choice([" ", ", ", "  "]).join(words))
    return texts


@pytest.mark.parametrize(("grams", "at_most"), [((1, 3), 0.8), ((3, 3), 0.7), ((2, 5), 0.3), ((1, 1), 0.0)])
def test_a_large_set_drops_what_all_pairs_drop(large, grams, at_most):
    texts = varied(2000)
    scores, nearest = near_duplicates(texts[200:], at_most, texts[:200], grams)
    exact, exact_nearest = duplicates._all_pairs(texts, at_most, 200, grams)
    above = [i for i, score in enumerate(exact) if score > at_most]
    assert len(above) > 100
    assert [i for i, score in enumerate(scores) if score > at_most] == above
    assert [scores[i] for i in above] == [exact[i] for i in above]
    assert [nearest[i] for i in above] == [exact_nearest[i] for i in above]
    assert all(met <= best for met, best in zip(scores, exact, strict=True))


def test_a_large_set_without_a_limit_keeps_all(large):
    chain = [" ".join(f"w{i}" for i in range(at, at + 40)) for at in range(4)]
    scores, nearest = near_duplicates(chain, grams=(1, 1))
    assert scores == pytest.approx([0.0, 39 / 41, 39 / 41, 39 / 41])
    assert nearest == [None, 0, 1, 2]


def test_shingles_that_a_text_repeats_count_once(large):
    texts = random_texts(400)
    scores, nearest = near_duplicates(texts, 0.6)
    exact, exact_nearest = duplicates._all_pairs(texts, 0.6, 0, (1, 3))
    above = [i for i, score in enumerate(exact) if score > 0.6]
    assert len(above) > 50
    assert [(i, scores[i], nearest[i]) for i in range(400) if scores[i] > 0.6] == [
        (i, exact[i], exact_nearest[i]) for i in above
    ]


def test_exact_duplicates_of_a_large_set_are_those_of_a_small_one(large, monkeypatch):
    texts = varied(3000)
    found = exact_duplicates(texts[50:], texts[:50])
    monkeypatch.setattr(duplicates, "SMALL", 10_000)
    assert found == exact_duplicates(texts[50:], texts[:50])
    assert sum(i is not None for i in found) > 100


def test_a_large_set_may_be_empty(large):
    assert near_duplicates([], 0.8, earlier=["a"]) == ([], [])
    assert exact_duplicates([], ["a"]) == []


def test_likeness_to_a_dropped_text_drops_nothing():
    middle = " ".join(f"w{i}" for i in range(18))
    chain = [f"a {middle} b", f"x {middle} b", f"x {middle} y"]  # neighbours 0.9 alike, the ends 0.82
    scores, nearest = near_duplicates(chain)
    assert [score > 0.85 for score in scores] == [False, True, True]
    assert nearest == [None, 0, 1]
    greedy, kept = near_duplicates(chain, at_most=0.85)
    assert [score > 0.85 for score in greedy] == [False, True, False]
    assert kept == [None, 0, 0]


def test_order_of_words_counts():
    scores, _ = near_duplicates(["the dog bit the man", "the man bit the dog"])
    assert 0.3 < scores[1] < 0.7


def test_ngram_overlap():
    reference = "One two three four five six seven."
    assert ngram_overlap(["zero one two three four five six"], [reference]) == [1 / 2]
    assert ngram_overlap(["ONE two three, four five six"], iter([reference])) == [1.0]
    assert ngram_overlap(["one two", "One, two!"], [reference, "x"]) == [0.0, 0.0]
    assert ngram_overlap(["one two", "two"], ["One two!"]) == [1.0, 0.0]
    assert ngram_overlap(["a b c"], ["b c d"], n=2) == [1 / 2]
    assert ngram_overlap(["a b"], []) == [0.0]
    assert ngram_overlap([], [reference]) == []


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def planted(n: int, seed: int = 0) -> tuple[np.ndarray, list[int | None]]:
    """Unit vectors (n, 64), every fifth a slightly moved copy of a row before it, and those rows."""
    rng = np.random.default_rng(seed)
    x, of = rng.standard_normal((n, 64)), [None] * n
    for i in range(5, n, 5):
        of[i] = int(rng.integers(i // 5)) * 5 + 1
        x[i] = x[of[i]] + 0.15 * rng.standard_normal(64)
    return unit(x), of


@pytest.mark.parametrize("small", [10_000, 0])
@pytest.mark.parametrize("block", [64, 1000])
def test_rows_that_mean_the_same_as_a_kept_row_are_found(monkeypatch, small, block):
    monkeypatch.setattr(duplicates, "SMALL_VECTORS", small)
    monkeypatch.setattr(duplicates, "GRAPH_ROWS", block)
    x, of = planted(2000)
    scores, nearest = semantic_duplicates(x, 0.95, known=100)
    found = [j if score > 0.95 else None for score, j in zip(scores, nearest, strict=True)]
    assert found == of[100:]
    assert scores[0] == pytest.approx(np.delete(x[:101] @ x[100], 100).max(), abs=1e-6 if small else 0.1)


def test_vectors_of_rounds_stand_below_each_other(monkeypatch):
    monkeypatch.setattr(duplicates, "TOGETHER", 3)
    texts = [*"abcdefgh"]

    def encode(some):
        return np.array([[ord(text), 1] for text in some], dtype=np.float32)

    for known in (0, 3, 5, 8):
        assert np.array_equal(duplicates.in_parts(encode, texts[:known], texts[known:]), encode(texts))


def test_likeness_in_meaning_to_a_dropped_row_drops_nothing():
    angles = np.array([0.0, 0.2, 0.4, 0.45])
    x = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    scores, nearest = semantic_duplicates(x, 0.95)
    assert nearest == [None, 0, 0, 2]
    assert scores == pytest.approx([0.0, np.cos(0.2), np.cos(0.4), np.cos(0.05)], abs=1e-6)
    assert semantic_duplicates(x)[1] == [None, 0, 1, 2]
    assert semantic_duplicates(np.stack([x[0], -x[0]]), known=1) == ([0.0], [None])
    assert semantic_duplicates(x, known=len(x)) == ([], [])


def test_a_filter_sees_paraphrases_of_this_round_and_of_rounds_before():
    topics = {"refund": 0, "money back": 0, "card": 1, "lost": 1, "hours": 2}

    def encode(texts: list[str]) -> np.ndarray:
        return np.eye(3, dtype=np.float32)[[topics[text] for text in texts]]

    rows = pd.DataFrame({"row_id": ["a", "b", "c", "d"], "text": ["money back", "card", "lost", "hours"]})
    context = Context(verbalizers={}, earlier=["refund"], encode=encode)
    rule = FILTERS.find("semantic_duplicate").model_validate({})
    kept, dropped = keep(rows, [rule], context)
    assert list(kept["row_id"]) == ["b", "d"]
    assert list(dropped["value"]) == [1.0, 1.0]


def test_a_filter_says_which_words_it_compares():
    rows = pd.DataFrame({"row_id": ["a", "b"], "text": ["one two three four", "one two three five"]})
    scores = {
        grams: FILTERS.find("near_duplicate")
        .model_validate({"grams": grams})
        .score(rows, Context(verbalizers={}))["near_duplicate"][1]
        for grams in ((1, 1), (3, 3))
    }
    assert scores == pytest.approx({(1, 1): 3 / 5, (3, 3): 1 / 3})
    with pytest.raises(ValueError, match="the shortest n-gram, then the longest"):
        FILTERS.find("near_duplicate").model_validate({"grams": [3, 2]})
