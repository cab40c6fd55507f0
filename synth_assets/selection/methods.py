"""Ways of choosing rows by their vectors: who is like the query, and who stands for the others.

Each takes `vectors`, (n, d) float32 with rows of length 1, in an order that the caller has fixed, and gives
places (row numbers), at most n. Similarity is the dot product; the first row wins a tie. Pairs of rows are
compared in blocks: the n x n similarities are never held at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

BLOCK_ENTRIES = 4_000_000  # similarities held at once, at most: 16 MB
ROUNDS = 100  # of k-medoids, at most; a few are enough but where rows fit alike
DIGITS = 12  # of a score that a whole number holds, with room for the sum of all votes


def nearest(vectors: np.ndarray, query: np.ndarray, k: int) -> list[int]:
    """The k rows most similar to the query, the most similar first (KATE: Liu et al. 2022)."""
    return np.argsort(-(vectors @ query), kind="stable")[:k].tolist()


def cluster_nearest(vectors: np.ndarray, query: np.ndarray, k: int, seed: int) -> list[int]:
    """Of each of k clusters the row most similar to the query, the most similar first (Self-Prompting: Li
    et al. 2022). Where rows that repeat leave fewer clusters, the nearest others fill up."""
    cluster, _ = clusters(vectors, k, seed)
    near = nearest(vectors, query, len(vectors))
    first: dict[int, int] = {}
    for i in near:
        first.setdefault(int(cluster[i]), i)
    chosen = set(first.values())
    chosen.update([i for i in near if i not in chosen][: k - len(chosen)])
    return [i for i in near if i in chosen]


def clusters(vectors: np.ndarray, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """k-means: each row's cluster (n,) and the centres (k, d). Clusters of rows that repeat may be empty."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(), threadpool_limits(1):  # threads add up in no fixed order
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters
        model = KMeans(k, n_init=1, random_state=seed).fit(vectors)
    return model.labels_, model.cluster_centers_


def k_means(vectors: np.ndarray, k: int, seed: int) -> list[int]:
    """The row nearest to each of the k centres of k-means, among those not yet chosen."""
    _, centres = clusters(vectors, k, seed)
    chosen: list[int] = []
    for centre in centres:
        closeness = vectors @ centre  # rows of one length: the most similar row is the nearest one
        closeness[chosen] = -np.inf
        chosen.append(int(closeness.argmax()))
    return chosen


def k_medoids(vectors: np.ndarray, k: int, seed: int) -> list[int]:
    """k rows, each the most similar to the rest of its cluster, by turns (Park & Jun 2009).

    It begins with k-means' rows. A row's similarities to a cluster add up to its product with the cluster's
    sum: no pair is compared.
    """
    medoids = k_means(vectors, k, seed)
    for _ in range(ROUNDS):
        cluster = (vectors @ vectors[medoids].T).argmax(axis=1)
        cluster[medoids] = range(k)  # where rows repeat, too, each medoid has a cluster
        before = medoids
        members = [np.flatnonzero(cluster == c) for c in range(k)]
        medoids = [int(m[(vectors[m] @ vectors[m].sum(axis=0)).argmax()]) for m in members]
        if medoids == before:
            break
    return medoids


def fast_vote_k(vectors: np.ndarray, k: int, neighbours: int, taken: Sequence[int] = ()) -> list[int]:
    """k rows for which many others vote that do not yet vote for a chosen one (Su et al. 2023), or for one
    that was `taken` before."""
    return Votes(neighbour_graph(vectors, neighbours), taken).elect(k)


