"""Weights that are learned: low where a label is wrong, high where words say it, refused where all are 0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from synth_assets.core.errors import UserError
from synth_assets.curation.weights import bilevel
from synth_assets.curation.weights.token_weights import row_weights, token_weights
from synth_assets.curation.weights.weigh import effective_size
from synth_assets.resources.encoder import MiniLM
from synth_assets.students.classifier import Student
from tests.curation.methods import weighed
from tests.curation.test_noise import GOLD, noisy, public


def accuracy(
    x: np.ndarray, labels: np.ndarray, weights: object, x_test: np.ndarray, gold: np.ndarray
) -> float:
    student = Student(sorted(set(labels))).fit(x, list(labels), weights)
    return float(np.mean(np.asarray(student.predict(x_test)) == gold))


def test_right_rows_weigh_twice_the_wrong_ones_by_a_hundred_gold_rows() -> None:
    x, labels, clean = noisy("trec")
    gold = np.asarray(public("trec")[1])
    order = np.random.default_rng(0).permutation(len(gold))
    meta, rest = order[:100], order[100:]
    weights = bilevel.learning_to_reweight(x[rest], [labels[i] for i in rest], x[meta], list(gold[meta]))
    assert weights.min() >= 0
    assert weights[clean[rest]].mean() >= 2 * weights[~clean[rest]].mean()


def test_weights_raise_a_students_accuracy_where_40_percent_of_the_labels_are_wrong() -> None:
    texts, right, _ = public("ag")
    x, noise, _ = noisy("ag")
    labels, gold = np.asarray(noise), np.asarray(right)
    order = np.random.default_rng(0).permutation(len(gold))
    test, rest = order[:3000], order[3000:7000]
    said, groups = list(labels[rest]), range(len(rest))
    weights = {
        "none": None,
        "bilevel": bilevel.bilevel_weights(x[rest], said, groups),
        "influence": bilevel.influence_weights(x[rest], said, groups),
        "tokens": row_weights([texts[i] for i in rest], said, groups),
    }
    found = {n: accuracy(x[rest], labels[rest], w, x[test], gold[test]) for n, w in weights.items()}
    assert found["bilevel"] >= max(0.80, found["none"] + 0.01)
    assert found["influence"] >= found["none"] + 0.01
    assert found["tokens"] >= found["none"] + 0.01


def test_words_of_a_label_weigh_more_than_words_of_every_text() -> None:
    """A grammar: two words of its label among six of no label, in 100 texts of each label."""
    from sklearn.metrics import roc_auc_score

    of_no_label, of_labels = 12, 3
    draw, counts = np.random.default_rng(0), np.zeros((2, of_no_label + 2 * of_labels))
    for n in range(200):
        own = of_no_label + of_labels * (n % 2) + draw.integers(of_labels, size=2)
        np.add.at(counts[n % 2], np.concatenate([draw.integers(of_no_label, size=6), own]), 1)
    weights = token_weights(counts)
    assert (weights * counts).sum() == pytest.approx(counts.sum())
    stands = counts > 0
    is_of_label = np.broadcast_to(np.arange(counts.shape[1]) >= of_no_label, counts.shape)
    assert roc_auc_score(is_of_label[stands], weights[stands]) >= 0.9
    assert weights[stands & is_of_label].mean() > 2 * weights[stands & ~is_of_label].mean()


@pytest.mark.parametrize("texts", [[f"w{i}" for i in range(60)], ["!" * (i + 1) for i in range(60)]])
def test_words_of_which_nothing_was_learned_keep_weights_finite(texts: list[str]) -> None:
    """Each row has words of its own alone, or all have one word."""
    weights = row_weights(texts, ["good", "bad"] * 30, texts)
    assert weights.mean() == pytest.approx(1)
    assert 0.1 < weights.min() < weights.max() < 3


def rows(n: int = 40, wrong: int = 2) -> pd.DataFrame:
    """Good and bad films in turn; the labels of the last are wrong."""
    words = ["warm", "dull"]
    label = ["bad" if (i % 2) != (i >= n - wrong) else "good" for i in range(n)]
    return pd.DataFrame({"text": [f"a {words[i % 2]} film number {i}" for i in range(n)], "label": label})


def encode(texts: list[str]) -> np.ndarray:
    return np.array([[1.0, 0.0] if "warm" in t else [0.0, 1.0] for t in texts], dtype=np.float32)


@pytest.mark.parametrize(
    "by", ["confidence", "influence", "bilevel", "learning_to_reweight", "token_weights"]
)
def test_a_row_with_a_wrong_label_weighs_least(by: str) -> None:
    made = weighed(rows(), rows(0), by=by, power=1, seeds=0, encode=encode, gold=rows(4, wrong=0))["weight"]
    assert made.iloc[38:].max() < made.iloc[:38].min()
    again = weighed(rows(), rows(0), by=by, power=1, seeds=0, encode=encode, gold=rows(4, wrong=0))
    assert again["weight"].equals(made)


def test_gold_rows_that_lack_a_label_are_refused_with_the_fix() -> None:
    gold = rows(4, wrong=0)[lambda t: t["label"] == "bad"]
    with pytest.raises(UserError, match=r"has none of good: raise seeds\.splits\.validation"):
        weighed(rows(), gold, by="learning_to_reweight", power=1, seeds=0, encode=encode, gold=gold)


@pytest.mark.parametrize("confidence", [[0.0, 0.0], [-1.0, 1.0], [float("inf"), 1.0]])
def test_weights_that_are_not_finite_negative_or_all_zero_are_refused(confidence: list[float]) -> None:
    table = rows(2, wrong=0).assign(confidence=confidence)
    with pytest.raises(UserError, match="negative, not finite or all zero: lower `power`"):
        weighed(table, table, by="label_agreement", power=1, seeds=0)


def test_one_row_may_weigh_nothing() -> None:
    table = rows(4, wrong=0).assign(confidence=[0.0, 0.5, 0.5, 0.5])
    made = weighed(table, table, by="label_agreement", power=1, seeds=0)
    assert made["weight"].tolist() == [0.0, 1.0, 2.0, 1.0]


def test_weights_are_levelled_so_that_a_label_counts_as_much_as_it_has_rows() -> None:
    table = rows(6, wrong=0).assign(label=list("aaaabb"), confidence=[0.8, 0.4, 0.4, 0.8, 0.1, 0.3])
    level = weighed(table, table, by="label_agreement", seeds=0.5)
    assert level["weight"][:6].tolist() == pytest.approx([4 / 3, 2 / 3, 2 / 3, 4 / 3, 0.5, 1.5])
    assert level["weight"][6:].sum() == pytest.approx(3)  # the seeds: a half of six rows
    raw = weighed(table, table, by="label_agreement", levelled=False)
    assert raw["weight"].tolist() == table["confidence"].tolist()
    nothing = weighed(table.assign(confidence=[1.0] * 4 + [0.0] * 2), table, by="label_agreement")
    assert nothing["weight"].tolist() == [1.0] * 4 + [0.0] * 2  # there is nothing to level
    equal = weighed(table.assign(confidence=[0.1] * 4 + [0.3] * 2), table, by="label_agreement", seeds=0)
    assert equal["weight"].tolist() == [1.0] * 6  # exactly


ASKS_FOR = {  # what a question of TREC asks for, by the number of its label
    "0": "a description or an explanation",
    "1": "an entity, a thing",
    "2": "an abbreviation",
    "3": "a human being",
    "4": "a number",
    "5": "a location",
}


def test_an_annotator_that_is_less_sure_of_some_labels_no_longer_costs_those_labels() -> None:
    """TREC, 80 questions of each of six labels; the annotator holds a question against what labels mean."""
    encode = MiniLM(threads=1).encode
    train, test = (trec(f"TREC.{part}.all") for part in ("train", "test"))
    of_labels = [of.sample(80, random_state=0) for _, of in train.groupby("label")]
    drawn = pd.concat(of_labels, ignore_index=True)
    x, classes = encode(list(drawn["text"])), list(ASKS_FOR)
    meant = encode([f"a question that asks for {words}" for words in ASKS_FOR.values()])
    likeness = np.exp(x @ meant.T / 0.1)
    shares = likeness / likeness.sum(axis=1, keepdims=True)
    drawn["confidence"] = shares[np.arange(len(drawn)), [classes.index(y) for y in drawn["label"]]]
    x_test, gold, found = encode(list(test["text"])), np.asarray(test["label"]), {}
    for name, fields in {
        "none": {"by": "none"},
        "raw": {"by": "label_agreement", "power": 2, "levelled": False},
        "level": {"by": "label_agreement", "power": 2},
    }.items():
        student = Student(classes).fit(x, list(drawn["label"]), list(weighed(drawn, **fields)["weight"]))
        right = np.asarray(student.predict(x_test)) == gold
        found[name] = right.mean(), min(right[gold == y].mean() for y in classes)
    assert found["raw"][0] < found["none"][0] - 0.2
    assert found["raw"][1] <= 0.02  # one label is nearly always wrong
    assert found["level"][0] > found["none"][0] - 0.03
    assert found["level"][1] > 0.5


def trec(name: str) -> pd.DataFrame:
    if not (GOLD / name).is_file():
        pytest.skip(f"{GOLD / name} is not there")
    lines = (GOLD / name).read_text(encoding="latin-1").splitlines()
    return pd.DataFrame([line.split(" ", 1) for line in lines if line], columns=["label", "text"])


def test_a_label_of_which_a_few_rows_weigh_nearly_all_is_warned_of() -> None:
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.stages.weighted import _verdicts

    task = {"classify": {"good": "liked", "bad": "not liked"}}
    recipe = Recipe(name="films", task=task, steps={"text": "Write."}, rows=20)
    training = rows(40, wrong=0).assign(origin="synthetic", weight=1.0)
    assert all(verdict.fine for (verdict,) in _verdicts(recipe, training).values())
    thin = training.assign(
        weight=[1.0 if y == "good" or i < 2 else 0.0 for i, y in enumerate(training["label"])]
    )
    (spread,) = _verdicts(recipe, thin)["weights_spread"]
    assert not spread.fine
    assert not spread.blocks
    assert spread.words.startswith("effective sample size over rows: bad 5%, good 100%.")
    (spread,) = _verdicts(recipe, training.assign(label="good"))["weights_spread"]
    assert not spread.fine
    assert spread.words.endswith("No synthetic row is labelled bad.")


def test_seeds_that_weigh_without_end_are_refused() -> None:
    table = rows(4, wrong=0)
    with pytest.raises(ValidationError, match="is no number to work with"):
        weighed(table, table.head(1), by="none", seeds=1e308)


def test_an_effective_size_is_right_for_tiny_and_for_huge_weights() -> None:
    weights = pd.Series([1.0, 1.0, 2.0])
    assert effective_size(weights) == pytest.approx(16 / 6)
    assert effective_size(weights * 1e-200) == effective_size(weights * 1e200) == pytest.approx(16 / 6)


def test_a_single_label_is_named_where_a_student_would_need_two() -> None:
    table = rows(40, wrong=0).assign(label="good")
    with pytest.raises(UserError, match="two labels and 20 different rows, there are 40, of good:"):
        weighed(table, table, by="bilevel", power=1, seeds=0, encode=encode)


def test_learned_weights_need_gold_rows_in_the_recipe() -> None:
    from synth_assets.recipe.recipe import Recipe

    task = {"classify": {"good": "liked", "bad": "not liked"}}
    weights = {"by": "learning_to_reweight"}
    with pytest.raises(ValueError, match="needs seeds in the split validation or demonstration"):
        Recipe(name="films", task=task, steps={"text": "Write."}, rows=20, weights=weights)
    seeds = {"file": "films.csv", "splits": {"validation": 20}}
    Recipe(name="films", task=task, steps={"text": "Write."}, rows=20, weights=weights, seeds=seeds)
