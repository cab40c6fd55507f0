"""How much a text repeats others: exact copies, near copies, copies in meaning, n-grams of references.

Scores only: which score drops a row is decided by the rules that read them. `earlier` are texts that are
already in the set (the rounds before); an index counts through `earlier` first and `texts` after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from synth_assets.core.text.normal_form import ngrams, normal_form
from synth_assets.students.crossfit import one_thread

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from synth_assets.core.asking import Encode
    from synth_assets.core.engine import Engines

SMALL = 20_000  # texts: a larger set is worth loading compiled code
SMALL_VECTORS = 50_000  # rows: about where a graph takes as long as all cosines, 20 seconds
BLOCK_ENTRIES = 4_000_000  # pairs held at once, at most: about 50 MB
TOGETHER = 4096  # texts whose vectors are asked for at once
GRAPH_ROWS = 1000  # rows that are looked up in a graph at once
FLOOR = 0.5  # of the similarities that are looked for in a large set without a limit


def exact_duplicates(texts: Sequence[str], earlier: Sequence[str] = ()) -> list[int | None]:
    """For each text the index of the first text before it with the same normal form, or None.

    Of more than SMALL texts a hash of 64 bits stands for each normal form.
    """
    everything = chain(earlier, texts)
    if len(earlier) + len(texts) > SMALL:
        from synth_assets.curation.likeness import similarity_join

        originals = similarity_join.firsts(everything).tolist()
    else:
        first: dict[str, int] = {}
        originals = [first.setdefault(normal_form(text), i) for i, text in enumerate(everything)]
    return [None if original == i else original for i, original in enumerate(originals)][len(earlier) :]


def near_duplicates(
    texts: Sequence[str],
    at_most: float | None = None,
    earlier: Sequence[str] = (),
    grams: tuple[int, int] = (1, 3),
    engines: Engines | None = None,
) -> tuple[list[float], list[int | None]]:
    """For each text its highest Jaccard similarity to a text before it, in [0, 1], and that text's index.

    The first of the best wins; 0.0 and None if no text before it shares a word. With `at_most`, a text above
    it counts as dropped and nothing later is compared with it: what is alike only to a dropped text stays
    (greedy, in order). Texts of `earlier` are always compared with.

    A text is the set of its word n-grams, n from the first of `grams` to the second (resemblance: Broder
    1997); a text of fewer words is one gram. Single words keep texts of 4 words comparable, where trigrams
    alone would all change with one word; the longer grams carry the order. One word changed in the middle
    of 20 gives 0.81, in 45 it gives 0.91, at the end of 5 it gives 0.60.

    Up to SMALL texts all similarities are exact; time grows with the pairs that share a gram. Of more texts
    those above `at_most` (FLOOR without it) are exact, and so is what is dropped; the others are the highest
    that was met, perhaps 0.0. Memory grows with the grams of all texts, 10 bytes each. Of as many texts as
    `engines` has one for, that engine's workers find the same.
    """
    if len(earlier) + len(texts) > SMALL:
        from synth_assets.curation.likeness import on_workers, similarity_join

        engine = engines(len(earlier) + len(texts)) if engines else None
        near = partial(on_workers.near, engine) if engine else similarity_join.near
        limit = FLOOR if at_most is None else float(at_most)
        found, of = near(chain(earlier, texts), limit, len(earlier), grams, at_most is None)
        return found.tolist(), [None if i < 0 else i for i in of.tolist()]
    return _all_pairs([*earlier, *texts], at_most, len(earlier), grams)


def _all_pairs(
    texts: Sequence[str], at_most: float | None, earlier: int, grams: tuple[int, int]
) -> tuple[list[float], list[int | None]]:
    """`near_duplicates` by a sparse matrix product, in blocks of rows."""
    matrix = _shingles(texts, *grams)
    sizes = np.diff(matrix.indptr)
    kept = np.ones(len(sizes), dtype=bool)
    scores: list[float] = []
    nearest: list[int | None] = []
    rows = max(1, BLOCK_ENTRIES // max(1, len(sizes)))
    for start in range(earlier, len(sizes), rows):
        stop = min(start + rows, len(sizes))
        shared = (matrix[start:stop] @ matrix[:stop].T).tocsr()
        for i in range(start, stop):
            part = slice(*shared.indptr[i - start : i - start + 2])
            others = shared.indices[part]
            before = (others < i) & kept[others]
            others, common = others[before], shared.data[part][before]
            jaccard = common / (sizes[i] + sizes[others] - common)
            score = float(jaccard.max(initial=0.0))
            scores.append(score)
            nearest.append(int(others[jaccard == score].min()) if score else None)
            kept[i] = at_most is None or score <= at_most
    return scores, nearest


def _shingles(texts: Sequence[str], shortest: int, longest: int) -> csr_matrix:
    """Which text holds which word n-gram, n = `shortest` to `longest`: binary, (texts, n-grams)."""
    from scipy.sparse import csr_matrix

    numbers: dict[str, int] = {}
    words = [[numbers.setdefault(word, len(numbers)) for word in normal_form(t).split(" ")] for t in texts]
    word = np.array([w for text in words for w in text], dtype=np.int64)
    lengths = np.array([len(text) for text in words], dtype=np.int64)
    row = np.repeat(np.arange(len(texts)), lengths)
    gram = word
    rows, columns = [row[:0]], [word[:0]]
    for n in range(1, longest + 1):
        if n > 1:  # the n-gram that starts at a place: the number of its first n - 1 words, and its last word
            _, gram = np.unique(gram[:-1] * len(numbers) + word[n - 1 :], return_inverse=True)
        start = row[: len(gram)]
        wanted = start == row[n - 1 :]  # not across the end of a text
        if n < shortest:
            wanted &= lengths[start] == n  # all words that the text has
        rows.append(start[wanted])
        columns.append(gram[wanted] + n * len(word))  # fewer numbers than places
    at = (np.concatenate(rows), np.concatenate(columns))
    width = (longest + 1) * len(word)
    matrix = csr_matrix((np.ones(len(at[0]), dtype=np.int32), at), shape=(len(texts), width))
    matrix.data[:] = 1  # a set: repeated n-grams, already added up, count once
    return matrix


def in_parts(encode: Encode, *lists: Sequence[str]) -> np.ndarray:
    """(n, d): the vectors of the texts of all lists, of which there is no second copy while they are made."""
    n, at = sum(map(len, lists)), 0
    found = np.empty((0, 0))
    for texts in lists:
        for begin in range(0, len(texts), TOGETHER):
            vectors = encode(list(texts[begin : begin + TOGETHER]))
            if not at:
                found = np.empty((n, vectors.shape[1]), dtype=vectors.dtype)
            found[at : at + len(vectors)] = vectors
            at += len(vectors)
    return found


@one_thread
def semantic_duplicates(
    x: np.ndarray, at_most: float | None = None, known: int = 0
) -> tuple[list[float], list[int | None]]:
    """For each row of unit vectors (n, d) its highest cosine to a row before it, and that row's index.

    0.0 and None if no row before it has a positive cosine. Greedy, in order, as `near_duplicates`; the first
    `known` rows are there already, and nothing is said of them. Up to SMALL_VECTORS rows every cosine is
    computed; of more, the nearest row is looked for in a graph (HNSW: Malkov and Yashunin 2018), which now
    and then misses it.
    """
    kept = np.ones(len(x), dtype=bool)
    scores, nearest = np.zeros(len(x)), np.full(len(x), -1)
    search = _graph(x, kept) if len(x) > SMALL_VECTORS else _cosines(x, kept)
    rows = max(1, min(GRAPH_ROWS, BLOCK_ENTRIES // max(1, len(x))))
    for start in range(known, len(x), rows):
        block = slice(start, min(start + rows, len(x)))
        scores[block], nearest[block] = search(block)
        inside = x[block] @ x[block].T
        for i in range(block.start, block.stop):
            own = np.where(kept[start:i], inside[i - start, : i - start], 0)
            if own.max(initial=0) > scores[i]:
                scores[i], nearest[i] = own.max(), start + own.argmax()
            kept[i] = at_most is None or scores[i] <= at_most
    return scores[known:].tolist(), [None if i < 0 else i for i in nearest[known:].tolist()]


Search = Callable[[slice], "tuple[np.ndarray, np.ndarray]"]  # rows -> cosine and index of the nearest before


def _cosines(x: np.ndarray, kept: np.ndarray) -> Search:
    """The nearest of all kept rows before a block, by all cosines."""

    def search(block: slice) -> tuple[np.ndarray, np.ndarray]:
        cosines = np.zeros((block.stop - block.start, block.start + 1), dtype=x.dtype)
        np.matmul(x[block], x[: block.start].T, out=cosines[:, 1:])
        cosines[:, 1:][:, ~kept[: block.start]] = 0
        best = cosines.argmax(axis=1)  # 0: none is positive
        return cosines[np.arange(len(best)), best], best - 1

    return search


def _graph(x: np.ndarray, kept: np.ndarray) -> Search:
    """The nearest of the kept rows before a block, by a graph to which they are added block by block."""
    from usearch.index import Index

    index, added = Index(ndim=x.shape[1], metric="cos", dtype="i8"), 0

    def search(block: slice) -> tuple[np.ndarray, np.ndarray]:
        nonlocal added
        new = added + np.flatnonzero(kept[added : block.start])
        index.add(new, x[new], threads=1)
        added = block.start
        if not len(index):
            return np.zeros(len(x[block])), np.full(len(x[block]), -1)
        found = index.search(x[block], 1, threads=1).keys.astype(np.int64).reshape(-1)
        cosines = np.einsum("ij,ij->i", x[block], x[found])  # the graph's own are of 8 bits
        return np.maximum(cosines, 0), np.where(cosines > 0, found, -1)

    return search


def ngram_overlap(texts: Sequence[str], references: Iterable[str], n: int = 6) -> list[float]:
    """Share of each text's word n-grams that occur in any reference, in [0, 1]: contamination.

    A text of fewer than n words is compared whole: 1.0 if it is a whole reference, else 0.0. The overlap test
    of GPT-3 (Brown et al. 2020, appendix C) as a share. Memory grows with the texts, not the references.
    """
    grams = [ngrams(text, n) for text in texts]
    wanted = set().union(*grams)
    found: set[tuple[str, ...]] = set()
    for reference in references:
        found.update(gram for gram in ngrams(reference, n) if gram in wanted)
    return [sum(gram in found for gram in own) / len(own) for own in grams]
