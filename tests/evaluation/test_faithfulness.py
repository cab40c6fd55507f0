"""Faithfulness: agreement, samples for people, a judge that people correct, and facts against evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from synth_assets.contracts.measured import Z95, Measured
from synth_assets.core.text.claims import entities, sentences
from synth_assets.evaluation import facts
from synth_assets.evaluation.facts import entity_error, entity_errors, f1_at_k, verdict_scores
from synth_assets.evaluation.faithfulness import (
    agreement,
    kappa,
    pairs,
    ppi_mean,
    proportion,
    sample_size,
)
from synth_assets.evaluation.resampling import bootstrap_mean
from synth_assets.evaluation.round import by_people, faithfulness, right_share
from synth_assets.evaluation.usefulness import TrainingSet, predicted
from synth_assets.recipe.measuring import Facts as Wanted

TRIALS = 2000


def labels(n: int, right: float, seed: int = 0) -> tuple[list[str], list[str]]:
    """Labels of three classes, and the truth that `right` of them have, and the others by chance."""
    random = np.random.default_rng(seed)
    truth = random.choice(["a", "b", "c"], p=[0.5, 0.3, 0.2], size=n)
    return np.where(
        random.random(n) < right, truth, random.choice(["a", "b", "c"], size=n)
    ).tolist(), truth.tolist()


def test_agreement_is_that_of_scikit_learn() -> None:
    found, truth = labels(150, 0.6)
    values = agreement(found, truth)
    assert values["accuracy"].value == np.mean(np.array(found) == np.array(truth))
    assert values["macro_f1"].value == pytest.approx(f1_score(truth, found, average="macro"))
    assert values["kappa"].value == pytest.approx(cohen_kappa_score(truth, found))
    levels = pairs(found, truth, "abc")
    assert kappa(levels, 1).value == pytest.approx(cohen_kappa_score(truth, found, weights="linear"))
    assert kappa(levels, 2).value == pytest.approx(cohen_kappa_score(truth, found, weights="quadratic"))
    assert all(m.low < m.value < m.high and m.n == 150 for m in values.values())


def test_a_missing_label_is_no_class() -> None:
    assert agreement(["a", None, "b", "b"], ["a", "b", "b", None]) == agreement(["a", "b"], ["a", "b"])
    assert agreement(["a", "b"], ["b", "b"])["macro_f1"].value == pytest.approx(1 / 3)  # a: 0, b: 2/3


def test_a_sample_is_as_large_as_its_interval_asks() -> None:
    n = sample_size(0.1)
    half = proportion([True, False] * (n // 2))
    assert n == 381
    assert half.high - half.low == pytest.approx(0.1, abs=1e-3)
    assert sample_size(0.05) == pytest.approx(4 * n, rel=0.02)  # the error is 1 / sqrt(n)
    with pytest.raises(ValueError, match="width 5"):
        sample_size(5)


def covers(intervals: Iterator[Measured], truth: float) -> float:
    return float(np.mean([m.low <= truth <= m.high for m in intervals]))


@pytest.mark.parametrize("p", [0.5, 0.7, 0.9])
def test_wilsons_interval_covers_the_truth_95_times_in_100(p: float) -> None:
    """The draws are grouped: an interval is the same for every sample of as many hits."""
    hits, times = np.unique(np.random.default_rng(1).binomial(200, p, size=TRIALS), return_counts=True)
    intervals = [proportion([True] * h + [False] * (200 - h)) for h in hits]
    covered = [m.low <= p <= m.high for m in intervals]
    assert np.average(covered, weights=times) == pytest.approx(0.95, abs=0.015)


def test_the_bootstrap_covers_the_truth_95_times_in_100() -> None:
    levels, shares = np.array([1.0, 2, 3, 4, 5]), [0.05, 0.1, 0.2, 0.4, 0.25]
    samples = np.random.default_rng(1).choice(levels, p=shares, size=(TRIALS, 200))
    assert covers(map(bootstrap_mean, samples), float(levels @ shares)) == pytest.approx(0.95, abs=0.015)


def judged(n: int, right: float, share: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Whether labels are right, and a judge that is right `right` of the time about that: TRIALS sets."""
    random = np.random.default_rng(seed)
    truth = random.random((TRIALS, n)) < share
    return truth, np.where(random.random(truth.shape) < right, truth, ~truth)


