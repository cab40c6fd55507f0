"""Softmax regression whose gradient and curvature are at hand: soft labels, checkpoints, implicit gradients.

Parameters are (d + 1, K) float32: a row a feature, and the constants in the last row. The loss is
sum_i w_i CE(x_i, y_i) + penalty / 2 |parameters|^2, with weights that add up to 1 and penalty = 1 / (C n):
the same student as scikit-learn's logistic regression, but that the constants are penalised too, so that a
class without a row does no harm. All in float32 and passes over the features, which are never copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from synth_assets.students.crossfit import Labels, Weights, one_thread, shares

ROUNDS = 15  # Newton steps of a fit, at most
SOLVE = 15  # steps of conjugate gradients a Newton step, at most
CLOSE = 1e-4  # length of the gradient at which a fit ends; it is about .3 at the start
BATCH = 64
EPOCHS = 10
STEPS = 600  # of small batches that a fit takes at least
RATE = 0.01  # of Adam
MOMENTUM = 0.8  # of the mean of a row's predictions over the epochs (SuperGen's)
CONFIDENT = 0.8  # at which that mean is believed
PULL = 10.0  # its weight beside the label's


class SoftmaxRegression:
    """`fit(features, labels, weights)`, then `predict_proba(features)`: (n, K) in the order of `labels`.

    Robust to wrong labels (SuperGen: Meng et al. 2022): with `smoothing` a label keeps 1 - smoothing, and all
    share the rest; with `ensembling` the student is trained by small batches and its confident rows are held
    to the mean of what it said of them (see `checkpoints`).
    """

    def __init__(
        self, labels: Sequence[str], c: float = 1.0, smoothing: float = 0.0, ensembling: bool = False
    ) -> None:
        self.labels = sorted(labels)
        self._c, self._smoothing, self._ensembling = c, smoothing, ensembling
        self.parameters: np.ndarray | None = None

    @one_thread
    def fit(self, features: np.ndarray, labels: Labels, weights: Weights = None) -> SoftmaxRegression:
        """Features (n, d); a label a row, or (n, K) probabilities of the labels (soft cross-entropy)."""
        x, y = floats(features), smoothed(targets(labels, self.labels), self._smoothing)
        if self._ensembling:
            epochs = max(EPOCHS, STEPS * BATCH // len(x))
            *_, self.parameters = checkpoints(x, y, self.labels, epochs, weights=weights, ensembling=True)
        else:
            self.parameters = descend(x, y, shares(weights, len(x)), 1 / (self._c * len(x)))
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        if self.parameters is None:
            raise ValueError("fit comes before predict_proba")
        return probabilities(floats(features), self.parameters)


def floats(features: np.ndarray) -> np.ndarray:
    """(n, d) float32, row by row in memory."""
    return np.ascontiguousarray(features, dtype=np.float32)


def targets(labels: Labels, classes: Sequence[str]) -> np.ndarray:
    """(n, K) float32: 1 at each row's label; probabilities (n, K) stay as they are."""
    if isinstance(labels, np.ndarray) and labels.ndim == 2:
        return labels.astype(np.float32, copy=False)
    at = {y: k for k, y in enumerate(classes)}
    return np.eye(len(classes), dtype=np.float32)[[at[y] for y in labels]]


def smoothed(wanted: np.ndarray, smoothing: float) -> np.ndarray:
    """Label smoothing (Szegedy et al. 2016) of probabilities (n, K)."""
    return wanted * (1 - smoothing) + smoothing / wanted.shape[1] if smoothing else wanted


