"""Diversity measures: values by hand, their direction, and agreement with NLTK and brute force."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

from synth_assets.evaluation.diversity import (
    average_pairwise_similarity,
    distinct_n,
    self_bleu,
    tokens,
    vocabulary,
)

GOLD = Path(__file__).parents[2] / "shared/data/gold_text"

# 30 sentences of 2 to 14 tokens, with repeated words, and three odd ones
SENTENCES = [
    f"{who} {did}{what}"
    for who, did, what in product(
        ["My card", "The old card of my sister", "Nobody"],
        ["was declined", "did not work", "failed, failed and failed"],
        [".", " at the till!", " in the shop at the station"],
    )
] + ["", "Why?", "the the the card card"]


def unit_rows(n: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 8))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_tokens():
    assert tokens("Don't stop, ÉTÉ 2!") == ["don't", "stop", ",", "été", "2", "!"]


def test_values_by_hand():
    texts = ["a b a b", "A c"]
    assert vocabulary(texts) == 3
    assert distinct_n(texts, 1) == 3 / 6
    assert distinct_n(texts, 2) == 3 / 4  # ab, ba, ac of ab, ba, ab, ac
    assert distinct_n(texts, 5) is None
    # "a b": both words in "a b c" and no brevity; "a b c": 2 of 3 words
    assert self_bleu(["a b", "a b c"], n=1) == pytest.approx((np.exp(1 - 3 / 2) + 2 / 3) / 2)


def test_a_word_is_matched_as_often_as_another_text_has_it():
    # "a a a": 1 match of 3; "a b c": 1 of 3; equal lengths
    assert self_bleu(["a a a", "a b c"], n=1) == pytest.approx(1 / 3)


@pytest.mark.parametrize("texts", [[], ["only one text here"]])
def test_unknown_for_fewer_than_two_texts(texts):
    assert distinct_n(texts, 1) is None
    assert self_bleu(texts) is None
    assert average_pairwise_similarity(unit_rows(len(texts))) is None


@pytest.mark.parametrize(
    ("n", "value"),
    zip(
        range(1, 6),
        [0.9192933594357134, 0.8973407379769571, 0.895538627651501, 0.8683898997343752, 0.8166415522777078],
        strict=True,
    ),
)
def test_self_bleu_agrees_with_nltk(n, value):
    # nltk 3.10.4: mean of sentence_bleu(others, sentence, [1 / n] * n, SmoothingFunction().method1)
    assert self_bleu(SENTENCES, n) == pytest.approx(value, abs=1e-12)


def test_copies_are_less_varied():
    copies = SENTENCES + SENTENCES[:10]
    assert self_bleu(copies) > self_bleu(SENTENCES)
    assert distinct_n(copies, 2) < distinct_n(SENTENCES, 2)
    assert vocabulary(copies) == vocabulary(SENTENCES)
    assert self_bleu(["one and the same text"] * 3) == pytest.approx(1)
    assert self_bleu(["nothing here", "alike at all"]) == 0


def test_sample_is_drawn_by_its_seed():
    assert self_bleu(SENTENCES, sample=10, seed=1) == self_bleu(SENTENCES, sample=10, seed=1)
    assert self_bleu(SENTENCES, sample=10, seed=1) != self_bleu(SENTENCES, sample=10, seed=2)
    assert self_bleu(SENTENCES, sample=len(SENTENCES)) == self_bleu(SENTENCES)


def test_pairwise_similarity_is_the_mean_of_all_pairs():
    rows = unit_rows(20)
    pairs = [a @ b for a, b in combinations(rows, 2)]
    assert average_pairwise_similarity(rows) == pytest.approx(np.mean(pairs))
    assert average_pairwise_similarity(np.repeat(rows[:1], 5, axis=0)) == pytest.approx(1)


def test_real_sentences_are_more_varied_than_templates():
    file = GOLD / "stsa.binary.train"
    if not file.exists():
        pytest.skip(f"{file} is absent")
    real = [line.split(" ", 1)[1] for line in file.read_text("latin-1").splitlines()[:1000]]
    words = ["good", "bad", "slow", "warm", "dull", "great", "long", "sweet", "loud", "thin"]
    templates = [f"the {a} film has a {b} plot and {c} jokes ." for a, b, c in product(words, repeat=3)]
    assert vocabulary(real) > 100 * vocabulary(templates)
    assert distinct_n(real, 2) > 5 * distinct_n(templates, 2)
    assert self_bleu(real) < 0.3 < 0.9 < self_bleu(templates)


def test_measurements_give_the_same_values_and_write_no_file(tmp_path):
    from synth_assets.evaluation import AveragePairwiseSimilarity, DistinctN, SelfBLEU, Vocabulary

    rows = unit_rows(20)
    assert SelfBLEU().compute(data=SENTENCES, n=3) == {"self_bleu": self_bleu(SENTENCES, 3)}
    assert SelfBLEU(cache_dir=str(tmp_path)).compute(data=["one"]) == {"self_bleu": None}
    assert not list(tmp_path.iterdir())
    assert DistinctN().compute(data=SENTENCES) == {"distinct_2": distinct_n(SENTENCES, 2)}
    assert Vocabulary().compute(data=SENTENCES) == {"vocabulary": vocabulary(SENTENCES)}
    similarity = AveragePairwiseSimilarity().compute(data=rows)["average_pairwise_similarity"]
    assert similarity == pytest.approx(average_pairwise_similarity(rows), abs=1e-6)


def test_the_package_does_without_evaluate_until_it_is_asked():
    code = (
        "import sys, synth_assets.evaluation.diversity as d; d.self_bleu(['a b', 'a c']);"
        "assert not {'evaluate', 'datasets', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_refused():
    with pytest.raises(ImportError, match="SelfRouge"):
        from synth_assets.evaluation import SelfRouge  # noqa: F401