@pytest.mark.parametrize("right", [0.7, 0.9])
def test_prediction_powered_intervals_cover_the_truth_95_times_in_100(right: float) -> None:
    truth, said = judged(1200, right, 0.7)
    intervals = [ppi_mean(t[:200], s[:200], s[200:]) for t, s in zip(truth, said, strict=True)]
    assert covers(iter(intervals), 0.7) == pytest.approx(0.95, abs=0.015)
    assert np.mean([m.value for m in intervals]) == pytest.approx(0.7, abs=0.005)
    assert abs(said.mean() - 0.7) > 0.015  # the judge alone is biased


def test_the_share_of_right_labels_by_few_people_is_covered_near_one_too() -> None:
    random, found = np.random.default_rng(0), []
    for _ in range(TRIALS // 2):
        truth = random.random(70) < 0.95
        agrees = np.where(random.random(70) < 0.8, truth, ~truth)
        found.append(right_share(list(agrees), dict(enumerate(truth[:20]))))
    assert covers(iter(found), 0.95) == pytest.approx(0.95, abs=0.03)
    assert np.mean([m.value for m in found]) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("unequal", [False, True])
def test_people_who_are_asked_about_the_least_sure_rows_first_leave_the_interval_true(unequal: bool) -> None:
    """A queue of 1,000 rows: people label the 100 least sure ones, and 100 that were drawn at random (of the
    less sure half three times as many, where the draw is unequal)."""
    random, found, shares, chosen = np.random.default_rng(0), [], [], []
    for _ in range(200):
        sure = random.random(1000)
        right = random.random(1000) < 0.4 + 0.6 * sure
        agrees = np.where(random.random(1000) < 0.8, right, ~right)
        likely = np.where(sure < 0.5, 0.15, 0.05) if unequal else np.full(1000, 0.1)
        drawn = random.random(1000) < likely
        rows = pd.DataFrame({"former_label": "a", "label": np.where(right, "a", "b")})
        rows["human_draw"] = np.select([drawn, sure <= np.sort(sure)[99]], ["random", "chosen"], "")
        rows["human_probability"] = np.where(drawn, likely, np.nan)
        found.append(right_share(agrees, *by_people(rows)))
        shares.append(right.mean())
        chosen.append(right[np.argsort(sure)[:100]].mean())
    assert np.mean([m.low <= share <= m.high for m, share in zip(found, shares, strict=True)]) >= 0.93
    assert np.mean([m.value for m in found]) == pytest.approx(0.7, abs=0.01)
    assert np.mean(chosen) == pytest.approx(0.43, abs=0.01)


def test_rows_that_stand_for_two_count_twice() -> None:
    rows = [(0, 0), (0, 1), (1, 1), (1, 1), (0, 0), (1, 0)]
    twice = kappa([*rows, *rows[:3]]).value
    weighed = kappa(rows, weights=[2, 2, 2, 1, 1, 1])
    assert weighed.value == pytest.approx(twice)
    assert weighed.low < twice < weighed.high


def test_a_good_judge_narrows_the_interval_of_a_few_people() -> None:
    truth, said = judged(5200, 0.95, 0.5)
    measured = ppi_mean(truth[0, :200], said[0, :200], said[0, 200:])
    classical = 2 * Z95 * 0.5 / 200**0.5
    assert measured.high - measured.low < 0.6 * classical
    _, guess = judged(5200, 0.5, 0.5)
    useless = ppi_mean(truth[0, :200], guess[0, :200], guess[0, 200:])
    assert useless.high - useless.low == pytest.approx(classical, rel=0.02)


def test_a_judge_that_saw_few_other_rows_hardly_counts() -> None:
    people, judge = [1.0] * 45 + [0.0] * 5, [1.0, 0.0, 1.0, 1.0, 0.0] * 10
    alone = ppi_mean(people, judge, [])
    assert alone.value == 0.9
    few = ppi_mean(people, judge, [0.0, 0.0, 1.0])
    assert few.value == pytest.approx(0.9, abs=0.01)
    assert few.high - few.low <= alone.high - alone.low


def clusters(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of two classes, of which one in 25 lies on the other's side."""
    random = np.random.default_rng(seed)
    classes = np.arange(n) % 2
    return random.normal(size=(n, 2)) + 3.5 * (classes[:, None] - 0.5) * [1, 0], classes


def named(classes: np.ndarray) -> list[str]:
    return ["good" if c else "bad" for c in classes]


def correctness(real: TrainingSet, made: TrainingSet, people: Mapping[int, bool] | None = None) -> Measured:
    return right_share(predicted(real, made.features, made.labels).right, people)


def test_correctness_falls_with_wrong_labels_in_a_line() -> None:
    real, classes = clusters(300, 0)
    synthetic, truth = clusters(2000, 1)
    noise = np.array([0, 0.1, 0.2, 0.3, 0.4])
    order = np.random.default_rng(2).random(2000)
    sets = [TrainingSet(synthetic, named(truth ^ (order < share))) for share in noise]
    values = [correctness(TrainingSet(real, named(classes)), s).value for s in sets]
    slope, start = np.polyfit(noise, values, 1)
    assert start == pytest.approx(0.96, abs=0.015)
    assert slope == pytest.approx(
        1 - 2 * start, abs=0.03
    )  # a student that is right with p: p (1 - e) + (1 - p) e
    assert np.abs(np.polyval([slope, start], noise) - values).max() < 0.01


def test_people_take_the_students_mistakes_out_of_correctness() -> None:
    real, classes = clusters(300, 0)
    synthetic, truth = clusters(2000, 1)
    wrong = np.random.default_rng(2).random(2000) < 0.1
    people = {int(i): not wrong[i] for i in np.random.default_rng(3).choice(2000, 300, replace=False)}
    trained, made = TrainingSet(real, named(classes)), TrainingSet(synthetic, named(truth ^ wrong))
    alone, corrected = correctness(trained, made), correctness(trained, made, people)
    assert alone.high < 0.9
    assert corrected.low < 0.9 < corrected.high
    assert corrected.n == 300
    by_all = correctness(trained, made, {i: not w for i, w in enumerate(wrong)})
    assert by_all.value == pytest.approx(1 - wrong.mean())  # nothing is left that the student alone has seen
    agreed = correctness(trained, made, dict.fromkeys(range(30), True))
    assert (agreed.value, agreed.high) == (1.0, 1.0)
    assert agreed.low == pytest.approx(0.886, abs=1e-3)  # Wilson's of 30 in 30


def test_a_class_without_real_rows_has_no_correctness() -> None:
    features, classes = clusters(10, 0)
    seeds = pd.DataFrame({"text": range(10), "label": named(classes), "split": "demonstration"})
    for label, why in {"so-so": "no real row is labelled so-so", "good": None}.items():
        found = faithfulness(seeds.assign(label=label), seeds, [], lambda _: features).iloc[0]
        assert (found["name"], found["reason"]) == ("correctness", why)
        assert pd.isna(found["value"]) == bool(why)
    assert faithfulness(seeds, seeds.assign(label="good"), [], lambda _: features).empty


CLAIMS = (
    "Wellington met Napoleon at Waterloo on 18 June 1815. The Duke of Cambridge paid $1,200 to Ada Lovelace. "
    "In Vienna 5% of the Rothschild bonds fell."
)
KNOWN = (
    "On June 18, 1815, at Waterloo, Napoleon lost to Wellington. Ada King Lovelace had $1200 of the Duke of"
    " Cambridge. The bonds of the Rothschild house fell by 5% in Vienna."
)
NAMED = [
    *["Wellington", "Napoleon", "Waterloo", "18 June 1815", "Duke of Cambridge", "$1,200"],
    *["Ada Lovelace", "Vienna", "5%", "Rothschild"],
]


def test_entities_of_a_text() -> None:
    assert entities(CLAIMS) == NAMED
    assert entities("She has 3 dogs. However, dogs bark.") == []
    assert sentences("Dr. J. Doe left! Did he?\nYes.") == ["Dr. J. Doe left!", "Did he?", "Yes."]


@pytest.mark.parametrize("k", range(11))
def test_k_of_m_swapped_entities_are_an_error_of_k_in_m(k: int) -> None:
    text = CLAIMS
    others = [
        "Soult",
        "Zorro",
        "Atlantis",
        "19 July 1914",
        "Earl of Mordor",
        "$7,777",
        "Bob",
        "Gotham",
        "9%",
        "Kane",
    ]
    for entity, other in list(zip(NAMED, others, strict=True))[:k]:
        text = text.replace(entity, other)
    assert entity_errors(text, KNOWN) == (k, 10)
    assert entity_error([text, "no entity"], [KNOWN, ""]).value == k / 10


def test_words_that_claim_nothing_change_no_error() -> None:
    padding = " Thank you for reading. I think so. Is it? Hope this helps! However, that is so. There are 12."
    swapped = CLAIMS.replace("Napoleon", "Zorro")
    assert entity_errors(swapped + 9 * padding, KNOWN) == entity_errors(swapped, KNOWN) == (1, 10)


def test_f1_at_k_by_hand() -> None:
    assert f1_at_k(3, 1, 6) == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert f1_at_k(8, 0, 4) == 1.0  # more than are wanted are no better
    assert f1_at_k(0, 5, 4) == 0.0


def test_facts_are_split_and_checked_by_what_is_given() -> None:
    known = {"Bees fly.": True, "Cats fly.": False, "Nice!": None}
    texts = ["Bees fly. Cats fly.", "Bees fly. Bees fly.", "Nice!"]
    scores = verdict_scores([[known[fact] for fact in sentences(text)] for text in texts], 2)
    assert scores["fact_precision"].value == pytest.approx((1 / 2 + 1) / 2)  # of two texts: one has no facts
    assert scores["fact_precision"].n == 2
    assert scores["fact_recall_at_k"].value == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert scores["fact_f1_at_k"].value == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_facts_may_be_held_to_the_passage_of_their_own_row() -> None:
    def complete(messages: Any, sampling: Any, replicates: Any) -> Iterator[Any]:
        for ((message),) in messages:
            prompt = message["content"]
            about, _, fact = prompt.partition("Do the passages")
            said = "supported" if "Bees" in about and "Bees" in fact else "unsupported"
            outcome = "failed" if "List the facts" in prompt and "Cats" in prompt else "ok"
            yield SimpleNamespace(text="Bees fly." if "List the facts" in prompt else said, outcome=outcome)

    kept = pd.DataFrame(
        {
            "row_id": ["1", "2", "3"],
            "text": ["Cats.", "Bees.", "Wasps."],
            "passage": ["On cats.", "Bees have wings.", None],
        }
    )
    model = SimpleNamespace(complete=complete)
    look: Any = SimpleNamespace(
        recipe=SimpleNamespace(seed=0), model=lambda *_, **__: model, filtered=kept, retrieve=None
    )
    found = {row.name: row for row in facts.Facts.of(Wanted(of="passage")).measure(look)}
    assert (found["fact_precision"].value, found["fact_precision"].n) == (0.5, 2)
    with pytest.raises(ValueError, match="give one of `file`"):
        Wanted()
