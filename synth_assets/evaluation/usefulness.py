"""Usefulness: what a student that is trained on a set does on real rows (train synthetic, test real).

Accuracy and its gain, F1, area under the curve, calibration, errors. The slice of a metric row is the set
that the student was trained on; of a learning curve, `set@rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synth_assets.contracts.measure import Row, row
from synth_assets.contracts.measured import NO_ROWS, Measured, unknown, wilson
from synth_assets.core.asking import LabelLogprobs
from synth_assets.core.text.words import parted
from synth_assets.evaluation.faithfulness import agreement, by_order
from synth_assets.evaluation.metric_rows import MAIN, Sets, against, table
from synth_assets.evaluation.resampling import interval
from synth_assets.evaluation.task_metrics import auc
from synth_assets.selection.select import ranked
from synth_assets.students.calibration import batch_calibrated
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made, New

BINS = 15  # of the expected calibration error
DRAWS = 200  # bootstrap resamples
SIZES = (0.125, 0.25, 0.5, 1.0)  # of a set, in its learning curve
REPEATS = 5  # draws of each size
FEW = 10  # rows of a label below which a curve does not begin


@dataclass(frozen=True)
class TrainingSet:
    """Features (an array of n rows), one label a row and, where rows are weighted, one weight a row; `soft`
    are probabilities (n, K) of the sorted labels, where a student learns those."""

    features: np.ndarray
    labels: Sequence[str]
    weights: Sequence[float] | None = None
    soft: np.ndarray | None = None


@dataclass(frozen=True)
class Predicted:
    """A student's probabilities (n, K) of real rows, in the order of `classes`, and their gold labels."""

    classes: Sequence[str]
    probabilities: np.ndarray
    gold: Sequence[str]

    @property
    def at(self) -> np.ndarray:
        """(n,): the place of each gold label among the classes."""
        return np.searchsorted(np.asarray(self.classes), np.asarray(self.gold))

    @property
    def said(self) -> np.ndarray:
        """(n,): the place of the likeliest class."""
        return self.probabilities.argmax(axis=1)

    @property
    def right(self) -> np.ndarray:
        """(n,) bool."""
        return self.said == self.at

    @property
    def confusion(self) -> np.ndarray:
        """(K, K) counts: gold in the rows, what the student says in the columns."""
        k = len(self.classes)
        return np.bincount(self.at * k + self.said, minlength=k * k).reshape(k, k)


def predicted(
    train: TrainingSet, features: np.ndarray, gold: Sequence[str], new: New = Student
) -> Predicted | None:
    """What a student trained on the set says of test rows; None if the set lacks a class of theirs."""
    classes = sorted(set(train.labels))
    if set(gold) - set(classes):
        return None
    wanted = train.labels if train.soft is None else train.soft
    student = new(classes).fit(train.features, wanted, train.weights)
    return Predicted(classes, student.predict_proba(features), gold)


def paired_gain(after: np.ndarray, before: np.ndarray, draws: int = 4000) -> tuple[float, float, float]:
    """Gain in accuracy on the same rows with its 95 % interval: (gain, low, high).

    The interval is the bootstrap's or, where no two rows differ in their difference and it sees no chance, as
    wide as Wilson's is of no hit (the limit of Tango's score interval, 1998).
    """
    difference = after.astype(float) - before.astype(float)
    generator = np.random.default_rng(0)
    n = len(difference)
    if np.ptp(difference) == 0:
        gain, half = float(difference[0]), wilson(0, n)[1]
        return gain, max(-1.0, gain - half), min(1.0, gain + half)
    # a resample of differences in {-1, 0, 1} is a multinomial count of the three
    shares = [(difference == v).mean() for v in (-1, 0, 1)]
    counts = generator.multinomial(n, shares, size=draws)
    low, high = np.quantile((counts[:, 2] - counts[:, 0]) / n, [0.025, 0.975])
    return float(difference.mean()), float(low), float(high)


def compare(
    hits: Mapping[str, np.ndarray | None], n: int, against: str, why: Mapping[str, str] = {}
) -> Iterator[Row]:
    """Each contestant's accuracy, from one bool a test row, and its paired gain over `against`. None, of a
    set that lacks a class, is unknown; `why` says why."""
    for name, right in hits.items():
        if right is None:
            yield Row("accuracy", name, None, n=n, reason=why.get(name))
            continue
        yield Row("accuracy", name, float(right.mean()), *wilson(int(right.sum()), n), n)
        base = hits.get(against)
        if name != against and base is not None:
            yield Row("accuracy_gain", name, *paired_gain(right, base), n)


