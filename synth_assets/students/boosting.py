"""Gradient boosting: the student for tables, and one that slowly gets single rows by heart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from synth_assets.students.crossfit import Weights, one_thread, shares

TREES = 100  # a class: the checkpoint e of CLLM (Seedat et al. 2023) is the first e of 100
RATE = 0.15  # what a tree adds of its values
PENALTY = 100.0  # of the squares of its values; of few rows LITTLE times their number
LITTLE = 0.3
BINS = 32


class Boosting:
    """`fit(features, labels, weights)`, then `predict_proba(features)`: (n, K) in the order of `labels`.

    Boosting on histograms (LightGBM, Ke et al. 2017). A high penalty, and splits that choose among sqrt(d)
    random features, keep it from getting rows by heart at once; of rows that are right, `penalty` may be low.
    """

    def __init__(
        self, labels: Sequence[str], trees: int = TREES, seed: int = 0, penalty: float | None = None
    ) -> None:
        self.labels = sorted(labels)
        self._trees, self._seed, self._penalty = trees, seed, penalty
        self._model: Any = None

    @one_thread
    def fit(self, features: np.ndarray, labels: Sequence[str], weights: Weights = None) -> Boosting:
        """Features (n, d), NaN where a value is missing; a label a row. ValueError: rows of one label."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        if len(set(labels)) < 2:
            raise ValueError("boosting needs rows of two labels or more")
        n, d = features.shape
        model = HistGradientBoostingClassifier(
            learning_rate=RATE,
            max_iter=self._trees,
            min_samples_leaf=5,
            l2_regularization=min(PENALTY, LITTLE * n) if self._penalty is None else self._penalty,
            max_features=d**-0.5,
            max_bins=BINS,
            early_stopping=False,
            random_state=self._seed,
        )
        self._model = model.fit(features, labels, sample_weight=shares(weights, n) * n)
        return self

    @one_thread
    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return self._placed(self._model.predict_proba(features))

    def checkpoints(self, features: np.ndarray) -> Iterator[np.ndarray]:
        """The probabilities (n, K) by the first tree a class, by the first two, and so on."""
        stages = self._model.staged_predict_proba(features)
        while (found := _next(stages)) is not None:
            yield self._placed(found)

    def _placed(self, found: np.ndarray) -> np.ndarray:
        """A label without a row has probability 0."""
        placed = np.zeros((len(found), len(self.labels)), dtype=np.float32)
        placed[:, np.searchsorted(self.labels, self._model.classes_)] = found
        return placed


@one_thread
def _next(stages: Iterator[np.ndarray]) -> np.ndarray | None:
    return next(stages, None)
