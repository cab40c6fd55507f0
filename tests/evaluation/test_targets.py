"""Metrics of numbers, several labels, spans and labels with an order, against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score, f1_score, hamming_loss
from sklearn.preprocessing import MultiLabelBinarizer

from synth_assets.core.text.marks import Span
from synth_assets.evaluation.faithfulness import by_order
from synth_assets.evaluation.targets import by_name, label_sets, numbers, numbers_gain, sets_gain
from synth_assets.evaluation.task_metrics import set_f1

DRAW = np.random.default_rng(0)
GOLD = DRAW.normal(3, 1, 200)
FOUND = GOLD + DRAW.normal(0, 0.5, 200)
NAMES = ["a", "b", "c"]


def test_numbers_are_measured_as_elsewhere_within_their_intervals() -> None:
    found = numbers(FOUND, GOLD)
    assert found["rmse"].value == pytest.approx(np.sqrt(np.mean((FOUND - GOLD) ** 2)))
    assert found["mae"].value == pytest.approx(np.mean(np.abs(FOUND - GOLD)))
    assert found["spearman"].value == pytest.approx(spearmanr(FOUND, GOLD).statistic)
    for measured in found.values():
        assert measured.low < measured.value < measured.high
    assert numbers([1.0] * 3, [1.0, 2.0, 3.0])["spearman"].value is None


def test_a_gain_is_above_zero_where_numbers_are_nearer() -> None:
    worse = GOLD + DRAW.normal(0, 1.0, 200)
    gain = numbers_gain(FOUND, worse, GOLD)
    assert 0 < gain.low < gain.value < gain.high
    assert gain.value == pytest.approx(
        numbers(worse, GOLD)["rmse"].value - numbers(FOUND, GOLD)["rmse"].value
    )


def test_label_sets_are_measured_as_elsewhere() -> None:
    gold, found = ([{n for n in NAMES if DRAW.random() < 0.4} for _ in range(100)] for _ in range(2))
    binary = MultiLabelBinarizer(classes=NAMES)
    true, said = binary.fit_transform(gold), binary.fit_transform(found)
    measured = label_sets(found, gold, NAMES)
    assert measured["micro_f1"].value == pytest.approx(f1_score(true, said, average="micro"))
    assert measured["macro_f1"].value == pytest.approx(f1_score(true, said, average="macro"))
    assert measured["subset_accuracy"].value == pytest.approx((true == said).all(axis=1).mean())
    assert measured["hamming_loss"].value == pytest.approx(hamming_loss(true, said))
    each = by_name(found, gold, NAMES)
    assert [each[n].value for n in NAMES] == pytest.approx(list(f1_score(true, said, average=None)))
    gain = sets_gain(gold, found, gold)
    assert gain.value == pytest.approx(1 - measured["micro_f1"].value)
    assert 0 < gain.low < gain.high


def test_a_span_is_right_with_its_kind_and_both_ends() -> None:
    gold = [{Span("x", 0, 3), Span("y", 5, 9)}]
    assert set_f1([{Span("x", 0, 3), Span("x", 5, 9), Span("y", 5, 8)}], gold).value == pytest.approx(2 / 5)
    each = by_name([{Span("x", 0, 3), Span("x", 5, 9)}], gold, ["x", "y"], lambda span: span.kind)
    assert (each["x"].value, each["y"].value) == (pytest.approx(2 / 3), 0.0)


def test_labels_with_an_order_are_off_by_levels() -> None:
    order = ["low", "mid", "high"]
    gold, said = (DRAW.choice(order, 100).tolist() for _ in range(2))
    found = by_order(said, gold, order)
    levels = [[order.index(y) for y in ys] for ys in (said, gold)]
    assert found["quadratic_kappa"].value == pytest.approx(cohen_kappa_score(*levels, weights="quadratic"))
    assert found["mae"].value == pytest.approx(np.abs(np.subtract(*levels)).mean())
    assert by_order(said, gold, []) == {}
