"""Usefulness: what a student that is trained on a set does on real rows (train synthetic, test real)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synth_assets.contracts.measured import Z95
from synth_assets.students.classifier import Student

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from synth_assets.students.made import New


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
        import numpy as np

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
        import numpy as np

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


def correct(train: TrainingSet, features: np.ndarray, gold: Sequence[str]) -> np.ndarray | None:
    """Whether a student trained on the set is right, one bool a test row; None if a class is absent."""
    found = predicted(train, features, gold)
    return None if found is None else found.right


def wilson(hits: float, n: float) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927); (0, 1) when nothing was drawn."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = hits / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * ((p * (1 - p) + z2 / (4 * n)) / n) ** 0.5 / (1 + z2 / n)
    return (max(0.0, centre - half) if hits else 0.0), (min(1.0, centre + half) if hits < n else 1.0)


def paired_gain(after: np.ndarray, before: np.ndarray, draws: int = 4000) -> tuple[float, float, float]:
    """Gain in accuracy on the same rows with its 95 % interval: (gain, low, high).

    The interval is the bootstrap's or, where no two rows differ in their difference and it sees no chance, as
    wide as Wilson's is of no hit (the limit of Tango's score interval, 1998).
    """
    import numpy as np

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


def compare(hits: Mapping[str, np.ndarray | None], n: int, against: str) -> pd.DataFrame:
    """Metric rows (name, slice, value, low, high, n) from one bool a test row and contestant: the accuracy of
    each, and its paired gain over `against`. None, of a set that lacks a class, is an unknown accuracy."""
    import pandas as pd

    rows: list[tuple[str, str, float | None, float | None, float | None, int]] = []
    for name, right in hits.items():
        if right is None:
            rows.append(("accuracy", name, None, None, None, n))
            continue
        rows.append(("accuracy", name, float(right.mean()), *wilson(int(right.sum()), n), n))
        base = hits.get(against)
        if name != against and base is not None:
            rows.append(("accuracy_gain", name, *paired_gain(right, base), n))
    return pd.DataFrame(rows, columns=["name", "slice", "value", "low", "high", "n"])


def word_list_labels(texts: Sequence[str], words: Mapping[str, Sequence[str]]) -> list[str]:
    """The label whose words a text has most of; a tie goes to the label that is listed first."""
    lists = {label: set(map(str.casefold, ws)) for label, ws in words.items()}
    found = []
    for text in texts:
        tokens = text.casefold().split()
        found.append(max(lists, key=lambda label: sum(t in lists[label] for t in tokens)))
    return found
