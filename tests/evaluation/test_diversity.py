"""Diversity of words: values by hand, their direction, their intervals, and agreement with NLTK."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pytest

from synth_assets.evaluation.diversity import (
    Words,
    distinct_n,
    diversity,
    label_divergence,
    length_divergence,
    ngram_frequency,
    self_bleu,
    tokens,
    vocabulary_size,
)

GOLD = Path(__file__).parents[3] / "shared/data/gold_text"

# 30 sentences of 2 to 14 tokens, with repeated words, and three odd ones
SENTENCES = [
    f"{who} {did}{what}"
    for who, did, what in product(
        ["My card", "The old card of my sister", "Nobody"],
        ["was declined", "did not work", "failed, failed and failed"],
        [".", " at the till!", " in the shop at the station"],
    )
] + ["", "Why?", "the the the card card"]


def reviews(n: int) -> list[str]:
    """Real sentences of film reviews."""
    file = GOLD / "rt-polarity.all"
    if not file.exists():
        pytest.skip(f"{file} is absent")
    lines = file.read_text("latin-1").split("\n")[:-1]
    return [line.split(" ", 1)[1] for line in Random(0).sample(lines, n)]


def nltk_self_bleu(texts: Sequence[str], n: int, chosen: Sequence[int]) -> float:
    bleu = pytest.importorskip("nltk.translate.bleu_score")
    sentences, method = list(map(tokens, texts)), bleu.SmoothingFunction().method1
    scores = [
        bleu.sentence_bleu(sentences[:i] + sentences[i + 1 :], sentences[i], [1 / n] * n, method)
        for i in chosen
    ]
    return float(np.mean(scores))


def test_tokens():
    assert tokens("Don't stop, ÉTÉ 2!") == ["don't", "stop", ",", "été", "2", "!"]


def test_values_by_hand():
    texts = ["a b a b", "A c"]
    assert vocabulary_size(texts).value == 3
    assert vocabulary_size(["a b", "a c", "d"], labels=["x", "x", "y"]).value == (3 + 1) / 2
    assert distinct_n(texts, 1).value == 3 / 6
    assert distinct_n(texts, 2).value == 3 / 4  # ab, ba, ac of ab, ba, ab, ac
    # "a b": both words in "a b c" and no brevity; "a b c": 2 of 3 words
    assert self_bleu(["a b", "a b c"], n=1).value == pytest.approx((np.exp(1 - 3 / 2) + 2 / 3) / 2)


def test_ngram_frequency_is_the_share_of_other_texts_that_have_an_ngram_too():
    # a of the first text: in 1 of 2 others; b: in none; a of the second: 1 of 2; c and d: in none
    assert ngram_frequency(["a b a", "a c", "d"], 1).value == pytest.approx((1 / 2 + 1 / 2) / 5)
    assert ngram_frequency(["a b", "c d"], 2).value == 0
    assert ngram_frequency(["a b c"] * 7, 2).value == 1
    assert ngram_frequency(SENTENCES * 2, 2).value > ngram_frequency(SENTENCES, 2).value


def test_divergences_by_hand():
    assert label_divergence(["x", "y"], ["y", "x", "x", "y"]).value == 0
    assert label_divergence(["x"], ["y", "y"]).value == 1
    # of (1, 0) and (1/2, 1/2): (log2(4/3) + (log2(2/3) + log2(2)) / 2) / 2
    expected = (np.log2(4 / 3) + (np.log2(2 / 3) + 1) / 2) / 2
    assert label_divergence(["x"] * 10, ["x", "y"] * 10).value == pytest.approx(expected)
    assert length_divergence(["a b"] * 9, ["c d", "d c"]).value == 0
    assert length_divergence(["a b"] * 9, ["a b c"] * 9).value == 1


def test_divergence_by_chance_alone_has_an_interval_that_reaches_0():
    draw = np.random.default_rng(0).integers
    found = [label_divergence(draw(5, size=100).tolist(), draw(5, size=300).tolist()) for _ in range(200)]
    assert np.mean([m.low == 0 for m in found]) > 0.9
    apart = label_divergence([*draw(5, size=100), *[5] * 100], draw(5, size=300).tolist())
    assert 0 < apart.low < apart.value < apart.high < 1


def test_texts_that_are_cut_once_have_the_same_values():
    words = Words.of(SENTENCES)
    for measure in (vocabulary_size, ngram_frequency, self_bleu, lambda w: distinct_n(w, 2)):
        assert measure(words) == measure(SENTENCES)
    assert list(words.lengths()) == [len(tokens(text)) for text in SENTENCES]


def test_a_word_is_matched_as_often_as_another_text_has_it():
    # "a a a": 1 match of 3; "a b c": 1 of 3; equal lengths
    assert self_bleu(["a a a", "a b c"], n=1).value == pytest.approx(1 / 3)


@pytest.mark.parametrize("texts", [[], ["only one text here"]])
def test_unknown_for_fewer_than_two_texts(texts):
    for found in (distinct_n(texts, 1), self_bleu(texts), ngram_frequency(texts)):
        assert (found.value, found.low, found.why) == (None, None, "fewer than two texts")
    assert vocabulary_size(texts).value == (4 if texts else None)


def test_odd_sets_have_a_value_or_a_reason():
    for texts in (["", ""], ["a", ""], ["same text"] * 4, ["a", "b"], ["", "", "a b c d e"]):
        for measure in (vocabulary_size, ngram_frequency, self_bleu, lambda t: distinct_n(t, 2)):
            found = measure(texts)
            assert np.isfinite([x for x in (found.value, found.low, found.high) if x is not None]).all()
            assert (found.value is None) == bool(found.why)
    assert distinct_n(["a b", "c"], 5).why == ngram_frequency(["", ""]).why == "no text is that long"
    assert length_divergence([], ["a"]).why
    assert length_divergence(["", ""], [""]).value == 0
    assert label_divergence(["x"], []).why


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
    assert self_bleu(SENTENCES, n).value == pytest.approx(value, abs=1e-12)


def test_self_bleu_of_real_sentences_agrees_with_nltk():
    texts = reviews(200)
    assert self_bleu(texts).value == pytest.approx(nltk_self_bleu(texts, 4, range(200)), abs=1e-9)


def test_drawn_texts_are_compared_with_all_the_others():
    chosen = Random(1).sample(range(len(SENTENCES)), 10)
    expected = nltk_self_bleu(SENTENCES, 2, chosen)
    assert self_bleu(SENTENCES, 2, sample=10, seed=1).value == pytest.approx(expected, abs=1e-12)
    assert self_bleu(SENTENCES, sample=10, seed=1) != self_bleu(SENTENCES, sample=10, seed=2)
    assert self_bleu(SENTENCES, sample=len(SENTENCES)) == self_bleu(SENTENCES)


def test_copies_are_less_varied():
    copies = SENTENCES + SENTENCES[:10]
    assert self_bleu(copies).value > self_bleu(SENTENCES).value
    assert distinct_n(copies, 2).value < distinct_n(SENTENCES, 2).value
    assert vocabulary_size(copies).value == vocabulary_size(SENTENCES).value
    assert self_bleu(["one and the same text"] * 3).value == pytest.approx(1)
    assert self_bleu(["nothing here", "alike at all"]).value == 0


def zipf_texts(seed: int, n: int = 100) -> list[str]:
    choose = Random(seed)
    weights = [1 / (rank + 2.7) for rank in range(2000)]
    return [" ".join(f"w{i}" for i in choose.choices(range(2000), weights, k=12)) for _ in range(n)]


def test_intervals_hold_the_value_of_other_sets_of_the_same_source():
    sets = [Words.of(zipf_texts(seed)) for seed in range(150)]
    for measure in (vocabulary_size, lambda w: distinct_n(w, 2), ngram_frequency, lambda w: self_bleu(w, 2)):
        found = [measure(words) for words in sets]
        expected = np.mean([m.value for m in found])
        assert np.mean([m.low <= expected <= m.high for m in found]) > 0.9


def test_copied_and_templated_reviews_are_less_varied_than_real_ones():
    real = reviews(600)
    words = sorted({w for text in real for w in tokens(text) if w.isalpha() and len(w) > 4})
    choose = Random(0).choice
    worse = [
        [*real[:60]] * 10,
        [f"this {choose(words)} film has a {choose(words)} plot and {choose(words)} jokes ." for _ in real],
    ]
    for texts in worse:
        assert vocabulary_size(texts).high < vocabulary_size(real).low
        for n in (1, 2):
            assert distinct_n(texts, n).high < distinct_n(real, n).low
            assert ngram_frequency(texts, n).value > ngram_frequency(real, n).value
        assert ngram_frequency(texts, 2).low > ngram_frequency(real, 2).high
        assert self_bleu(texts).low > self_bleu(real).high


def test_the_order_of_words_is_seen_by_longer_ngrams_alone():
    real, choose = reviews(300), Random(0)
    shuffled = [" ".join(choose.sample(tokens(text), len(tokens(text)))) for text in real]
    assert vocabulary_size(shuffled).value == vocabulary_size(real).value
    assert distinct_n(shuffled, 1).value == distinct_n(real, 1).value
    assert ngram_frequency(shuffled, 2).value < ngram_frequency(real, 2).value


def test_real_sentences_are_more_varied_than_templates():
    file = GOLD / "stsa.binary.train"
    if not file.exists():
        pytest.skip(f"{file} is absent")
    real = [line.split(" ", 1)[1] for line in file.read_text("latin-1").splitlines()[:1000]]
    words = ["good", "bad", "slow", "warm", "dull", "great", "long", "sweet", "loud", "thin"]
    templates = [f"the {a} film has a {b} plot and {c} jokes ." for a, b, c in product(words, repeat=3)]
    assert vocabulary_size(real).value > 100 * vocabulary_size(templates).value
    assert distinct_n(real, 2).value > 5 * distinct_n(templates, 2).value
    assert self_bleu(real).value < 0.3 < 0.9 < self_bleu(templates).value


def test_the_usual_ones_as_metric_rows():
    table = diversity(SENTENCES, lambda texts: np.eye(len(texts), dtype=np.float32)).set_index("name")
    assert table.loc["average_pairwise_similarity", "value"] == 0
    row = table.loc["distinct_2"]
    assert row["low"] < row["value"] == distinct_n(SENTENCES, 2).value < row["high"]
    assert set(table["n"]) == {len(SENTENCES)}


def test_measurements_give_the_same_values_and_write_no_file(tmp_path):
    from synth_assets.evaluation import DistinctN, LabelDivergence, NgramFrequency, SelfBLEU, Vocabulary

    assert SelfBLEU().compute(data=SENTENCES, n=3)["self_bleu"] == self_bleu(SENTENCES, 3).value
    unknown = {"low": None, "high": None, "n": 1, "why": "fewer than two texts"}
    assert SelfBLEU(cache_dir=str(tmp_path)).compute(data=["one"]) == {"self_bleu": None, **unknown}
    assert not list(tmp_path.iterdir())
    assert DistinctN().compute(data=SENTENCES)["distinct_2"] == distinct_n(SENTENCES, 2).value
    assert Vocabulary().compute(data=SENTENCES)["vocabulary"] == vocabulary_size(SENTENCES).value
    found = NgramFrequency().compute(data=SENTENCES, n=1)
    assert found["ngram_frequency_1"] == ngram_frequency(SENTENCES, 1).value
    assert LabelDivergence().compute(data=["x", "y"], real=["x", "y"])["label_divergence"] == 0


def test_the_package_does_without_evaluate_until_it_is_asked():
    code = (
        "import sys, synth_assets.evaluation.diversity as d; d.self_bleu(['a b', 'a c']);"
        "assert not {'evaluate', 'datasets', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_refused():
    with pytest.raises(ImportError, match="SelfRouge"):
        from synth_assets.evaluation import SelfRouge  # noqa: F401