@one_thread
def probabilities(features: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """(n, K) from (n, d) features and (d + 1, K) parameters, the last line of which is the bias."""
    scores = features @ parameters[:-1] + parameters[-1]
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def gradient(features: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """Of sum_i f_i in the parameters, where `residuals` (n, K) are those of f_i in the row's scores."""
    return np.vstack([features.T @ residuals, residuals.sum(axis=0, keepdims=True)])


@one_thread
def descend(
    features: np.ndarray,
    wanted: np.ndarray,
    weights: np.ndarray,
    penalty: float,
    start: np.ndarray | None = None,
    rounds: int = ROUNDS,
) -> np.ndarray:
    """Parameters of least loss, by Newton's method from `start`, each step halved until the loss falls."""
    at = start
    if at is None:
        at = np.zeros((features.shape[1] + 1, wanted.shape[1]), dtype=np.float32)
    p = probabilities(features, at)
    for _ in range(rounds):
        slope = gradient(features, weights[:, None] * (p - wanted)) + np.float32(penalty) * at
        if np.linalg.norm(slope) < CLOSE:
            break
        step = solve(features, p, weights, penalty, slope)
        loss, size = _loss(p, wanted, weights, penalty, at), 1.0
        while size > 0.01:
            p_next = probabilities(features, at - np.float32(size) * step)
            if _loss(p_next, wanted, weights, penalty, at - size * step) < loss:
                break
            size /= 2
        else:
            break  # as low as float32 tells
        at, p = at - np.float32(size) * step, p_next
    return at


def _loss(
    p: np.ndarray, wanted: np.ndarray, weights: np.ndarray, penalty: float, parameters: np.ndarray
) -> float:
    entropy = (wanted * np.log(np.maximum(p, 1e-30))).sum(axis=1)
    return float(-weights.astype(float) @ entropy + penalty / 2 * (parameters.astype(float) ** 2).sum())


@one_thread
def solve(
    features: np.ndarray,
    p: np.ndarray,
    weights: np.ndarray,
    penalty: float,
    right: np.ndarray,
    steps: int = SOLVE,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """The inverse Hessian of the loss, where the rows' probabilities are `p`, times `right`.

    Conjugate gradients: each step is two passes over the features, and the Hessian is never held.
    """

    def curved(v: np.ndarray) -> np.ndarray:
        u = features @ v[:-1] + v[-1]
        u -= (p * u).sum(axis=1, keepdims=True)
        u *= p
        u *= weights[:, None]
        return gradient(features, u) + np.float32(penalty) * v

    found = np.zeros_like(right) if start is None else start.copy()
    left = right.copy() if start is None else right - curved(found)
    way, length = left.copy(), float((left**2).sum())
    enough = 1e-4 * float((right**2).sum())
    for _ in range(steps):
        if length <= enough:
            break
        ahead = curved(way)
        size = np.float32(length / float((way * ahead).sum()))
        found += size * way
        left -= size * ahead
        before, length = length, float((left**2).sum())
        way = left + np.float32(length / before) * way
    return found


@one_thread
def checkpoints(
    features: np.ndarray,
    labels: Labels,
    classes: Sequence[str],
    epochs: int = EPOCHS,
    seed: int = 0,
    weights: Weights = None,
    rate: float = RATE,
    batch: int = BATCH,
    ensembling: bool = False,
) -> Iterator[np.ndarray]:
    """The parameters after each epoch of training by Adam on small batches in random order, from zero.

    With `ensembling` (temporal ensembling: Laine and Aila 2017), a row of which the mean of the epochs'
    predictions is confident is pulled to that mean as well.
    """
    x, y = floats(features), targets(labels, classes)
    w = shares(weights, len(x)) * len(x)
    draw = np.random.default_rng(seed)
    at = np.zeros((x.shape[1] + 1, y.shape[1]), dtype=np.float32)
    adam = Adam(at.shape, rate)
    said, pull = np.zeros_like(y), np.zeros(len(x), np.float32)
    for epoch in range(epochs):
        order = draw.permutation(len(x))
        for begin in range(0, len(x), batch):
            rows = order[begin : begin + batch]
            p = probabilities.__wrapped__(x[rows], at)
            residuals = p - y[rows] + pull[rows, None] * (p - said[rows])
            at = at - adam.step(gradient(x[rows], w[rows, None] * residuals) / len(rows))
        yield at
        if ensembling:
            said, pull = _ensembled(said, probabilities.__wrapped__(x, at), epoch)


def _ensembled(said: np.ndarray, p: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows' mean predictions (n, K), the newest among them, and how much each is pulled (n,)."""
    said = said * (1 - MOMENTUM**epoch)  # as it was before it was made a mean
    said = (MOMENTUM * said + (1 - MOMENTUM) * p) / (1 - MOMENTUM ** (epoch + 1))
    return said, np.float32(PULL) * (said.max(axis=1) > CONFIDENT)


class Adam:
    """Adam's steps (Kingma and Ba 2015) for one array of parameters."""

    def __init__(self, shape: tuple[int, ...], rate: float) -> None:
        self._rate, self._count = rate, 0
        self._mean, self._square = np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def step(self, slope: np.ndarray) -> np.ndarray:
        """What to take from the parameters, given the gradient."""
        self._count += 1
        self._mean += np.float32(0.1) * (slope - self._mean)
        self._square += np.float32(0.001) * (slope**2 - self._square)
        mean = self._mean / (1 - 0.9**self._count)
        spread = np.sqrt(self._square / (1 - 0.999**self._count)) + 1e-8
        return (self._rate * mean / spread).astype(np.float32)
