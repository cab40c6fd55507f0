"""Weights by students: rows that help on other rows weigh more. The means are 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synth_assets.curation.noise import by_the_other_half, influence, outer_residuals
from synth_assets.students import softmax
from synth_assets.students.crossfit import one_thread, shares

OUTER_STEPS = 5
OUTER_RATE = 0.25  # mean length of a step of the weights' logits (SunGen's rate)


def bilevel_weights(
    features: np.ndarray, labels: Sequence[str], groups: Sequence[object], loss: str = "rce", seed: int = 0
) -> np.ndarray:
    """(n,): weights that lower the loss of a student so weighted on rows that it was not trained with
    (SunGen: Gao et al. 2023). Each half is weighed by the other, through the inverse Hessian."""
    found = by_the_other_half(_weigh, features, labels, groups, loss, seed)
    return shares(found, len(found)) * len(found)


@one_thread
def _weigh(x: np.ndarray, y: np.ndarray, x_out: np.ndarray, y_out: np.ndarray, loss: str) -> np.ndarray:
    logits, at, way, penalty = np.zeros(len(x), np.float32), None, None, 1 / len(x)
    for step in range(OUTER_STEPS):
        raw = 1 / (1 + np.exp(-logits))
        w = shares(raw, len(x))
        at = softmax.descend(x, y, w, penalty, start=at, rounds=softmax.ROUNDS if step == 0 else 1)
        p = softmax.probabilities(x, at)
        outward = outer_residuals(softmax.probabilities(x_out, at), y_out, loss) / len(x_out)
        way = softmax.solve(x, p, w, penalty, softmax.gradient(x_out, outward), start=way)
        harm = -((p - y) * (x @ way[:-1] + way[-1])).sum(axis=1)
        slope = harm * raw * (1 - raw)  # one length for all rows: Adam's, a row each, would lose which matter
        logits = logits - np.float32(OUTER_RATE) * slope / np.sqrt((slope**2).mean() + 1e-30)
    return 1 / (1 + np.exp(-logits))


@one_thread
def learning_to_reweight(
    features: np.ndarray,
    labels: Sequence[str],
    gold_features: np.ndarray,
    gold_labels: Sequence[str],
    epochs: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """(n,), zeros among them: how much a step on the row lowers the loss on gold rows, the mean of a
    student's epochs (Ren et al. 2018; LLMaAA: Zhang et al. 2023).

    In a batch, a row weighs what its gradient and that of the gold loss have in common, at least 0; the batch
    weighs 1 a row, all the same where nothing helps. The student then takes the step so weighted.
    """
    classes = sorted({*labels, *gold_labels})
    x, y = softmax.floats(features), softmax.targets(labels, classes)
    x_gold, y_gold = softmax.floats(gold_features), softmax.targets(gold_labels, classes)
    draw, found = np.random.default_rng(seed), np.zeros(len(x))
    at = np.zeros((x.shape[1] + 1, len(classes)), np.float32)
    adam = softmax.Adam(at.shape, softmax.RATE)
    for _ in range(epochs):
        order = draw.permutation(len(x))
        for begin in range(0, len(x), softmax.BATCH):
            rows = order[begin : begin + softmax.BATCH]
            way = softmax.gradient(x_gold, (softmax.probabilities(x_gold, at) - y_gold) / len(x_gold))
            residuals = softmax.probabilities(x[rows], at) - y[rows]
            w = np.maximum((residuals * (x[rows] @ way[:-1] + way[-1])).sum(axis=1), 0)
            w = shares(w if w.any() else None, len(rows))
            found[rows] += w * len(rows)
            at = at - adam.step(softmax.gradient(x[rows], w[:, None] * residuals))
    return found / found.mean()


def influence_weights(
    features: np.ndarray, labels: Sequence[str], groups: Sequence[object], seed: int = 0
) -> np.ndarray:
    """(n,): a row that changes nothing weighs a half as much as one that helps much, before the mean is 1.

    A harmful row weighs little and not 0: influence finds a wrong label only mostly, and a set without the
    rows that seemed harmful taught less than the whole set where labels are six (TREC with 40 % of noise).
    """
    by = influence(features, labels, groups, seed=seed)
    found = 1 / (1 + np.exp(-2 * by / max(float(by.std()), 1e-30)))
    return found / found.mean()
