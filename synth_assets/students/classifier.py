"""The fast student: logistic regression on sentence embeddings, or on TF-IDF where there is no encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class Student:
    """`fit(features, labels, weights)`, then `predict_proba(features)`: (n, K) in the order of `labels`."""

    def __init__(self, labels: Sequence[str], c: float = 1.0) -> None:
        self.labels = sorted(labels)
        self._c = c
        self._model: Any = None

    def fit(
        self,
        features: np.ndarray,
        labels: Sequence[str] | np.ndarray,
        weights: Sequence[float] | np.ndarray | None = None,
    ) -> Student:
        """Features (n, d); a label a row, or (n, K) probabilities of the labels; a weight a row. ValueError
        when a class has no row."""
        import numpy as np
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        weights = _mean_one(weights)
        if isinstance(labels, np.ndarray) and labels.ndim == 2:
            features, labels, weights = _repeated(features, labels, self.labels, weights)
        missing = set(self.labels) - set(labels)
        if missing:
            raise ValueError(f"no training row is labelled {', '.join(sorted(missing))}")
        with threadpool_limits(1):
            self._model = LogisticRegression(C=self._c, max_iter=1000).fit(features, labels, weights)
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return self._model.predict_proba(features)

    def predict(self, features: np.ndarray) -> list[str]:
        return list(self._model.predict(features))


def _repeated(
    features: np.ndarray,
    soft: np.ndarray,
    labels: Sequence[str],
    weights: Sequence[float] | np.ndarray | None,
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Each row once for each of its labels, which it weighs by its probability: the same as a soft label."""
    import numpy as np

    rows, at = soft.nonzero()
    each = np.ones(len(soft)) if weights is None else np.asarray(weights, dtype=float)
    return features[rows], [labels[int(k)] for k in at], each[rows] * soft[rows, at]


def _mean_one(weights: Sequence[float] | np.ndarray | None) -> np.ndarray | None:
    """Weights with mean 1, so that weighing a set does not change how much the student is regularised."""
    if weights is None:
        return None
    import numpy as np

    w = np.asarray(weights, dtype=float)
    return w / w.mean()
