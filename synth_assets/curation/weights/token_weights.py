"""Weights of tokens by what they say of the label, and of rows by their tokens (FewGen: Meng et al. 2023).

FewGen tunes a generator for each label, and learns beside it what each token weighs: w = softmax over the
tokens of f(discriminative loss), f such that a step of the generators so weighted lowers the discriminative
loss. Here the generators are smoothed unigram models, f is one slope, and the tokens of all rows share one
softmax, so that the weights of rows can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synth_assets.core.text.words import RUN, tokens
from synth_assets.students.crossfit import folds
from synth_assets.students.softmax import Adam

STEPS = 20  # the generators still learn then: after it, a step changes nothing, and the slope loses its sign
RATE = 0.3  # of the generators' scores
META_RATE = 0.1  # of the slope
SMOOTHING = 1.0  # added to the count of each word


def row_weights(
    texts: Sequence[str], labels: Sequence[str], groups: Sequence[object], k: int = 5, seed: int = 0
) -> np.ndarray:
    """(n,): the mean weight of a row's tokens, which was learned on the other folds; the mean is 1."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=lambda text: tokens(text, RUN))
    found = counter.fit_transform([*texts, "."])[:-1]  # so that there is a word
    _, y = np.unique(np.asarray(labels), return_inverse=True)
    fold, weights = folds(groups, k, seed), np.ones(len(y))
    for f in np.unique(fold):
        out = fold == f
        each = token_weights(_counts(found[~out], y[~out], y.max() + 1))
        mass = np.asarray(found[out] @ each.T)[np.arange(out.sum()), y[out]]
        weights[out] = mass / np.maximum(found[out].sum(axis=1).A1, 1)
    return weights / weights.mean()


def _counts(found: Any, y: np.ndarray, labels: int) -> np.ndarray:
    """(K, V): how often each word stands in the rows of each label."""
    return np.array([found[y == label].sum(axis=0).A1 for label in range(labels)], dtype=float)


def token_weights(counts: np.ndarray) -> np.ndarray:
    """(K, V): what a word weighs in a text of a label, where it stands `counts` (K, V) times. The mean over
    all tokens is 1."""
    base = counts.sum(axis=0) + SMOOTHING
    base /= base.sum()
    scores, slope, adam = np.tile(np.log(base), (len(counts), 1)), 0.0, Adam((1,), META_RATE)
    for _ in range(STEPS):
        loss = _loss(scores, counts)
        w = _softmax(slope * loss, counts)
        ahead = scores - RATE * _gradient(scores, counts * w, base)
        harm = -RATE * _along(scores, _discriminative_gradient(ahead, counts), base)
        change = (counts * w * harm * (loss - (counts * w * loss).sum())).sum()
        slope -= float(adam.step(np.array([change]))[0])
        scores -= RATE * _gradient(scores, counts * _softmax(slope * loss, counts), base)
    return _softmax(slope * _loss(scores, counts), counts) * counts.sum()


def _loss(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(K, V): the discriminative loss of a token, -log P(label | word), with mean 0 and deviation 1. A word
    that stands in no text of a label counts as the nearest of those that do: where these are all alike, it
    would lie any number of deviations beyond them."""
    loss = -_log_softmax(_log_softmax(scores, 1), 0)
    there = loss[counts > 0]
    loss = loss.clip(there.min(), there.max()) - (counts * loss).sum() / counts.sum()
    return loss / max(float((counts * loss**2).sum() / counts.sum()) ** 0.5, 1e-6)


def _gradient(scores: np.ndarray, mass: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Of the generators' loss, where tokens have this mass (K, V), over the words' frequencies: without it,
    frequent words alone would be learned."""
    return (mass.sum(axis=1, keepdims=True) * np.exp(_log_softmax(scores, 1)) - mass) / base


def _discriminative_gradient(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Of the mean discriminative loss of the tokens, in the generators' scores."""
    log_p = _log_softmax(scores, 1)
    residuals = (counts.sum(axis=0) * np.exp(_log_softmax(log_p, 0)) - counts) / counts.sum()
    return residuals - np.exp(log_p) * residuals.sum(axis=1, keepdims=True)


def _along(scores: np.ndarray, slope: np.ndarray, base: np.ndarray) -> np.ndarray:
    """(K, V): what the gradient of one token's loss has in common with `slope` (K, V)."""
    slope = slope / base
    return (np.exp(_log_softmax(scores, 1)) * slope).sum(axis=1, keepdims=True) - slope


def _softmax(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The weight of each token: over all tokens, they add up to 1."""
    weights = np.exp(scores - scores.max())
    return weights / (counts * weights).sum()


def _log_softmax(scores: np.ndarray, axis: int) -> np.ndarray:
    scores = scores - scores.max(axis=axis, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=axis, keepdims=True))
