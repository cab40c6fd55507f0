"""How varied a set of vectors is, and how far it lies from real rows.

Vectors are the rows of (n, d) matrices, of unit length; none of the measures sees more of a text than its
encoder does. Every function is pure; time is linear in n where its docstring names no limit. What cannot be
known has no value, and the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from synth_assets.contracts.measured import Measured, jackknife, mean, unknown, with_error
from synth_assets.core.asking import Encode
from synth_assets.core.errors import NotInstalled
from synth_assets.selection.methods import clusters

BLOCK = 4096  # rows that are worked on at once, in float64: the cache holds them
EXACT_ROWS = 2000  # all pairs of so many rows are compared; of a larger set, of as many drawn rows
EXACT_PAIRS = 10**8  # comparisons with the other set; beyond, rows are drawn (never fewer than 100)
CLUSTERED = 20  # real rows a cluster, at least, for other real rows to cover as many clusters as is expected
MAUVE_ROWS = 2500  # of each set
MAUVE_SCALE = 5


class NoVectors:
    """What stands for the vectors of `n` texts where there is no encoder: all that is measured of it is
    unknown, and why."""

    def __init__(self, n: int, why: str) -> None:
        self.n, self.why = n, why

    def __len__(self) -> int:
        return self.n


def vectors(encode: Encode, texts: Sequence[str]) -> Any:
    """The vectors of texts, or NoVectors."""
    try:
        return encode(texts)
    except NotInstalled as error:
        return NoVectors(len(texts), str(error))


def pairwise_similarity(matrix: np.ndarray, labels: Sequence[str] | None = None) -> Measured:
    """Mean cosine similarity of all pairs of rows; higher is less varied (APS of AttrPrompt, Yu et al. 2023).

    `matrix`: (n, d), rows of unit length (of other rows: the mean dot product). A row's similarities to all
    others sum to its product with the rows' sum, so time is n * d and not n * n * d, exactly. With `labels`:
    pairs of one class, and the mean over the classes that have two rows. Interval: the jackknife's.
    """
    if why := unfit(matrix):
        return unknown(why, len(matrix))
    if labels is None:
        return _mean_of_pairs(_similarities(matrix))
    classes = np.unique(np.asarray(labels), return_inverse=True)[1]
    members = [matrix[classes == c] for c in range(classes.max() + 1)]
    within = [_mean_of_pairs(_similarities(rows)) for rows in members if len(rows) > 1]
    if not within:
        return unknown("no class has two rows", len(matrix))
    errors = [m.high - m.low for m in within if m.high is not None and m.low is not None]
    known = len(errors) == len(within)
    half = math.hypot(*errors) / 2 / len(within)
    value = sum(m.value or 0.0 for m in within) / len(within)
    return Measured(value, value - half if known else None, value + half if known else None, len(matrix))


def centroid_distance(matrix: np.ndarray) -> Measured:
    """Mean Euclidean distance of the rows to their centroid; higher is more varied.

    Sees no bunches: two far ones look as varied as rows all around. Interval: of the mean.
    """
    if why := unfit(matrix):
        return unknown(why, len(matrix))
    centre = _sum(matrix) / len(matrix)
    return mean(np.concatenate([np.linalg.norm(rows - centre, axis=1) for rows in _blocks(matrix)]), least=0)


def remote_clique(matrix: np.ndarray, seed: int = 0) -> Measured:
    """Mean of each row's mean Euclidean distance to the others; higher is more varied (Cox et al. 2021).

    A distance does not add up as a similarity does: exact up to 2,000 rows, and of 2,000 drawn rows of a
    larger set. Interval: the jackknife's, which has the error of the draw in it.
    """
    if why := unfit(matrix):
        return unknown(why, len(matrix))
    rows = np.asarray(matrix[_drawn(len(matrix), EXACT_ROWS, seed)], dtype=np.float64)
    squares = np.einsum("ij,ij->i", rows, rows)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0))
    np.fill_diagonal(distances, 0)
    return _mean_of_pairs(distances.sum(axis=1))


def vendi_score(matrix: np.ndarray) -> Measured:
    """How many rows that have nothing in common would be as varied: 1 to n (Friedman & Dieng 2023).

    exp of the entropy of the eigenvalues of the rows' similarities, taken from the smaller of the (d, d) and
    (n, n) products, which share them: n * d * min(n, d). Cannot exceed d, and rises as a set grows: compare
    sets of one size only. Copying every row alike leaves it as it is. No interval: with about as many rows as
    dimensions, what a row adds depends on the others.
    """
    if why := unfit(matrix):
        return unknown(why, len(matrix))
    n, d = matrix.shape
    product = np.zeros((d, d))
    if n < d:
        rows = np.asarray(matrix, dtype=np.float64)
        product = rows @ rows.T
    else:
        for rows in _blocks(matrix):
            product += rows.T @ rows
    shares = np.linalg.eigvalsh(product / n)
    shares = shares[shares > 0]
    return with_error(math.exp(-float(shares @ np.log(shares))), None, n)


def nearest_distances(matrix: np.ndarray, others: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
    """Euclidean distance of each row (n,) to the nearest of `others`.

    `own`: where a row is itself among the others, which is then left out. Time is that of the product of both
    matrices. The nearest is found in their own precision, its distance is then taken in float64: a copy is
    at 0.
    """
    halves = np.einsum("ij,ij->i", others, others) / 2
    step = max(1, 2**23 // len(others))
    found = []
    for begin in range(0, len(matrix), step):
        rows = matrix[begin : begin + step]
        closeness = rows @ others.T - halves
        if own is not None:
            closeness[np.arange(len(rows)), own[begin : begin + step]] = -np.inf
        nearest = closeness.argmax(axis=1)
        for at in range(0, len(rows), BLOCK):
            some = slice(at, at + BLOCK)
            found.append(np.linalg.norm(rows[some].astype(np.float64) - others[nearest[some]], axis=1))
    return np.concatenate(found)


def nearest_distance(matrix: np.ndarray, real: np.ndarray, seed: int = 0) -> Measured:
    """Mean distance of the rows to the nearest real row; 0 for copies.

    Exact up to 10^8 pairs; beyond, of drawn rows (at least 100) to all real rows. Interval: of the mean.
    """
    if why := unfit(matrix, 1) or unfit(real, 1):
        return unknown(why, len(matrix))
    return mean(nearest_distances(matrix[drawn_for(matrix, real, seed)], real), least=0)


def chamfer_distance(matrix: np.ndarray, real: np.ndarray, seed: int = 0) -> Measured:
    """Mean distance to the nearest row of the other set, from either side, added up (Barrow et al. 1977).

    0 if neither has a row that the other has not. The part from the synthetic rows grows with what is unreal,
    the part from the real rows with what is missed; how often a row is repeated is not seen. See
    `nearest_distance`, which is one part.
    """
    there, back = nearest_distance(matrix, real, seed), nearest_distance(real, matrix, seed)
    if there.value is None or back.value is None:
        return unknown(there.why or back.why, len(matrix))
    value = there.value + back.value
    if there.high is None or back.high is None:
        return Measured(value, n=len(matrix))
    half = math.hypot(there.high - there.value, back.high - back.value)
    return Measured(value, max(0.0, value - half), value + half, len(matrix))


def cluster_coverage(
    matrix: np.ndarray, real: np.ndarray, k: int = 50, seed: int = 0
) -> tuple[Measured, Measured]:
    """Share of the real rows' `k` clusters (k-means) that a synthetic row hits, and the level to expect.

    The level is the share that as many rows, drawn from the real ones, are expected to hit by chance. With
    few rows a cluster, other real rows stay far below it: their vectors lie nearest to the large clusters.
    A row hits the cluster of the nearest centre, however far it lies. Interval: the jackknife's.
    """
    if why := unfit(matrix, 1) or unfit(real, 1):
        return unknown(why, len(matrix)), unknown(why, len(real))
    of_real, centres = clusters(np.asarray(real), min(k, len(real)), seed)
    sizes = np.bincount(of_real, minlength=len(centres))
    centres, shares = centres[sizes > 0], sizes[sizes > 0] / len(real)
    halves = np.einsum("ij,ij->i", centres, centres) / 2
    nearest = np.concatenate([(rows @ centres.T - halves).argmax(axis=1) for rows in _blocks(matrix)])
    hits = np.bincount(nearest, minlength=len(centres))
    covered = float((hits > 0).mean())
    found = jackknife(covered, covered - (hits[nearest] == 1) / len(centres), 0, 1)
    return found, Measured(float((1 - (1 - shares) ** len(matrix)).mean()), n=len(real))


def mauve(matrix: np.ndarray, real: np.ndarray, seed: int = 0) -> Measured:
    """Area under the divergence curve of two sets, in (0, 1]; 1: one distribution (Pillutla et al. 2021).

    Both are quantised by k-means of all rows, a cluster for ten rows of the smaller set; the curve has the
    two Kullback-Leibler divergences from their mixtures, scaled by 5. Exact up to 2,500 rows of each set, of
    so many drawn rows beyond. Falls with fewer rows: compare sets of one size only. Without an interval.
    """
    if why := unfit(matrix) or unfit(real):
        return unknown(why, len(matrix))
    ours, theirs = (m[_drawn(len(m), MAUVE_ROWS, seed)] for m in (matrix, real))
    k = max(2, round(min(len(ours), len(theirs)) / 10))
    cluster, _ = clusters(np.concatenate([ours, theirs]), k, seed)
    p, q = np.bincount(cluster[: len(ours)], minlength=k), np.bincount(cluster[len(ours) :], minlength=k)
    return with_error(divergence_area(p / p.sum(), q / q.sum()), None, len(ours))


def divergence_area(p: np.ndarray, q: np.ndarray) -> float:
    """The area of MAUVE for two distributions over the same k clusters, at 25 mixtures."""

    def divergence(a: np.ndarray, b: np.ndarray) -> float:
        there = a > 0
        return float(a[there] @ np.log(a[there] / b[there]))

    mixtures = [w * p + (1 - w) * q for w in np.linspace(1e-6, 1 - 1e-6, 25)]
    x = np.exp([-MAUVE_SCALE * divergence(q, r) for r in mixtures])
    y = np.exp([-MAUVE_SCALE * divergence(p, r) for r in mixtures])
    x, y = np.array([0, *x[np.argsort(x)], 1]), np.array([1, *y[np.argsort(x)], 0])
    return float(np.trapezoid(y, x))


def unfit(matrix: np.ndarray, least: int = 2) -> str:
    """Why nothing can be said of the matrix; empty if there is no reason."""
    if isinstance(matrix, NoVectors):
        return matrix.why
    if len(matrix) < least:
        return "no rows" if least == 1 else "fewer than two rows"
    return "" if np.isfinite(_sum(matrix)).all() else "a vector has a number that is not finite"


def drawn_for(matrix: np.ndarray, others: np.ndarray, seed: int) -> np.ndarray:
    """Which rows to compare with all `others`: every one, or as many drawn ones as 10^8 pairs allow."""
    return _drawn(len(matrix), max(100, EXACT_PAIRS // len(others)), seed)


def _drawn(n: int, most: int, seed: int) -> np.ndarray:
    """The numbers of n rows, or of `most` drawn ones, in order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def _blocks(matrix: np.ndarray) -> Iterator[np.ndarray]:
    for begin in range(0, len(matrix), BLOCK):
        yield np.asarray(matrix[begin : begin + BLOCK], dtype=np.float64)


def _sum(matrix: np.ndarray) -> np.ndarray:
    """Sum of the rows, (d,)."""
    total = np.zeros(matrix.shape[1])
    for rows in _blocks(matrix):
        total += np.ones(len(rows)) @ rows
    return total


def _similarities(matrix: np.ndarray) -> np.ndarray:
    """Each row's similarities to all the others, summed, (n,)."""
    total = _sum(matrix)
    # in float64: the two terms cancel when rows are almost orthogonal
    return np.concatenate([rows @ total - np.einsum("ij,ij->i", rows, rows) for rows in _blocks(matrix)])


def _mean_of_pairs(sums: np.ndarray) -> Measured:
    """Mean over all pairs of rows from each row's sum over its pairs (n,), with the jackknife's interval."""
    n, total = len(sums), float(sums.sum())
    without = (total - 2 * sums) / ((n - 1) * (n - 2)) if n > 2 else sums
    return jackknife(total / (n * (n - 1)), without)
