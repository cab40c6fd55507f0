"""Usefulness: students on sets, baselines beside them, intervals around both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from synth_assets.evaluation import measure
from synth_assets.evaluation.usefulness import compare, paired_gain, wilson, word_list_labels
from synth_assets.students.classifier import Student


def rows(n: int, origin: str | None = None, split: str | None = None, prefix: str = "r") -> pd.DataFrame:
    labels = ["bad", "good"] * (n // 2)
    table = pd.DataFrame({"row_id": [f"{prefix}{i}" for i in range(n)], "label": labels})
    table["text"] = [f"{y} film number {i}" for i, y in enumerate(labels)]
    return table.assign(**({"origin": origin} if origin else {}), **({"split": split} if split else {}))


def encode(texts: Sequence[str]) -> np.ndarray:
    """One axis that tells the labels apart, one that tells nothing."""
    return np.array([[1.0 if "good" in t else -1.0, len(t) % 3] for t in texts], dtype=np.float32)


def test_wilson_intervals() -> None:
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)  # Wilson 1927, textbook value
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10)[1] == pytest.approx(1.0)
    assert wilson(0, 0) == (0.0, 1.0)


def test_wilson_covers_the_truth_about_95_times_in_100() -> None:
    draws = np.random.default_rng(0).binomial(60, 0.8, size=2000)
    covered = [low <= 0.8 <= high for low, high in (wilson(int(k), 60) for k in draws)]
    assert 0.93 < np.mean(covered) < 0.97


def test_a_paired_gain_is_about_the_rows_that_changed() -> None:
    before = np.array([True] * 60 + [False] * 40)
    after = np.array([True] * 60 + [True] * 20 + [False] * 20)
    gain, low, high = paired_gain(after, before)
    assert gain == pytest.approx(0.2)
    assert 0.11 < low < 0.2 < high < 0.29  # the standard error is .04
    assert paired_gain(before, before) == (0.0, 0.0, 0.0)


def test_a_set_that_lacks_a_class_has_an_unknown_accuracy() -> None:
    one_class = rows(10)[lambda t: t["label"] == "good"]
    hits = measure.student_hits({"seeds": rows(4), "half": one_class}, rows(20), encode)
    assert hits["half"] is None
    table = compare(hits, 20, "seeds").set_index(["name", "slice"])
    assert table.loc[("accuracy", "seeds"), "value"] == 1.0
    assert pd.isna(table.loc[("accuracy", "half"), "value"])


def test_weights_change_what_a_student_learns() -> None:
    features, labels = encode(["good", "good", "bad"]), ["good", "bad", "bad"]  # the second label is wrong
    trusting = Student(["bad", "good"]).fit(features, labels, [1.0, 50.0, 1.0])
    doubting = Student(["bad", "good"]).fit(features, labels, [1.0, 0.01, 1.0])
    assert trusting.predict(encode(["good"])) == ["bad"]
    assert doubting.predict(encode(["good"])) == ["good"]
    assert doubting.predict_proba(encode(["good"])).sum() == pytest.approx(1.0)


def test_the_sets_that_are_compared() -> None:
    """As many real rows of each label as synthetic ones; only accepted rows; seeds only if they weigh."""
    seeds = pd.concat([rows(4, split="demonstration", prefix="d"), rows(40, split="unlabeled", prefix="u")])
    generated = rows(12).assign(accepted=[True] * 10 + [False] * 2)
    weighted = rows(6, origin="synthetic").assign(weight=0.5)
    sets = measure.training_sets(generated, rows(8), weighted, seeds)
    sizes = {name: len(table) for name, table in sets.items()}
    assert sizes == {
        "seeds": 4,
        "generations": 10,
        "filtered": 8,
        "weighted": 6,
        "seeds + weighted": 10,
        "real": 6,
    }
    assert sets["real"]["label"].value_counts().to_dict() == {"bad": 3, "good": 3}
    assert set(sets["real"]["split"]) == {"unlabeled"}
    few = measure.training_sets(generated, rows(8), rows(60, origin="synthetic").assign(weight=1.0), seeds)
    assert "real" not in few


def test_diversity_is_compared_on_as_many_rows_of_each_set() -> None:
    table = measure.diversities({"generations": rows(40), "filtered": rows(10), "seeds": rows(2)}, encode)
    assert set(table["slice"]) == {"generations", "filtered"}
    assert set(table["n"]) == {10}


def test_yields_by_cell() -> None:
    generated = rows(10).assign(cell=["a"] * 4 + ["b"] * 6)
    table = measure.yields(generated, generated[:6]).set_index("slice")
    assert table["value"].to_dict() == pytest.approx({"all": 0.6, "a": 1.0, "b": 2 / 6})
    assert table["n"].to_dict() == {"all": 10, "a": 4, "b": 6}


def test_a_word_list_counts_words_and_a_tie_goes_to_the_first() -> None:
    words = {"bad": ["dull"], "good": ["fine", "warm"]}
    texts = ["a dull film", "a Fine and warm film", "a film", "fine but dull"]
    assert word_list_labels(texts, words) == ["bad", "good", "bad", "bad"]


def test_the_annotators_missing_answers_are_missing_and_not_wrong() -> None:
    test = rows(8)

    def annotate(texts: Sequence[str]) -> list[dict[str, float] | None]:
        right = {"bad": (-0.1, -3.0), "good": (-3.0, -0.1)}
        known = [dict(zip(("bad", "good"), right[t.split()[0]], strict=True)) for t in texts]
        return [None if "number 0" in t else p for t, p in zip(texts, known, strict=True)]

    table = measure.model_alone(test, 8, annotate, np.array([True] * 8)).set_index("name")
    assert table.loc["accuracy", "value"] == 1.0
    assert table.loc["accuracy", "n"] == 7
    unknown = measure.model_alone(test, 8, lambda texts: [None] * len(texts), None)
    assert unknown["value"].isna().all()
