"""Which texts are labelled next: the claim on real news, and what a choice rests on."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from synth_assets.annotation.acquisition import acquire
from synth_assets.recipe.annotate import ACQUIRE
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made

NEWS = Path(__file__).parents[3] / "shared/data/gold_text/ag_news_test.csv"
POOL = {f"r{n}": f"text {n}" for n in range(60)}


def encode(texts: Sequence[str]) -> np.ndarray:
    """On a circle, by the number of the text: 0 to 59."""
    angle = np.array([int(text.split()[1]) for text in texts]) / 60 * np.pi
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


@pytest.mark.parametrize("by", ACQUIRE)
def test_each_way_gives_others_than_were_taken(by: str) -> None:
    taken = [f"r{n}" for n in range(0, 60, 3)]
    known = [POOL[name] for name in taken], ["a" if int(name[1:]) < 30 else "b" for name in taken]
    given = {"labelled": known, "student": Made(encode, Student), "encode": encode}
    found = acquire(POOL, 10, by, taken=taken, **given)
    assert len({*found} - {*taken}) == 10
    assert found == acquire(dict(reversed(POOL.items())), 10, by, taken=taken[::-1], **given)
    assert len(acquire(POOL, 100, by, taken=taken, **given)) == 40


@pytest.mark.parametrize("by", ["entropy", "least_confidence", "margin"])
def test_a_student_is_asked_where_two_labels_meet(by: str) -> None:
    known = [POOL[f"r{n}"] for n in (0, 10, 49, 59)], ["a", "a", "b", "b"]
    found = acquire(POOL, 5, by, labelled=known, student=Made(encode, Student), encode=encode)
    assert {int(name[1:]) for name in found} <= {*range(26, 34)}


def test_without_two_labels_any_texts_are_taken_and_of_many_some_are_looked_at() -> None:
    nothing = acquire(POOL, 5, "random", parts=[1])
    assert acquire(POOL, 5, "entropy", parts=[1]) == nothing
    few = acquire(POOL, 5, "k_means", parts=[1], encode=encode, candidates=6)
    assert {*few} < {*acquire(POOL, 6, "random", parts=[1])}


@pytest.mark.skipif(not NEWS.exists(), reason=f"there is no {NEWS}")
def test_on_news_with_a_wrong_label_in_ten_fewer_labels_teach_more_if_they_are_chosen() -> None:
    """`benchmarks/methods.py acquisition` is the same at the scale of the paper."""
    of, reached = news(), dict[str, np.ndarray]()
    for by in ("random", "margin"):
        reached[by] = np.mean([list(learned(by, seed, of)) for seed in range(3)], axis=0)
    assert reached["margin"][4] > reached["random"][5]  # 250 texts against 300
    assert reached["margin"][5] > reached["random"][5] + 0.01


News = tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]  # labels, texts, and their vectors


def news() -> News:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    with NEWS.open(encoding="utf-8", newline="") as file:
        rows = [(row[0], f"{row[1]} {row[2]}") for row in csv.reader(file) if row]
    some = np.random.default_rng(0).permutation(len(rows))[:3000]
    gold, texts = (np.array(column)[some] for column in zip(*rows, strict=True))
    words = TfidfVectorizer(sublinear_tf=True, min_df=3, stop_words="english").fit_transform(texts)
    vectors = TruncatedSVD(64, n_iter=2, random_state=0).fit_transform(words)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9
    return gold, texts, dict(zip(texts, vectors, strict=True))


def learned(by: str, seed: int, of: News) -> Iterator[float]:
    """Accuracy on other news after 50, 100, ..., 300 labels."""
    gold, texts, vectors = of
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(texts))
    said = np.where(draw.random(len(texts)) < 0.1, draw.choice(gold, len(texts)), gold)
    pool, test = {str(at): texts[at] for at in order[:2000]}, order[2000:]

    def encoded(some: Sequence[str]) -> np.ndarray:
        return np.array([vectors[text] for text in some])

    taken: list[str] = []
    while len(taken) < 300:
        known = [pool[name] for name in taken], [str(said[int(name)]) for name in taken]
        given = {"parts": [seed], "taken": taken, "labelled": known, "student": Made(encoded, Student)}
        taken += acquire(pool, 50, by if taken else "random", encode=encoded, **given)  # type: ignore[arg-type]
        labels = [str(said[int(name)]) for name in taken]
        student = Student(sorted({*labels})).fit(encoded([pool[name] for name in taken]), labels)
        yield float(np.mean(np.array(student.predict(encoded(texts[test]))) == gold[test]))
