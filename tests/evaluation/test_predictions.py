"""What follows from a student's predictions: F1, calibration, confusion, errors, learning curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synth_assets.evaluation.metric_rows import table
from synth_assets.evaluation.usefulness import (
    Predicted,
    area,
    calibration,
    calibration_error,
    errors,
    learning_curve,
    of_one,
)

CLASSES = ["bad", "fine", "good"]


def predicted(said: list[str], gold: list[str], sure: float = 0.8) -> Predicted:
    rest = (1 - sure) / (len(CLASSES) - 1)
    p = np.full((len(said), len(CLASSES)), rest)
    p[np.arange(len(said)), [CLASSES.index(s) for s in said]] = sure
    return Predicted(CLASSES, p, gold)


def test_macro_f1_is_scikit_learns() -> None:
    from sklearn.metrics import f1_score

    draw = np.random.default_rng(0)
    said, gold = (list(draw.choice(CLASSES, 200, p=[0.6, 0.3, 0.1])) for _ in range(2))
    rows = {name: value for name, _, value, *_ in of_one("set", predicted(said, gold))}
    assert rows["macro_f1"] == pytest.approx(f1_score(gold, said, average="macro"), abs=1e-12)


def test_a_student_that_is_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    right = np.array([True] * 8 + [False] * 2)
    assert calibration_error(np.full(10, 0.8), right) == pytest.approx(0)
    assert calibration_error(np.full(10, 1.0), right) == pytest.approx(0.2)


@pytest.mark.parametrize("off", [0.0, 0.1])
def test_the_interval_of_the_calibration_error_covers_the_truth(off: float) -> None:
    draw, covered = np.random.default_rng(0), []
    for _ in range(100):
        sure = draw.uniform(0.6, 1, 200)
        found = calibration(sure, draw.random(200) < sure - off)
        assert found.low <= found.value <= found.high
        covered.append(found.low <= off <= found.high)
    assert np.mean(covered) >= 0.9  # a bootstrap alone never reaches 0: few rows of a bin differ by chance


def test_the_area_under_the_curve_is_scikit_learns() -> None:
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(0)
    p = draw.dirichlet(np.ones(3), 300)
    gold = [CLASSES[draw.choice(3, p=row)] for row in p]
    found = area(Predicted(CLASSES, p, gold))
    assert found.value == pytest.approx(roc_auc_score(gold, p, multi_class="ovr"), abs=1e-12)
    assert found.low is found.high is None
    one = area(Predicted(CLASSES[:2], p[:, :2], ["bad", "fine"] * 150))
    assert one.value == pytest.approx(roc_auc_score([0, 1] * 150, p[:, 1]), abs=1e-12)
    assert one.low < one.value < one.high
    assert area(Predicted(CLASSES[:2], p[:, :2], ["bad"] * 300)).why == "rows are not of two classes"
    assert area(Predicted(CLASSES, p, ["bad", "fine"] * 150)).value is not None  # no test row is good


@pytest.mark.parametrize("n", [0, 1, 5])
def test_few_or_equal_test_rows_give_a_value_or_say_why_not(n: int) -> None:
    for row in of_one("set", predicted(["bad"] * n, ["bad"] * n)):
        assert row.reason
        assert row.low is row.high is None
        assert row.n == n
        assert row.value is None or np.isfinite(row.value)


def test_errors_by_class_and_the_confusion_add_up() -> None:
    gold = ["bad"] * 10 + ["fine"] * 4 + ["good"] * 6
    said = ["bad"] * 7 + ["good"] * 3 + ["fine"] * 4 + ["good"] * 3 + ["fine"] * 3
    rows = table(errors(predicted(said, gold)))
    by_class = rows[rows["name"] == "error"].set_index("slice")["value"]
    assert dict(by_class) == pytest.approx({"bad": 0.3, "fine": 0.0, "good": 0.5})
    confusion = rows[rows["name"] == "confusion"].set_index("slice")["value"]
    assert confusion["bad>good"] == 3
    assert rows.loc[rows["said"].eq("good") & rows["gold"].eq("bad"), "value"].item() == 3
    assert confusion.sum() == len(gold)
    known = rows[rows["low"].notna()]
    assert (known["low"] <= known["value"]).all()
    assert (known["value"] <= known["high"]).all()


def test_a_learning_curve_draws_parts_with_all_labels_and_ends_with_the_whole_set() -> None:
    rows = pd.DataFrame({"row_id": [f"{i:03d}" for i in range(160)], "label": ["a", "b", "b", "b"] * 40})
    sizes: list[int] = []

    def accuracy(part: pd.DataFrame) -> float:
        assert part["label"].value_counts()["b"] == 3 * part["label"].value_counts()["a"]
        sizes.append(len(part))
        return 0.5 + len(part) / 1000 + 0.001 * (len(sizes) % 3)

    curve = list(learning_curve("set", rows, accuracy, n=50))
    assert [row.slice for row in curve] == ["set@40", "set@80", "set@160"]  # 20 have too few of a
    assert [(row.set, row.set_rows) for row in curve] == [("set", 40), ("set", 80), ("set", 160)]
    assert sizes == [40] * 5 + [80] * 5 + [160]
    spread = np.std([0.541, 0.542, 0.54, 0.541, 0.542], ddof=1) / 5**0.5
    assert curve[0][4] - curve[0][2] == pytest.approx(2.776 * spread, rel=1e-3)  # Student's t of five draws
    assert curve[0][3] < curve[0][2] < curve[0][4]
    assert curve[-1][3] is None
