"""Scores of labels by students: higher is cleaner. One label a row; classes are their sorted names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from synth_assets.students import softmax
from synth_assets.students.crossfit import folds, one_thread, out_of_fold, shares

BLOCK_ENTRIES = 4_000_000  # similarities held at once, at most
HARD = 0.2  # the confidence up to which CLLM drops a row
TINY = 1e-12  # below any loss that counts
AXES = 20  # of texts beside other features, which would be lost among all of a vector
TRUSTED = 1.0  # penalty of boosting that learns rows whose labels are right (XGBoost's)
SWAYING = 0.3  # rate at which each epoch still moves what a student says of an ambiguous row


def cross_fitted(features: np.ndarray, labels: Sequence[str], copies: Sequence[object]) -> np.ndarray:
    """(n, K): each row's probabilities by a student that saw neither the row nor its copies."""
    student = softmax.SoftmaxRegression(sorted(set(labels)))
    return out_of_fold(features, labels, copies, student.fit)


def given(probabilities: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """(n,): the probability of each row's own label; of out-of-fold probabilities, its confidence."""
    _, at = np.unique(np.asarray(labels), return_inverse=True)
    return probabilities[np.arange(len(at)), at]


def student_confidence(features: np.ndarray, labels: Sequence[str], copies: Sequence[object]) -> np.ndarray:
    """(n,): the probability of each row's label by a student that saw neither the row nor its copies."""
    return given(cross_fitted(features, labels, copies), labels)


def hard(confidence: np.ndarray, aleatoric: np.ndarray, tau: float | None = 0.2) -> np.ndarray:
    """(n,) bool: the region that CLLM drops, confidence <= .2 and aleatoric <= tau; ambiguous rows stay.

    Without tau it is adaptive: .75 of the range of the aleatoric uncertainty.
    """
    if tau is None:
        tau = 0.75 * float(aleatoric.max() - aleatoric.min())
    return (confidence <= HARD) & (aleatoric <= tau)


def watched(confidences: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Of probabilities (n,) of the rows' labels, a checkpoint at a time: mean confidence, and aleatoric
    uncertainty (CLLM: mean of p (1 - p), at most .25)."""
    count = 0
    confidence: Any = 0.0
    aleatoric: Any = 0.0
    for p in confidences:
        count, confidence, aleatoric = count + 1, p + confidence, p * (1 - p) + aleatoric
    return confidence / count, aleatoric / count


def learning_dynamics(
    learned: np.ndarray,
    taught: Sequence[str],
    seen: np.ndarray,
    labels: Sequence[str],
    penalty: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`watched`, of rows that are seen with these labels, by the checkpoints of boosting that learns others
    (or the same). Their labels are among those that are taught."""
    from synth_assets.students.boosting import Boosting

    student = Boosting(sorted(set(taught)), penalty=penalty).fit(learned, taught)
    own = np.arange(len(labels)), np.searchsorted(student.labels, labels)
    return watched(p[own] for p in student.checkpoints(seen))


@one_thread
def main_axes(vectors: np.ndarray) -> np.ndarray:
    """(n, AXES): how far vectors (n, d) go in the directions in which they differ most."""
    from sklearn.decomposition import PCA

    return PCA(min(AXES, *vectors.shape), random_state=0).fit_transform(vectors)


def variability(
    features: np.ndarray, labels: Sequence[str], groups: Sequence[object], k: int = 5, seed: int = 0
) -> np.ndarray:
    """(n,), in [0, .5]: standard deviation of a label's probability over the checkpoints of a student that
    was trained on the other folds, of the label where it is highest (WANLI: Liu et al. 2022)."""
    fold, y, classes = folds(groups, k, seed), np.asarray(labels), sorted(set(labels))
    found = np.empty(len(y))
    for f in np.unique(fold):
        out = fold == f
        trained = softmax.checkpoints(features[~out], y[~out], classes, rate=SWAYING)
        p = np.array([softmax.probabilities(features[out], at) for at in trained])
        found[out] = p.std(axis=0).max(axis=1)
    return found


def loss(confidence: np.ndarray) -> np.ndarray:
    """(n,): cross-entropy of rows whose label has this probability."""
    return -np.log(np.maximum(confidence.astype(float), 1e-12))


def loss_mixture(confidence: np.ndarray, labels: Sequence[str], seed: int = 0) -> np.ndarray:
    """(n,): the posterior of the component of small loss, of two a class on -log confidence (FreeAL:
    Xiao et al. 2023). Unknown (NaN) for a class of fewer than two rows.

    The smaller a loss, the higher it is. The posterior of two Gaussians is so only between their means: where
    the clean one is the narrower, it falls again below its mean. Beyond the means it goes on to 1 and to 0.
    """
    from sklearn.mixture import GaussianMixture

    losses = loss(confidence)[:, None]
    y, found = np.asarray(labels), np.full(len(confidence), np.nan)
    for name in np.unique(y):
        rows = y == name
        if rows.sum() > 1:
            model = GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=seed)
            at, means = losses[rows], model.fit(losses[rows]).means_.ravel()
            low, high = means.min(), means.max()
            posterior = model.predict_proba(at.clip(low, high))[:, means.argmin()]
            below = np.minimum(at.ravel() / max(low, TINY), 1)  # 1 but below the clean mean
            above = np.minimum(high / at.ravel().clip(TINY), 1)  # 1 but above the other
            found[rows] = 1 - (1 - posterior * above) * below
    return found


@one_thread
def neighbours(
    vectors: np.ndarray, labels: Sequence[str], k: int = 20, copies: Sequence[object] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Share of the k nearest rows with the row's label, in [0, 1], and mean cosine to them, in [-1, 1]
    (low is an outlier). Vectors (n, d) float32 have length 1; neither the row itself is a neighbour nor its
    copies, rows of the same name in `copies`. Fewer than k where there are no more; unknown (NaN) without
    any."""
    _, y = np.unique(np.asarray(labels), return_inverse=True)
    names = np.arange(len(y)) if copies is None else np.unique(np.asarray(copies), return_inverse=True)[1]
    n, k = len(y), min(k, len(y) - 1)
    share, near = np.full(n, np.nan), np.full(n, np.nan)
    if k < 1:
        return share, near
    step = max(1, BLOCK_ENTRIES // n)
    for begin in range(0, n, step):
        like = vectors[begin : begin + step] @ vectors.T
        like[names[begin : begin + step, None] == names] = -np.inf
        best = np.argpartition(-like, k - 1, axis=1)[:, :k]
        cosines = np.take_along_axis(like, best, axis=1)
        other = np.isfinite(cosines)
        count = np.where(other.any(axis=1), other.sum(axis=1), np.nan)
        same = other & (y[best] == y[begin : begin + step, None])
        share[begin : begin + step] = same.sum(axis=1) / count
        near[begin : begin + step] = np.where(other, cosines, 0).sum(axis=1) / count
    return share, near


def outer_residuals(p: np.ndarray, wanted: np.ndarray, loss: str = "rce") -> np.ndarray:
    """(n, K): derivative of the outer loss in the scores. `rce`, reversed cross-entropy -sum p log q with
    q = softmax(10 onehot), is for labels that may be wrong; `ce` for gold ones."""
    if loss == "ce":
        return p - wanted
    cost = 10 * (1 - wanted)  # -log q but for a constant, which has no gradient
    return p * (cost - (p * cost).sum(axis=1, keepdims=True))


def influence(
    features: np.ndarray, labels: Sequence[str], groups: Sequence[object], loss: str = "rce", seed: int = 0
) -> np.ndarray:
    """(n,), any real number: by how much the row lowers the loss on rows that it was not trained with
    (ProGen: Ye et al. 2022). Each half is scored on the other, through the inverse Hessian."""
    return by_the_other_half(_influence, features, labels, groups, loss, seed)


def by_the_other_half(
    judge: Callable[..., np.ndarray],
    features: np.ndarray,
    labels: Sequence[str],
    groups: Sequence[object],
    loss: str,
    seed: int,
) -> np.ndarray:
    """(n,): what `judge` says of each half of the rows, given the other: the two share no group."""
    x, y = softmax.floats(features), np.asarray(labels)
    classes, half = [str(c) for c in np.unique(y)], folds(groups, 2, seed)
    found = np.empty(len(y))
    for side in (0, 1):
        inner, outer = half == side, half != side
        found[inner] = judge(
            x[inner], softmax.targets(y[inner], classes), x[outer], softmax.targets(y[outer], classes), loss
        )
    return found


@one_thread
def _influence(x: np.ndarray, y: np.ndarray, x_out: np.ndarray, y_out: np.ndarray, loss: str) -> np.ndarray:
    w, penalty = shares(None, len(x)), 1 / len(x)
    at = softmax.descend(x, y, w, penalty)
    p = softmax.probabilities(x, at)
    outward = outer_residuals(softmax.probabilities(x_out, at), y_out, loss) / len(x_out)
    way = softmax.solve(x, p, w, penalty, softmax.gradient(x_out, outward))
    return ((p - y) * (x @ way[:-1] + way[-1])).sum(axis=1)
