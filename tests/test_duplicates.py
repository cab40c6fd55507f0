"""Duplicates: what counts as the same text, exact scores in blocks, and greedy order."""

from __future__ import annotations

import random

import pytest

from synth_assets.curation import duplicates
from synth_assets.curation.duplicates import exact_duplicates, near_duplicates, ngram_overlap, normal_form


def shingles(text: str) -> set[tuple[str, ...]]:
    words = normal_form(text).split(" ")
    return {tuple(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1)}


def brute_force(texts: list[str], start: int, at_most: float | None) -> tuple[list[float], list[int | None]]:
    scores: list[float] = []
    nearest: list[int | None] = []
    kept = list(range(start))
    for i in range(start, len(texts)):
        own = shingles(texts[i])
        alike = [(len(own & shingles(texts[j])) / len(own | shingles(texts[j])), -j) for j in kept]
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
def test_near_duplicates_equal_brute_force_in_blocks_of_any_size(monkeypatch, at_most, entries):
    monkeypatch.setattr(duplicates, "BLOCK_ENTRIES", entries)
    texts = random_texts(80)
    scores, nearest = near_duplicates(texts[15:], at_most, texts[:15])
    expected_scores, expected_nearest = brute_force(texts, 15, at_most)
    assert scores == pytest.approx(expected_scores)
    assert nearest == expected_nearest


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
