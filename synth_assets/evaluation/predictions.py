"""What a student says of real rows, and what follows: F1, area under the curve, calibration, errors.

The slice of a metric row is the set that the student was trained on; of a learning curve, `set@rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from synth_assets.contracts.measure import Row, row
from synth_assets.contracts.measured import Measured, unknown
from synth_assets.evaluation.faithfulness import agreement
from synth_assets.evaluation.resampling import NO_ROWS, interval
from synth_assets.evaluation.task_metrics import auc
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


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error, in [0, 1]: mean distance between confidence and accuracy over equal bins
    of the confidence (Guo et al. 2017)."""
    import numpy as np

    at = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = np.bincount(at, confidence - right, minlength=BINS)
    return float(np.abs(gap).sum() / len(right))


def calibration(confidence: np.ndarray, right: np.ndarray) -> Measured:
    """The calibration error with its interval.

    Few rows in a bin are apart by chance, and a resample of them more so: the lower end is 0 where a student
    that is right as often as it is sure has such a value by chance, and else what the bootstrap's bias, taken
    off twice, leaves of it (the basic interval; Davison & Hinkley 1997).
    """
    import numpy as np

    n, generator = len(right), np.random.default_rng(0)
    if not n:
        return unknown(NO_ROWS)
    value = calibration_error(confidence, right)
    rows = generator.integers(n, size=(DRAWS, n))
    found = interval(value, np.array([calibration_error(confidence[i], right[i]) for i in rows]), n)
    if found.high is None:
        return found
    at_best = [calibration_error(confidence, generator.random(n) < confidence) for _ in range(DRAWS)]
    low = 0.0 if value <= np.quantile(at_best, 0.975) else max(0.0, min(value, 2 * value - found.high))
    return Measured(value, low, max(value, found.high), n)


def area(predicted: Predicted) -> Measured:
    """Area under the ROC curve: of two labels that of the second one, of more the mean of each against the
    rest, without an interval, as the areas share their rows. A label that no test row has is left out."""
    p, at, labels = predicted.probabilities, predicted.at, range(len(predicted.classes))
    if len(labels) == 2:
        return auc(p[:, 1].tolist(), (at == 1).tolist())
    each = [auc(p[:, i].tolist(), (at == i).tolist()) for i in labels]
    areas = [a.value for a in each if a.value is not None]
    if not areas:
        return unknown("rows are not of two classes", len(at))
    return Measured(sum(areas) / len(areas), n=len(at), why="no interval of a mean of areas")


def of_one(name: str, predicted: Predicted) -> Iterator[Row]:
    """Macro-F1, area under the curve and calibration error of one set's student."""
    import numpy as np

    said = list(np.asarray(predicted.classes)[predicted.said])
    found = {
        "macro_f1": agreement(said, predicted.gold)["macro_f1"],
        "auc": area(predicted),
        "calibration_error": calibration(predicted.probabilities.max(axis=1), predicted.right),
    }
    for metric, measured in found.items():
        yield row(metric, name, measured)


def errors(predicted: Predicted) -> Iterator[Row]:
    """Error by class, and the confusion (slice: gold>said) as counts."""
    confusion = predicted.confusion
    for label, counts, true in zip(predicted.classes, confusion, confusion.diagonal(), strict=True):
        of = int(counts.sum())
        if of:
            yield Row("error", label, 1 - true / of, *wilson(of - int(true), of), of, gold=label)
        for other, count in zip(predicted.classes, counts, strict=True):
            yield Row("confusion", f"{label}>{other}", float(count), n=of, gold=label, said=other)


def learning_curve(
    name: str,
    rows: pd.DataFrame,
    accuracy: Callable[[pd.DataFrame], float | None],
    n: int,
    seed: int = 0,
) -> Iterator[Row]:
    """Accuracy of students of a part of the rows: mean over REPEATS drawn parts of each size, with Student's
    interval of that mean (of the whole set, one value). Parts have each label's share of the set."""
    import numpy as np
    from scipy.stats import t

    labels = rows["label"].value_counts()
    for share in SIZES:
        if labels.min() * share < FEW and share < 1:
            continue
        repeats = REPEATS if share < 1 else 1
        drawn = [_part(rows, share, f"{seed}/{i}") for i in range(repeats)]
        found = np.asarray([v for v in map(accuracy, drawn) if v is not None])
        if len(found) == 0:
            continue
        mean, low, high = float(found.mean()), None, None
        if len(found) > 1:
            half = float(t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
            low, high = max(0.0, mean - half), min(1.0, mean + half)
        k = len(drawn[0])
        yield Row("learning_curve", f"{name}@{k}", mean, low, high, n, set=name, set_rows=k)


def _part(rows: pd.DataFrame, share: float, seed: str) -> pd.DataFrame:
    """Of each label so many of its rows, drawn by their ids."""
    import pandas as pd

    parts = []
    for _, group in rows.groupby("label"):
        ids = ranked(group["row_id"], 0, f"curve/{seed}")[: max(1, round(share * len(group)))]
        parts.append(group[group["row_id"].isin(ids)])
    return pd.concat(parts)