def word_list_labels(texts: Sequence[str], words: Mapping[str, Sequence[str]]) -> list[str]:
    """The label whose words a text has most of; a tie goes to the label that is listed first."""
    lists = {label: set(map(str.casefold, ws)) for label, ws in words.items()}
    found = []
    for text in texts:
        tokens = parted(text.casefold()).split()
        found.append(max(lists, key=lambda label: sum(t in lists[label] for t in tokens)))
    return found


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error, in [0, 1]: mean distance between confidence and accuracy over equal bins
    of the confidence (Guo et al. 2017)."""
    at = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = np.bincount(at, confidence - right, minlength=BINS)
    return float(np.abs(gap).sum() / len(right))


def calibration(confidence: np.ndarray, right: np.ndarray) -> Measured:
    """The calibration error with its interval.

    Few rows in a bin are apart by chance, and a resample of them more so: the lower end is 0 where a student
    that is right as often as it is sure has such a value by chance, and else what the bootstrap's bias, taken
    off twice, leaves of it (the basic interval; Davison & Hinkley 1997).
    """
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


def of_one(name: str, predicted: Predicted, order: Sequence[str] = ()) -> Iterator[Row]:
    """Macro-F1, area under the curve and calibration error of one set's student; and how far it is off, of
    labels that have an order."""
    said = list(np.asarray(predicted.classes)[predicted.said])
    found = {
        "macro_f1": agreement(said, predicted.gold)["macro_f1"],
        "auc": area(predicted),
        "calibration_error": calibration(predicted.probabilities.max(axis=1), predicted.right),
        **by_order(said, predicted.gold, order),
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
    parts = []
    for _, group in rows.groupby("label"):
        ids = ranked(group["row_id"], 0, f"curve/{seed}")[: max(1, round(share * len(group)))]
        parts.append(group[group["row_id"].isin(ids)])
    return pd.concat(parts)


def training_sets(
    generations: pd.DataFrame,
    filtered: pd.DataFrame,
    labelled: pd.DataFrame,
    weighted: pd.DataFrame,
    seeds: pd.DataFrame,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """What is compared: name -> rows with text, label and, where it weighs, weight.

    `real` are as many real rows of each label as `weighted` has synthetic ones, drawn from the unlabeled
    split, whose labels are used for nothing but this reference; absent when there are too few.
    """
    import pandas as pd

    synthetic = weighted[weighted["origin"] == "synthetic"]
    shown = seeds[seeds["split"] == "demonstration"]
    each = {
        "generations": generations[generations["accepted"]],
        "filtered": filtered,
        "labelled": labelled,
        "weighted": synthetic,
    }
    sets = {"seeds": shown, **each}
    for name, rows in each.items():
        sets[f"seeds + {name}"] = pd.concat([shown.assign(weight=1.0) if "weight" in rows else shown, rows])
    if len(synthetic) < len(weighted):  # the recipe says what the seeds weigh
        sets["seeds + weighted"] = weighted
    rest = seeds[seeds["split"] == "unlabeled"]
    drawn: list[str] = []
    for label, n in synthetic["label"].value_counts().items():
        drawn += ranked(rest.loc[rest["label"] == label, "row_id"], seed, "reference")[:n]
    if len(drawn) == len(synthetic) > 0:
        sets["real"] = rest[rest["row_id"].isin(drawn)]
    return sets


def training_set(rows: pd.DataFrame, student: Made, features: np.ndarray | None = None) -> TrainingSet:
    """Rows (text, label; weight and label_probabilities where there are some) as a student learns them, of
    features that are known, or are asked for."""
    weights, labels = list(rows["weight"]) if "weight" in rows else None, list(rows["label"])
    soft = None
    if student.soft and "label_probabilities" in rows:
        soft = _soft(rows["label_probabilities"], labels)
    features = student.features(list(rows["text"])) if features is None else features
    return TrainingSet(features, labels, weights, soft)


def _soft(probabilities: Iterable[Mapping[str, float] | None], labels: Sequence[str]) -> Any:
    """(n, K) probabilities of the sorted labels; of a row whose are not known, 1 at its label."""
    import numpy as np

    classes = sorted(set(labels))
    known = [
        [p[c] for c in classes] if isinstance(p, Mapping) else [float(c == label) for c in classes]
        for p, label in zip(probabilities, labels, strict=True)
    ]
    found = np.asarray(known).reshape(len(known), len(classes))
    return found / found.sum(axis=1, keepdims=True)


def predictions(sets: Sets, test: pd.DataFrame, student: Made) -> dict[str, Predicted | None]:
    """What each set's student says of the test rows; None for a set that lacks a class. The features of one
    set are in memory at a time."""
    features, gold = student.features(list(test["text"])), list(test["label"])
    return {
        name: predicted(training_set(rows, student), features, gold, student.new)
        for name, rows in sets.items()
    }


def untrained(sets: Sets, gold: Iterable[str]) -> dict[str, str]:
    """Set -> why there is no student of it; of `real`, why there is no such set."""
    found, wanted = {}, set(gold)
    for name, rows in sets.items():
        if lacking := sorted(wanted - set(rows["label"])):
            found[name] = f"no row is labelled {', '.join(lacking)}" if len(rows) else NO_ROWS
    if "real" not in sets:
        found["real"] = "the split unlabeled has fewer rows of some label than the set: give seeds more rows"
    return found


def usefulness(
    said: Mapping[str, Predicted | None],
    others: Mapping[str, Any],
    n: int,
    why: Mapping[str, str] = {},
    order: Sequence[str] = (),
) -> pd.DataFrame:
    """Accuracy and its gain over the seeds for all sets and baselines (`others`, one bool a test row), where
    unknown with the reason; of students what `of_one` says, of the main set the errors by class and the
    confusion."""
    right = {name: None if p is None else p.right for name, p in said.items()}
    right |= dict.fromkeys(name for name in why if name not in said)
    rows = [found for name, p in said.items() if p is not None for found in of_one(name, p, order)]
    main = said.get(MAIN)
    rows += [] if main is None else errors(main)
    return table([*compare({**right, **others}, n, "seeds", why), *rows])


def weights_gain(sets: Sets, said: Mapping[str, Predicted | None]) -> pd.DataFrame:
    """Paired gain in accuracy of the weighted rows over the same rows of equal weight, if weights differ."""
    main, same = said.get(MAIN), said.get("labelled")
    if main is None or same is None or sets[MAIN]["weight"].nunique() < 2:
        return table([])
    return table([Row("weights_gain", MAIN, *paired_gain(main.right, same.right), len(main.gold))])


def curves(sets: Sets, test: pd.DataFrame, student: Made, seed: int = 0) -> pd.DataFrame:
    """Accuracy over rows, of the main set and of as many real rows."""
    features, gold = student.features(list(test["text"])), list(test["label"])

    def curve(name: str) -> Iterator[Row]:
        rows = sets[name].reset_index(drop=True)
        of_rows = student.features(list(rows["text"]))

        def accuracy(part: pd.DataFrame) -> float | None:
            found = predicted(training_set(part, student, of_rows[part.index]), features, gold, student.new)
            return None if found is None else float(found.right.mean())

        return learning_curve(name, rows, accuracy, len(gold), seed)

    compared = [name for name in (MAIN, "real") if len(sets.get(name, ()))]
    return table(row for name in compared for row in curve(name))


def change(now: Predicted | None, before: Predicted | None, round_: str) -> pd.DataFrame:
    """Paired gain in accuracy of the main set's student over that of the round before, `round_`."""
    if now is None or before is None:
        return table([])
    gain = paired_gain(now.right, before.right)
    return table([Row("accuracy_change", against(round_), *gain, len(now.gold), against=round_)])


def model_alone(sample: pd.DataFrame, said: Sequence[LabelLogprobs | None], by_seeds: Any) -> pd.DataFrame:
    """Metric rows of the annotator on a sample of the test rows, its gain over `by_seeds` on the same rows.

    A row that the annotator gives no label is missing, and not wrong.
    """
    import numpy as np

    probabilities = batch_calibrated(said)
    sample = sample[[p is not None for p in probabilities]]
    if sample.empty:
        return table(compare({"model alone": None}, 0, "seeds"))
    guessed = [max(p, key=p.__getitem__) for p in probabilities if p is not None]
    hits = {"model alone": np.asarray(guessed) == np.asarray(sample["label"])}
    if by_seeds is not None:
        hits["seeds"] = by_seeds[sample.index]
    return table(found for found in compare(hits, len(sample), "seeds") if found.slice == "model alone")
