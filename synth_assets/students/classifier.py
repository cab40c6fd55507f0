"""The fast student: logistic regression on sentence embeddings, or on TF-IDF where there is no encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from synth_assets.students.crossfit import Labels, Weights


class Student:
    """`fit(features, labels, weights)`, then `predict_proba(features)`: (n, K) in the order of `labels`."""

    def __init__(self, labels: Sequence[str], c: float = 1.0) -> None:
        self.labels = sorted(labels)
        self._c = c
        self._model: Any = None

    def fit(self, features: np.ndarray, labels: Labels, weights: Weights = None) -> Student:
        """Features (n, d). Weights are brought to a mean of 1, so that they do not change how much a student
        is regularised. ValueError when a class has no row."""
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        w = np.ones(features.shape[0]) if weights is None else np.asarray(weights, dtype=float)
        w = w / w.mean()
        if isinstance(labels, np.ndarray) and labels.ndim == 2:  # a row for each label that may be a row's
            rows, at = labels.nonzero()
            w = w[rows] * labels[rows, at]
            features, labels = features[rows], [self.labels[k] for k in at]
        missing = set(self.labels) - set(labels)
        if missing:
            raise ValueError(f"no training row is labelled {', '.join(sorted(missing))}")
        with _threads().limit(limits=1):
            self._model = LogisticRegression(C=self._c, max_iter=1000).fit(features, labels, w)
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return self._model.predict_proba(features)

    def predict(self, features: np.ndarray) -> list[str]:
        return list(self._model.predict(features))


@cache
def _threads() -> Any:
    """Those of the libraries that scikit-learn has loaded. To look for them takes longer than a small fit."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
