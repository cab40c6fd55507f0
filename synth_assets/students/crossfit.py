"""Cross-fitting: what students that never saw a row say of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

Labels = Sequence[str] | np.ndarray  # a label a row, or (n, K) probabilities of the labels
Weights = Sequence[float] | np.ndarray | None  # a number a row; None: all weigh the same


class Model(Protocol):
    """A student that is trained."""

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """(n, K): probabilities of the classes, in the order of their sorted names."""


Fit = Callable[..., Model]  # features, labels, weights: `Student(classes).fit` is one


def one_thread(function: Any) -> Any:
    """Runs it with one thread of linear algebra: threads add up in no fixed order."""

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        with threadpool_limits(1):
            return function(*args, **kwargs)

    return limited


def shares(weights: Weights, n: int) -> np.ndarray:
    """Weights (n,) float32 that add up to 1. ValueError: negative, not finite or all zero."""
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (n,) or not np.isfinite(w).all() or (w < 0).any() or w.sum() <= 0:
        raise ValueError(f"wanted {n} weights that are finite, not negative and not all zero")
    return (w / w.sum()).astype(np.float32)


def folds(groups: Sequence[object], k: int, seed: int) -> np.ndarray:
    """Each row's fold (n,), 0 to k - 1. Rows of one group are in one fold."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    count = int(group.max()) + 1
    return (np.random.default_rng(seed).permutation(count) % k)[group]


def out_of_fold(
    features: np.ndarray, labels: Sequence[str], groups: Sequence[object], fit: Fit, k: int = 5, seed: int = 0
) -> np.ndarray:
    """(n, K): each row's probabilities from the student trained on the other folds."""
    fold, y, parts = folds(groups, k, seed), np.asarray(labels), {}
    for f in np.unique(fold):
        out = fold == f
        parts[f] = fit(features[~out], y[~out]).predict_proba(features[out])
    found = np.empty((len(y), next(iter(parts.values())).shape[1]), dtype=np.float32)
    for f, p in parts.items():
        found[fold == f] = p
    return found