def vote_k(
    vectors: np.ndarray, scores: Sequence[float | None], k: int, neighbours: int, taken: Sequence[int] = ()
) -> list[int]:
    """The first max(1, k // 10) rows of fast vote-k; then the rest of the rows, from the least confident on
    and without the most confident tenth, in equal bins: of each the row with the highest score.

    Scores are confidences. Rows of unknown confidence stand with the most confident, of whom so many stay in
    as the bins need.
    """
    votes = Votes(neighbour_graph(vectors, neighbours), taken)
    chosen = votes.elect(min(k, max(1, k // 10)))
    first, bins = {*chosen, *taken}, k - len(chosen)
    if not bins:
        return chosen
    rest = [i for i in by_score(scores, highest=False) if i not in first]
    for part in np.array_split(rest[: max(bins, len(rest) * 9 // 10)], bins):
        chosen.append(votes.best(part))
        votes.discount(chosen[-1])
    return chosen


def neighbour_graph(vectors: np.ndarray, neighbours: int) -> np.ndarray:
    """For each row the places of its most similar other rows: (n, min(neighbours, n - 1))."""
    n = len(vectors)
    size = min(neighbours, n - 1)
    graph = np.empty((n, size), dtype=np.int64)
    if size:
        for rows in _blocks(n, n):
            similarity = vectors[rows] @ vectors.T
            similarity[np.arange(len(similarity)), np.arange(n)[rows]] = -np.inf  # no row votes for itself
            graph[rows] = np.argpartition(-similarity, size - 1, axis=1)[:, :size]
    return graph


class Votes:
    """Score of vote-k over a graph (n, m) in which a row votes for its m neighbours:

    score(u) = sum of 10 ** -t(v) over the unchosen v that vote for u; t(v) chosen rows have v's vote.
    Exact, however often a vote is discounted: a score is whole numbers of DIGITS digits, the highest first.
    """

    def __init__(self, graph: np.ndarray, taken: Sequence[int] = ()) -> None:
        n, m = graph.shape
        self.graph = graph
        self._times = np.zeros(n, dtype=np.int64)  # t of each row
        self._open = np.ones(n, dtype=bool)  # not chosen yet
        self._voters = np.argsort(graph.ravel(), kind="stable") // max(1, m)  # of row 0, of row 1, ...
        counts = np.bincount(graph.ravel(), minlength=n)
        self._ends = np.cumsum(counts)
        self._score = counts[None] * 10 ** (DIGITS - 1)  # (numbers, n)
        for row in taken:
            self.discount(row)

    def elect(self, k: int) -> list[int]:
        """Choose k rows, each time the one with the highest score."""
        chosen: list[int] = []
        for _ in range(k):
            chosen.append(self.best(np.flatnonzero(self._open)))
            self.discount(chosen[-1])
        return chosen

    def best(self, rows: np.ndarray) -> int:
        """The first of these rows that has the highest score."""
        score, over = self._score[:, rows], 0
        for number in score[:0:-1]:
            number += over
            over = number // 10**DIGITS
            number %= 10**DIGITS
        score[0] += over
        for place in range(len(score)):
            keep = score[place] == score[place].max()
            rows, score = rows[keep], score[:, keep]
        return int(rows[0])

    def discount(self, chosen: int) -> None:
        """A row is chosen: it votes no more and gets no more votes, its voters' votes fall to a tenth."""
        voters = self._voters[self._ends[chosen - 1] if chosen else 0 : self._ends[chosen]]
        voters = voters[self._open[voters]]
        self._count(np.append(voters, chosen), -1)
        self._open[chosen] = False
        self._times[voters] += 1
        self._count(voters, 1)

    def _count(self, voters: np.ndarray, sign: int) -> None:
        """Add these rows' votes to the scores, or take them off."""
        place, digit = np.divmod(self._times[voters], DIGITS)
        if len(voters) and place.max() >= len(self._score):
            self._score = np.vstack([self._score, np.zeros_like(self._score[:1])])
        votes = sign * 10 ** (DIGITS - 1 - digit)
        np.add.at(self._score, (place[:, None], self.graph[voters]), votes[:, None])


def facility_location(vectors: np.ndarray, k: int, taken: Sequence[int] = ()) -> list[int]:
    """k rows so that every row has a similar one among them (and those `taken` before): greedy for the sum
    over all rows of the highest similarity to a chosen one, at least 1 - 1/e of the best sum above -n
    (Nemhauser et al. 1978).

    Lazy (Minoux 1978): a row's gain never grows, so that only rows whose last known gain is above the best
    new one are looked at again.
    """
    n = len(vectors)
    covered = np.full(n, -1.0, dtype=np.float32)  # highest similarity to a chosen row; -1 is the lowest
    # gains of the first row, without comparing pairs; float64, or the gains of 20,000 rows are off by 0.001
    bound = n + vectors @ vectors.sum(axis=0, dtype=np.float64)
    for row in taken:
        covered = np.maximum(covered, vectors @ vectors[row])
    gone = [*taken]
    bound[gone] = -np.inf
    chosen: list[int] = []
    for _ in range(k):
        new = np.full(n, not (chosen or gone))
        new[[*gone, *chosen]] = True
        while not new[best := int(bound.argmax())]:
            stale = np.flatnonzero(~new & (bound >= bound[new].max(initial=-np.inf)))
            stale = stale[np.argsort(-bound[stale], kind="stable")][: max(1, BLOCK_ENTRIES // n)]
            gains = vectors @ vectors[stale].T - covered[:, None]
            bound[stale] = np.maximum(gains, 0, out=gains).sum(axis=0, dtype=np.float64)
            new[stale] = True
        chosen.append(best)
        covered = np.maximum(covered, vectors @ vectors[best])
        bound[chosen] = -np.inf
    return chosen


def dissimilar(vectors: np.ndarray, against: np.ndarray | None, k: int) -> list[int]:
    """k rows, each time the one whose highest similarity to `against` and to the rows chosen before is the
    lowest (greedy max-min: Gonzalez 1985). With nothing against it, the first row begins."""
    closest = np.full(len(vectors), -np.inf, dtype=np.float32)
    if against is not None and len(against):
        for rows in _blocks(len(vectors), len(against)):
            closest[rows] = (vectors[rows] @ against.T).max(axis=1)
    chosen: list[int] = []
    for _ in range(k):
        chosen.append(int(closest.argmin()))
        closest = np.maximum(closest, vectors @ vectors[chosen[-1]])
        closest[chosen] = np.inf
    return chosen


def entropy(probabilities: np.ndarray, k: int) -> list[int]:
    """The k rows whose label is least clear: with the highest entropy of their (n, K) probabilities."""
    return top(entropies(probabilities).tolist(), k)


def least_confidence(probabilities: np.ndarray, k: int) -> list[int]:
    """The k rows whose likeliest label is the least likely."""
    return bottom(probabilities.max(axis=1).tolist(), k)


def margin(probabilities: np.ndarray, k: int) -> list[int]:
    """The k rows whose two likeliest labels are nearest to each other (Scheffer et al. 2001)."""
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    return bottom((first - second).tolist(), k)


def entropies(probabilities: np.ndarray | Sequence[float]) -> np.ndarray:
    """(n,) in bits, of (n, K) probabilities or shares of votes (of one row, a number); NaN where they are not
    known."""
    p = np.asarray(probabilities, dtype=float)
    return -(p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=-1)


def top(scores: Sequence[float | None], k: int) -> list[int]:
    """The k rows with the highest score."""
    return by_score(scores, highest=True)[:k]


def bottom(scores: Sequence[float | None], k: int) -> list[int]:
    """The k rows with the lowest score."""
    return by_score(scores, highest=False)[:k]


def by_score(scores: Sequence[float | None], highest: bool) -> list[int]:
    """All places, the highest (or lowest) score first; unknown scores (None, NaN) last."""

    def key(i: int) -> tuple[bool, float]:
        score = scores[i]
        if score is None or score != score:
            return True, 0.0
        return False, -score if highest else score

    return sorted(range(len(scores)), key=key)


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    """Cut the rows so that a block times the columns has at most BLOCK_ENTRIES entries."""
    size = max(1, BLOCK_ENTRIES // columns)
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))
