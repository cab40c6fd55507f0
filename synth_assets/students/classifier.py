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
        self, features: np.ndarray, labels: Sequence[str], weights: Sequence[float] | None = None
    ) -> Student:
        """Features (n, d), one label and weight a row. Raises ValueError when a class has no row."""
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        missing = set(self.labels) - set(labels)
        if missing:
            raise ValueError(f"no training row is labelled {', '.join(sorted(missing))}")
        with threadpool_limits(1):
            self._model = LogisticRegression(C=self._c, max_iter=1000).fit(
                features, labels, _mean_one(weights)
            )
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return self._model.predict_proba(features)

    def predict(self, features: np.ndarray) -> list[str]:
        return list(self._model.predict(features))


def _mean_one(weights: Sequence[float] | None) -> np.ndarray | None:
    """Weights with mean 1, so that weighing a set does not change how much the student is regularised."""
    if weights is None:
        return None
    import numpy as np

    w = np.asarray(weights, dtype=float)
    return w / w.mean()
