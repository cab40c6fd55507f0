"""What a student says of real rows, and what follows: accuracy, F1, calibration, confusion, errors.

A metric row is (name, slice, value, low, high, n). The slice is the set that the student was trained on; of a
learning curve, `set@rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from synth_assets.evaluation.faithfulness import agreement
from synth_assets.evaluation.usefulness import Predicted, wilson
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BINS = 15  # of the expected calibration error
DRAWS = 200  # bootstrap resamples
SIZES = (0.125, 0.25, 0.5, 1.0)  # of a set, in its learning curve
REPEATS = 5  # draws of each size
FEW = 10  # rows of a label below which a curve does not begin
Row = tuple[str, str, float | None, float | None, float | None, int]


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error, in [0, 1]: mean distance between confidence and accuracy over equal bins
    of the confidence (Guo et al. 2017)."""
    import numpy as np

    at = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = np.bincount(at, confidence - right, minlength=BINS)
    return float(np.abs(gap).sum() / len(right))


def of_one(name: str, predicted: Predicted) -> Iterator[Row]:
    """Macro-F1 and calibration error of one set's student."""
    import numpy as np

    n = len(predicted.gold)
    classes = np.asarray(predicted.classes)
    f1 = agreement(list(classes[predicted.said]), predicted.gold)["macro_f1"]
    yield "macro_f1", name, f1.value, f1.low, f1.high, n
    confidence, right = predicted.probabilities.max(axis=1), predicted.right
    draw = np.random.default_rng(0).integers(n, size=(DRAWS, n))
    drawn = [calibration_error(confidence[i], right[i]) for i in draw]
    low, high = np.quantile(drawn, [0.025, 0.975])
    yield "calibration_error", name, calibration_error(confidence, right), float(low), float(high), n


def errors(predicted: Predicted) -> Iterator[Row]:
    """Error by class, and the confusion (slice: gold>said) as counts."""
    confusion = predicted.confusion
    for label, row, true in zip(predicted.classes, confusion, confusion.diagonal(), strict=True):
        of = int(row.sum())
        if of:
            yield "error", label, 1 - true / of, *wilson(of - int(true), of), of
        for other, count in zip(predicted.classes, row, strict=True):
            yield "confusion", f"{label}>{other}", float(count), None, None, of


def learning_curve(
    name: str,
    rows: pd.DataFrame,
    accuracy: Callable[[pd.DataFrame], float | None],
    n: int,
    seed: int = 0,
) -> Iterator[Row]:
    """Accuracy of students of a part of the rows: mean over REPEATS drawn parts of each size, with the normal
    interval of that mean (of the whole set, one value). Parts have each label's share of the set."""
    import numpy as np

    labels = rows["label"].value_counts()
    for share in SIZES:
        if labels.min() * share < FEW and share < 1:
            continue
        repeats = REPEATS if share < 1 else 1
        drawn = [_part(rows, share, f"{seed}/{i}") for i in range(repeats)]
        found = np.asarray([v for v in map(accuracy, drawn) if v is not None])
        if len(found) == 0:
            continue
        error = 1.96 * found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else None
        mean = float(found.mean())
        low, high = (None, None) if error is None else (mean - float(error), mean + float(error))
        yield "learning_curve", f"{name}@{len(drawn[0])}", mean, low, high, n


def _part(rows: pd.DataFrame, share: float, seed: str) -> pd.DataFrame:
    """Of each label so many of its rows, drawn by their ids."""
    import pandas as pd

    parts = []
    for _, group in rows.groupby("label"):
        ids = ranked(group["row_id"], 0, f"curve/{seed}")[: max(1, round(share * len(group)))]
        parts.append(group[group["row_id"].isin(ids)])
    return pd.concat(parts)
