"""Scores of labels by students: exact on hand tables, and right on public sets with noise put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synth_assets.curation import noise
from synth_assets.curation.bilevel import bilevel_weights, inverse_frequency
from synth_assets.curation.relabel import cross_relabelled, dawid_skene, majority
from synth_assets.students.crossfit import folds, out_of_fold, shares
from synth_assets.students.softmax import SoftmaxRegression, checkpoints, probabilities

GOLD = Path(__file__).parents[2] / "shared/data/gold_text"


def test_duplicates_never_stand_on_both_sides() -> None:
    groups = [f"g{i % 30}" for i in range(90)]
    fold = folds(groups, 5, seed=0)
    assert all(len({f for f, g in zip(fold, groups, strict=True) if g == name}) == 1 for name in groups)
    assert set(fold) == set(range(5))


@pytest.mark.parametrize("wrong", [[0.0, 0.0], [1.0, float("nan")], [2.0, -1.0], [1.0]])
def test_weights_that_mean_nothing_are_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="wanted 2 weights"):
        shares(wrong, 2)


def test_soft_labels_train_as_rows_repeated_with_weights() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    soft = np.column_stack([p := np.linspace(0.1, 0.9, 40), 1 - p])
    twice = SoftmaxRegression(["a", "b"], c=0.5).fit(
        np.vstack([x, x]), ["a"] * 40 + ["b"] * 40, np.concatenate([soft[:, 0], soft[:, 1]])
    )
    once = SoftmaxRegression(["a", "b"]).fit(x, soft)
    assert once.predict_proba(x) == pytest.approx(twice.predict_proba(x), abs=1e-3)


def test_the_dropped_region_is_low_confidence_with_low_uncertainty() -> None:
    table = np.array([[0.1, 0.0, 0.9], [0.1, 0.6, 0.9], [0.1, 0.0, 0.9]])
    confidence, aleatoric, variability = noise.dynamics(table)
    assert confidence == pytest.approx([0.1, 0.2, 0.9])
    assert aleatoric == pytest.approx([0.09, 0.08, 0.09])
    assert variability == pytest.approx([0.0, 0.08**0.5, 0.0])
    assert noise.hard(np.array([0.2, 0.2, 0.21]), np.array([0.2, 0.21, 0.0])).tolist() == [True, False, False]


def test_an_invalid_answer_is_missing_and_a_poor_annotator_counts_less() -> None:
    draw = np.random.default_rng(0)
    truth = [str(y) for y in draw.choice(["a", "b"], 400)]
    other = {"a": "b", "b": "a"}
    skill = (0.95, 0.9, 0.55, 0.55, 0.55)
    answers = [[y if draw.random() < s else other[y] for s in skill] for y in truth]
    voted = majority(answers)
    modelled = [["a", "b"][i] for i in dawid_skene(answers, ["a", "b"]).argmax(axis=1)]
    hits = [np.mean([v == t for v, t in zip(m, truth, strict=True)]) for m in (voted, modelled)]
    assert hits[1] > hits[0] + 0.03
    assert majority([[None, "a", None], ["a", "b"], [None]]) == ["a", None, None]


def test_every_label_weighs_the_same_in_all() -> None:
    assert inverse_frequency(["a", "a", "a", "b"]) == pytest.approx([2 / 3] * 3 + [2])


def test_trec_with_40_percent_of_wrong_labels() -> None:
    from sklearn.metrics import roc_auc_score

    x, labels, clean, gold = noisy_trec(seed=0)
    classes, groups = sorted(set(labels)), range(len(labels))
    p = out_of_fold(x, labels, groups, SoftmaxRegression(classes).fit)
    confidence = noise.given(p, labels)
    at = checkpoints(x, labels, classes)
    mean, aleatoric, _ = noise.dynamics(np.array([noise.given(probabilities(x, a), labels) for a in at]))
    auc = {
        "out of fold": roc_auc_score(clean, confidence),
        "checkpoints": roc_auc_score(clean, mean),
        "mixture": roc_auc_score(clean, noise.loss_mixture(confidence, labels)),
        "neighbours": roc_auc_score(clean, noise.neighbours(x, labels)[0]),
        "influence": roc_auc_score(clean, noise.influence(x, labels, groups)),
        "influence, ce": roc_auc_score(clean, noise.influence(x, labels, groups, "ce")),
    }
    auc["bilevel"] = roc_auc_score(clean, bilevel_weights(x, labels, groups))
    relabelled = cross_relabelled(x, labels, groups, SoftmaxRegression(classes).fit, classes)
    right = np.mean([a == b for a, b in zip(relabelled, gold, strict=True)])
    drop = noise.hard(mean, aleatoric, tau=0.1)
    assert drop.mean() >= 0.18
    assert clean[drop].mean() <= 0.07
    assert min(auc["out of fold"], auc["checkpoints"], auc["mixture"]) >= 0.92
    assert auc["neighbours"] >= 0.90
    assert auc["bilevel"] >= 0.90
    assert right >= 0.72  # from 0.60
    assert auc["influence"] >= max(0.88, auc["influence, ce"] + 0.15)


def noisy_trec(seed: int) -> tuple[np.ndarray, list[str], np.ndarray, list[str]]:
    """Features, labels of which 40 % are another class at random, which are right, and the gold ones."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    if not GOLD.exists():
        pytest.skip(f"needs {GOLD}")
    lines = (GOLD / "TREC.train.all").read_text("utf-8", "replace").splitlines()
    gold, texts = zip(*(line.split(" ", 1) for line in lines), strict=True)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(texts)
    x = normalize(TruncatedSVD(128, random_state=0).fit_transform(words)).astype(np.float32)
    draw = np.random.default_rng(seed)
    classes, y = np.unique(gold, return_inverse=True)
    wrong = draw.random(len(y)) < 0.4
    y = np.where(wrong, (y + draw.integers(1, len(classes), len(y))) % len(classes), y)
    return x, [str(c) for c in classes[y]], ~wrong, list(gold)
