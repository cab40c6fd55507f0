"""What methods give at the scale of their papers, beside a plain implementation of each.

    python benchmarks/methods.py [tfidf ...]       # DATA: ../shared/data, or the folder that $DATA names

tfidf: accuracy of the student `features: tfidf` on five public sets, and of scikit-learn's TfidfVectorizer
(words and pairs of words, sublinear) with logistic regression; they are within .005 of each other.

One JSON line each; exit code 1 where one is not what it says here.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(os.environ.get("DATA") or Path(__file__).parents[2] / "shared/data") / "gold_text"
Texts = tuple[list[str], list[str]]  # and their labels


def lines(name: str) -> Texts:
    """A file of lines `label text`."""
    read = (DATA / name).read_text("latin-1").split("\n")
    rows = [line.split(" ", 1) for line in read if line]
    return [text for _, text in rows], [label.partition(":")[0] for label, _ in rows]


def news() -> Texts:
    with (DATA / "ag_news_test.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row[0], f"{row[1]} {row[2]}") for row in csv.reader(file) if row]
    return [text for _, text in rows], [label for label, _ in rows]


def halves(data: Texts, seed: int = 0) -> tuple[Texts, Texts]:
    order = np.random.default_rng(seed).permutation(len(data[0]))
    first, second = (
        ([data[0][i] for i in part], [data[1][i] for i in part]) for part in np.array_split(order, 2)
    )
    return first, second


def sets() -> Iterator[tuple[str, Texts, Texts]]:
    """Name, and the rows to learn from and to test on."""
    yield "TREC", lines("TREC.train.all"), lines("TREC.test.all")
    yield "SST-2", lines("stsa.binary.train"), lines("stsa.binary.test")
    yield "movie sentences", *halves(lines("rt-polarity.all"))
    yield "subjectivity", *halves(lines("subj.all"))
    yield "AG News", *halves(news())


def told(**line: Any) -> None:
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}), flush=True)


def tfidf() -> bool:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from synth_assets.students.classifier import Student
    from synth_assets.students.tfidf import Tfidf

    fine = True
    for name, (texts, labels), (others, gold) in sets():
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        plain = make_pipeline(words, LogisticRegression(max_iter=1000)).fit(texts, labels)
        student = Tfidf(Student(sorted(set(labels)))).fit(texts, labels)
        said = np.array(student.labels)[student.predict_proba(others).argmax(axis=1)]
        ours, theirs = float((said == np.array(gold)).mean()), float(plain.score(others, gold))
        told(method="tfidf", set=name, rows=len(texts), ours=ours, scikit_learn=theirs)
        fine &= abs(ours - theirs) <= 0.005
    return fine


METHODS: dict[str, Callable[[], bool]] = {"tfidf": tfidf}


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(METHODS)
    found = [METHODS[name]() for name in chosen]
    sys.exit(int(not all(found)))
