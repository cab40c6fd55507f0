"""What methods give at the scale of their papers, beside a plain implementation of each.

    python benchmarks/methods.py [tfidf dynamics labels acquisition]    # DATA: ../shared/data, or $DATA

dynamics: `learning_dynamics` taught by 20, 50 and 100 seeds of 20 numbers each, on 1,000 rows of which 30 %
have the other label: how many it drops, how many of them have the other label, and what rows are worth before
and after (area of boosting on 2,000 right rows). By 100, 15 to 30 % go in the mean of four draws, and of each
draw 70 % or more of them are flipped, for no less area.

labels: the ways to label by students on 2,000 film sentences, with labels that are right by so much and with
gold rows or without: how many are right afterwards. Of .945 never less than .94.

acquisition: AG News, 5,000 texts to choose from and 2,600 to test on, labels of an annotator that is wrong of
one row in ten; 50 random texts, then 50 a round, by each way (`task: annotate`, `acquire`), the mean of ten
draws (of three, where vectors are compared). What 500 random texts teach, 400 do by entropy, and 350 by
margin.

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


def dynamics() -> bool:
    import pandas as pd
    from sklearn.datasets import make_classification
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    from synth_assets.contracts.filter import Context
    from synth_assets.core.registry import FILTERS

    rule, fine = FILTERS.find("learning_dynamics").model_validate({"taught_by": "seeds"}), True
    shares = list[float]()
    names = [f"x{i}" for i in range(20)]
    for n, seed in ((n, seed) for n in (20, 50, 100) for seed in range(4)):
        draw, rows = np.random.default_rng(seed), n + 3000
        x, kind = make_classification(rows, 20, n_informative=10, n_redundant=5, flip_y=0, random_state=seed)
        of_each = np.concatenate([np.flatnonzero(kind == k)[: n // 2] for k in (0, 1)])  # as many seeds
        at = np.concatenate([of_each, np.setdiff1d(np.arange(rows), of_each)])
        x, kind = x[at], kind[at]
        flipped = (draw.random(rows) < 0.3) & (np.arange(rows) >= n) & (np.arange(rows) < n + 1000)
        table = pd.DataFrame(x, columns=names).assign(label=np.array(["a", "b"])[kind ^ flipped], text="")
        vectors = draw.normal(size=(rows, 384)).astype(np.float32)  # texts say nothing
        context = Context(
            verbalizers={},
            encode=lambda texts, vectors=vectors: vectors[: len(texts)],
            seeds=table.head(n),
            typed=dict.fromkeys(names, "number"),
        )
        made, test = table[n : n + 1000].reset_index(drop=True), slice(n + 1000, None)
        stays = rule.passes(made.assign(**rule.score(made, context)))

        def area(of: Any, x: Any = x, kind: Any = kind, test: slice = test) -> float:
            student = HistGradientBoostingClassifier(random_state=0).fit(of[names].to_numpy(), of["label"])
            return float(roc_auc_score(kind[test], student.predict_proba(x[test])[:, 1]))

        share, right = float(1 - stays.mean()), float(flipped[n : n + 1000][~stays].mean())
        before, after = area(made), area(made[stays])
        told(method="dynamics", seeds=n, draw=seed, dropped=share, flipped=right, raw=before, curated=after)
        if n == 100:
            shares.append(share)
            fine &= right >= 0.7 and after >= before
    return fine and 0.15 <= float(np.mean(shares)) <= 0.3


def labels() -> bool:
    import pandas as pd

    from synth_assets.core.registry import LABELS
    from synth_assets.curation.labels.enhance import enhance
    from synth_assets.resources.encoder import MiniLM

    encode, fine = MiniLM(remember=3000).encode, True
    texts, gold = map(np.array, lines("rt-polarity.all"))
    at = np.random.default_rng(0).permutation(len(texts))[:2200]
    rows, known = at[:2000], pd.DataFrame({"text": texts[at[2000:]], "label": gold[at[2000:]]})
    for share in (0.945, 0.7, 0.6):
        wrong = np.random.default_rng(1).random(2000) > share
        said = np.where(wrong, np.where(gold[rows] == "0", "1", "0"), gold[rows])
        given = pd.DataFrame({"text": texts[rows], "label": said})
        for by in ("confident_learning", "clean_pool", "cross_partition"):
            for of in (None, known):
                found = enhance(given, LABELS.find(by)(by=by), encode=encode, gold=of)
                before, after = (float((table == gold[rows]).mean()) for table in (said, found["label"]))
                told(method=by, gold=0 if of is None else len(of), before=before, after=after)
                fine &= after >= before - 0.005
    return fine


def acquisition() -> bool:
    from synth_assets.recipe.annotate import ACQUIRE
    from synth_assets.resources.encoder import MiniLM

    texts, gold = map(np.array, news())
    vectors = dict(zip(texts, MiniLM().encode(list(texts)), strict=True))
    reached = dict[str, Any]()
    for by in ACQUIRE:
        draws = 10 if by in ("random", "entropy", "least_confidence", "margin") else 3
        each = [list(_acquired(by, texts, gold, vectors, seed)) for seed in range(draws)]
        reached[by] = np.mean(each, axis=0)
        told(method="acquisition", by=by, **{str(50 * (i + 1)): v for i, v in enumerate(reached[by])})
    chance = reached["random"][9]  # 500 texts
    return bool(reached["entropy"][7] >= chance and reached["margin"][6] >= chance)


def _acquired(by: str, texts: Any, gold: Any, vectors: Any, seed: int) -> Iterator[float]:
    """Accuracy on the test texts after 50, 100, ..., 500 labels."""
    from synth_assets.annotation.acquisition import acquire
    from synth_assets.students.classifier import Student
    from synth_assets.students.made import Made

    draw, classes = np.random.default_rng(seed), sorted(set(gold))
    order = draw.permutation(len(texts))
    pool, test = order[:5000], order[5000:]
    other = draw.integers(1, len(classes), len(texts))  # who is wrong says any other label
    said = {
        i: classes[(classes.index(gold[i]) + other[i] * (draw.random() < 0.1)) % len(classes)] for i in order
    }

    def encode(of: Any) -> np.ndarray:
        return np.array([vectors[text] for text in of])

    by_id, taken, student = {str(i): texts[i] for i in pool}, list[str](), Made(encode, Student)
    while len(taken) < 500:
        known = [texts[int(i)] for i in taken], [said[int(i)] for i in taken]
        way = by if taken else "random"
        taken += acquire(
            by_id, 50, way, parts=[seed], taken=taken, labelled=known, student=student, encode=encode
        )
        labels = [said[int(i)] for i in taken]
        trained = Student(sorted(set(labels))).fit(encode(texts[[int(i) for i in taken]]), labels)
        yield float(np.mean(np.array(trained.predict(encode(texts[test]))) == gold[test]))


METHODS: dict[str, Callable[[], bool]] = {
    **{"tfidf": tfidf, "dynamics": dynamics, "labels": labels},
    "acquisition": acquisition,
}


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(METHODS)
    found = [METHODS[name]() for name in chosen]
    sys.exit(int(not all(found)))
