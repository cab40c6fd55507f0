"""Usefulness: students on sets, baselines beside them, intervals around both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from synth_assets.contracts.measured import wilson
from synth_assets.evaluation import diversity, privacy, usefulness
from synth_assets.evaluation import round as evaluation_round
from synth_assets.evaluation.usefulness import paired_gain, word_list_labels
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made


def rows(n: int, origin: str | None = None, split: str | None = None, prefix: str = "r") -> pd.DataFrame:
    labels = ["bad", "good"] * (n // 2)
    table = pd.DataFrame({"row_id": [f"{prefix}{i}" for i in range(n)], "label": labels})
    table["text"] = [f"{y} film number {i}" for i, y in enumerate(labels)]
    return table.assign(**({"origin": origin} if origin else {}), **({"split": split} if split else {}))


def encode(texts: Sequence[str]) -> np.ndarray:
    """One axis that tells the labels apart, one that tells nothing."""
    return np.array([[1.0 if "good" in t else -1.0, len(t) % 3] for t in texts], dtype=np.float32)


MADE = Made(encode, Student)


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
    same = paired_gain(before, before)  # that no row changed leaves the chance that one in so many would
    assert same == (0.0, -wilson(0, len(before))[1], wilson(0, len(before))[1])


def test_a_curve_asks_for_each_vector_once() -> None:
    asked: list[str] = []

    def counted(texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return encode(texts)

    made, test = rows(80), rows(20, prefix="t")
    made.index = made.index[::-1]  # which says nothing of where a row stands
    found = usefulness.curves({"weighted": made}, test, Made(counted, Student))
    assert sorted(asked) == sorted([*made["text"], *test["text"]])
    assert list(found["slice"]) == ["weighted@20", "weighted@40", "weighted@80"]
    assert set(found["value"]) == {1.0}


def test_a_set_that_lacks_a_class_or_is_not_there_is_in_the_table_with_the_reason() -> None:
    one_class = rows(10)[lambda t: t["label"] == "good"]
    sets = {"seeds": rows(4), "half": one_class, "none": rows(0)}
    said = usefulness.predictions(sets, rows(20), MADE)
    assert said["half"] is None
    why = usefulness.untrained(sets, rows(20)["label"])
    table = usefulness.usefulness(said, {}, 20, why).set_index(["name", "slice"]).sort_index()
    assert table.loc["accuracy", "reason"].dropna().to_dict() == {
        "half": "no row is labelled bad",
        "none": "no rows",
        "real": "the split unlabeled has fewer rows of some label than the set: give seeds more rows",
    }
    assert table.loc[("accuracy", "seeds"), "value"] == 1.0
    assert pd.isna(table.loc[("accuracy", "half"), "value"])
    assert table.loc[("macro_f1", "seeds"), "value"] == 1.0
    assert "error" not in table.index  # which is told of the main set alone


def test_weights_change_what_a_student_learns() -> None:
    features, labels = encode(["good", "good", "bad"]), ["good", "bad", "bad"]  # the second label is wrong
    trusting = Student(["bad", "good"]).fit(features, labels, [1.0, 50.0, 1.0])
    doubting = Student(["bad", "good"]).fit(features, labels, [1.0, 0.01, 1.0])
    assert trusting.predict(encode(["good"])) == ["bad"]
    assert doubting.predict(encode(["good"])) == ["good"]
    assert doubting.predict_proba(encode(["good"])).sum() == pytest.approx(1.0)


def test_a_student_may_learn_how_likely_labels_are() -> None:
    """Of rows that look good and are called bad, the annotator finds that most are good."""
    called = rows(20).assign(text="good film", label="bad")
    known = pd.concat([rows(20), called], ignore_index=True)
    likely = [{"bad": 0.1, "good": 0.9}] * 20
    known["label_probabilities"] = [*[None] * 20, *likely]
    test = rows(20)
    soft = usefulness.predictions({"set": known}, test, Made(encode, Student, soft=True))["set"]
    hard = usefulness.predictions({"set": known}, test, Made(encode, Student))["set"]
    assert soft.right.all()
    assert not hard.right.all()


def test_the_sets_that_are_compared() -> None:
    """As many real rows of each label as synthetic ones; only accepted rows; seeds only if they weigh."""
    seeds = pd.concat([rows(4, split="demonstration", prefix="d"), rows(40, split="unlabeled", prefix="u")])
    generated = rows(12).assign(accepted=[True] * 10 + [False] * 2)
    weighted = rows(6, origin="synthetic").assign(weight=0.5)
    sets = usefulness.training_sets(generated, rows(8), rows(8), weighted, seeds)
    sizes = {name: len(table) for name, table in sets.items()}
    assert sizes == {
        "seeds": 4,
        "generations": 10,
        "filtered": 8,
        "labelled": 8,
        "weighted": 6,
        "seeds + generations": 14,
        "seeds + filtered": 12,
        "seeds + labelled": 12,
        "seeds + weighted": 10,
        "real": 6,
    }
    assert sets["real"]["label"].value_counts().to_dict() == {"bad": 3, "good": 3}
    assert set(sets["real"]["split"]) == {"unlabeled"}
    many = rows(60, origin="synthetic").assign(weight=1.0)
    few = usefulness.training_sets(generated, rows(8), rows(8), many, seeds)
    assert "real" not in few


def test_diversity_is_compared_on_as_many_rows_of_each_set() -> None:
    sets = {"generations": rows(40), "filtered": rows(10), "seeds": rows(2)}
    table = diversity.diversities(sets, rows(0), encode)
    assert set(table["slice"]) == {"generations", "filtered"}
    assert set(table["n"]) == {10}
    assert "mauve" not in set(table["name"])  # there is nothing real to hold them against


def test_distances_are_to_the_validation_rows_and_other_real_rows_are_their_baseline() -> None:
    validation = rows(20, prefix="v")
    sets = {"filtered": rows(10).assign(text="a good film"), "real": rows(10, prefix="u")}
    found = diversity.diversities(sets, validation, encode).set_index(["name", "slice"])["value"]
    for name in ("chamfer_distance", "length_divergence"):
        assert found[name, "real"] < found[name, "filtered"], name
    assert found["cluster_coverage", "real"] > found["cluster_coverage", "filtered"]


def test_the_errors_of_the_main_set_are_told_class_by_class() -> None:
    said = usefulness.predictions({"seeds": rows(4), "weighted": rows(30)}, rows(20), MADE)
    table = usefulness.usefulness(said, {}, 20).set_index(["name", "slice"])["value"]
    assert table["error", "bad"] == 0.0
    assert table["confusion", "good>good"] == 10


def test_weights_are_held_against_the_same_rows_of_equal_weight() -> None:
    wrong = pd.concat([rows(20), rows(4).assign(label=["good", "bad"] * 2)], ignore_index=True)
    heavy = wrong.assign(weight=[1.0] * 20 + [500.0] * 4)  # what is wrong weighs most
    sets = {"labelled": wrong, "weighted": heavy}
    (gain,) = usefulness.weights_gain(sets, usefulness.predictions(sets, rows(20), MADE)).to_dict("records")
    assert (gain["name"], gain["slice"], gain["value"], gain["n"]) == ("weights_gain", "weighted", -0.75, 20)
    assert gain["high"] < 0
    sets["weighted"] = wrong.assign(weight=1.0)
    assert usefulness.weights_gain(sets, usefulness.predictions(sets, rows(20), MADE)).empty


def test_a_round_is_held_against_the_one_before_on_the_same_rows() -> None:
    test = rows(20)
    wrong = rows(30).assign(label=["good", "bad"] * 15)
    was, now = usefulness.predictions({"then": wrong, "now": rows(30)}, test, MADE).values()
    (gain,) = usefulness.change(now, was, "2026-11-19").to_dict("records")
    assert (gain["name"], gain["slice"]) == ("accuracy_change", "weighted, against 2026-11-19")
    assert gain["value"] == 1.0
    assert usefulness.change(now, None, "2026-11-19").empty


def test_correctness_by_condition_and_corrected_by_people() -> None:
    seeds = pd.concat([rows(20, split="demonstration"), rows(10, split="validation")])
    made = rows(40, prefix="s").assign(tone=["angry", "angry", "calm", "calm"] * 10)
    swapped = made["tone"] == "calm"
    made.loc[swapped, "label"] = made.loc[swapped, "label"].map({"good": "bad", "bad": "good"})
    table = evaluation_round.faithfulness(made, seeds, ["tone"], encode).set_index("slice")["value"]
    assert table.to_dict() == {
        "filtered": 0.5,
        "label=bad": 0.5,
        "label=good": 0.5,
        "tone=angry": 1.0,
        "tone=calm": 0.0,
    }
    source = ["human"] * 20 + ["condition"] * 20  # people find that every label is right
    by_people = made.assign(former_label=made["label"], label_source=source, human_probability=0.5)
    by_people["human_draw"] = ["random"] * 20 + [None] * 20
    corrected = evaluation_round.faithfulness(by_people, seeds, [], encode).set_index(["name", "slice"])[
        "value"
    ]
    assert corrected["correctness", "filtered"] == 1.0
    assert corrected["kappa", "filtered"] == 1.0
    assert corrected["correctness", "label=good"] == 1.0
    by_people["human_draw"] = by_people["tone"].map({"angry": "random", "calm": "chosen"})
    found = evaluation_round.faithfulness(by_people, seeds, ["tone"], encode).set_index("slice")
    assert found.loc["tone=angry", "value"] == 1.0
    assert "`synth sample NAME -n 100 --to FILE` draws some" in found.loc["tone=calm", "reason"]


def test_rows_that_were_chosen_for_people_measure_nothing() -> None:
    seeds = rows(20, split="demonstration")
    made = rows(40, prefix="s")
    made = made.assign(former_label=made["label"], label_source="condition")
    alone = evaluation_round.faithfulness(made, seeds, [], encode)
    chosen = made.assign(
        label=made["label"].where(made.index >= 20, "bad"),
        label_source=["human"] * 20 + ["condition"] * 20,
        human_draw=["chosen by confidence"] * 20 + [None] * 20,
        human_probability=None,
    )
    kappa, *others = evaluation_round.faithfulness(chosen, seeds, [], encode).to_dict("records")
    assert (kappa["name"], kappa["n"]) == ("kappa", 0)
    assert "no row of it that was drawn at random" in kappa["reason"]
    assert [r["value"] for r in others] == list(alone["value"])
    random = {"human_draw": "random", "human_probability": 0.1, "label_source": "human"}
    drawn = [made.assign(**random).iloc[[30, 31]], made.iloc[20:30]]
    few = pd.concat([made[:20], *drawn])
    more = pd.concat([chosen[:20], *drawn])
    a, b = (evaluation_round.faithfulness(either, seeds, [], encode) for either in (few, more))
    pd.testing.assert_frame_equal(a, b)


def test_rounds_that_repeat_themselves_show_as_less_varied() -> None:
    about = "love war cats trains music chess rain bread night snow".split()  # noqa: SIM905
    fresh = [f"a good film about {word}" for word in about]
    table = diversity.of_rounds({"2026-11-19": fresh, "2026-11-20": [fresh[0]] * 10}, encode)
    first, second = table[table["name"] == "round_distinct_2"]["value"]
    assert second < first / 2
    assert diversity.falls(table)["round_distinct_2"] == pytest.approx(1 - second / first)
    assert diversity.falls(diversity.of_rounds({"2026-11-19": fresh}, encode)) == {}
    few = {"2026-11-18": fresh[:2], "2026-11-19": fresh, "2026-11-20": fresh}
    assert set(diversity.of_rounds(few, encode)["slice"]) == {
        "2026-11-19",
        "2026-11-20",
    }
    assert diversity.of_rounds({"2026-11-19": fresh, "2026-11-20": fresh[:3]}, encode).empty


def test_what_a_set_has_in_common_with_seeds_and_test() -> None:
    long = "this sentence is certainly longer than eight words in all"
    seeds = rows(6, split="demonstration").assign(text=[f"{i} {long}" for i in range(6)])
    test = rows(6, split="test", prefix="t").assign(text=[f"a test row with words {i}" for i in range(6)])
    table = privacy.leaks(seeds.head(3), pd.concat([seeds, test]), encode).set_index("name")
    assert table.loc["copied_seeds", "value"] == 1.0
    assert table.loc["contamination", "value"] == 0.0
    assert table.loc["nearest_seed_distance", "value"] == 0.0


def test_yields_by_cell() -> None:
    generated = rows(10).assign(cell=["a"] * 4 + ["b"] * 6)
    table = evaluation_round.yields(generated, generated[:6]).set_index("slice")
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

    table = usefulness.model_alone(test, annotate(list(test["text"])), np.array([True] * 8)).set_index("name")
    assert table.loc["accuracy", "value"] == 1.0
    assert table.loc["accuracy", "n"] == 7
    unknown = usefulness.model_alone(test, [None] * len(test), None)
    assert unknown["value"].isna().all()
