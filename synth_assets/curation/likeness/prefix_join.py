"""The join of texts by their rare shingles, compiled: of numbers that `similarity_join` makes of texts.

The texts may lie in several shards (see `on_workers`): each compares those that are asked about with its own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

RARE_BITS = 56  # a shingle's number is its counter (8 bits), then its hash
HASH_MASK = np.uint64(2**RARE_BITS - 1)
EPSILON = 1e-9  # a limit times a size may come out above the whole number that it is


class Texts(NamedTuple):
    """Texts as sets of shingles."""

    numbers: np.ndarray  # the shingles that texts share, text by text, rarest first, each once
    offsets: np.ndarray  # (n + 1,): where each text's start
    sizes: np.ndarray  # (n,): how many shingles each has, with those that it shares with none


class Shard:
    """Texts that others are compared with, once they are kept.

    `ids` (n,): their indices in the whole set, rising. `whole`: rare shingles of the whole set (see `room`),
    by which a shard looks at the same candidates as one that holds all texts.
    """

    def __init__(self, texts: Texts, ids: np.ndarray, whole: int, at_most: float, keep_all: bool) -> None:
        own = room(texts, at_most)
        self.texts, self.ids, self.at_most, self.keep_all = texts, ids, at_most, keep_all
        self.compared = np.full(len(ids), -1, dtype=np.int32)  # the text that it was last compared with
        self.newest = np.full(table_size(whole), -1, dtype=np.int32)  # slot -> link
        self.owner, self.before = np.empty(own, dtype=np.int32), np.empty(own, dtype=np.int32)
        self.tags = np.empty(own, dtype=np.uint32)  # link -> the upper half of the shingle's hash
        self.links = 0

    def meet(
        self, asked: Texts, first: int, earlier: int, scores: np.ndarray, nearest: np.ndarray, at: int = -1
    ) -> None:
        """Raises `scores` and `nearest` of texts, the first of which has the index `first`, to those of their
        like here. `at`: they are the shard's own from there on, and those that are kept are here from now
        on."""
        state = (self.newest, self.owner, self.before, self.tags, self.compared)
        self.links = _meet(
            *(asked, first, scores, nearest, self.texts, self.ids, *state, self.links),
            *(self.at_most, earlier, self.keep_all, at),
        )


def join(texts: Texts, at_most: float, earlier: int, keep_all: bool) -> tuple[np.ndarray, np.ndarray]:
    """See `similarity_join.near`."""
    n = len(texts.sizes)
    shard = Shard(texts, np.arange(n, dtype=np.int32), room(texts, at_most), at_most, keep_all)
    scores, nearest = np.zeros(n), np.full(n, -1, dtype=np.int64)
    shard.meet(texts, 0, earlier, scores, nearest, at=0)
    return scores[earlier:], nearest[earlier:]


def room(texts: Texts, at_most: float) -> int:
    """Rare shingles of all texts."""
    return int(_room(*texts, at_most))


@njit(cache=True)
def table_size(entries):  # type: ignore[no-untyped-def]
    """Of a table that is half full at most: a power of two."""
    return 2 ** math.ceil(math.log2(2 * entries + 2))


@njit(cache=True)
def common(size, at_most):  # type: ignore[no-untyped-def]
    """How many of a text's shingles another has that is as alike as `at_most`, or more alike."""
    return max(1, math.ceil(at_most * size - EPSILON))


@njit(cache=True)
def _room(numbers, offsets, sizes, at_most):  # type: ignore[no-untyped-def]
    found = 0
    for i in range(len(sizes)):
        found += _rare(offsets[i], offsets[i + 1], sizes[i], at_most) - offsets[i]
    return found


@njit(cache=True)
def _meet(  # type: ignore[no-untyped-def]
    asked,
    start,
    scores,
    nearest,
    held,
    ids,
    newest,
    owner,
    before,
    tags,
    compared,
    links,
    at_most,
    earlier,
    keep_all,
    at,
):
    """See `Shard.meet`; returns how many links there are. The kept texts hang in chains, a chain for each
    slot of a table of their rare shingles."""
    mask = np.uint64(len(newest) - 1)
    for i in range(len(asked.sizes)):
        first, size = asked.offsets[i], asked.sizes[i]
        last = _rare(first, asked.offsets[i + 1], size, at_most)
        if start + i >= earlier:
            for place in range(first, last):
                number = asked.numbers[place]
                link = newest[number & mask]
                while link >= 0:
                    same, other, link = tags[link] == _tag(number), owner[link], before[link]
                    if same and compared[other] != start + i:
                        compared[other] = start + i
                        alike = _jaccard(asked, i, held, other, scores[i])
                        if alike > scores[i] or (alike == scores[i] > 0 and ids[other] < nearest[i]):
                            scores[i], nearest[i] = alike, ids[other]
        if at >= 0 and (keep_all or start + i < earlier or scores[i] <= at_most):
            for place in range(first, last):
                slot = asked.numbers[place] & mask
                tags[links] = _tag(asked.numbers[place])
                owner[links], before[links], newest[slot] = at + i, newest[slot], links
                links += 1
    return links


@njit(cache=True)
def _tag(number):  # type: ignore[no-untyped-def]
    return np.uint32((number >> np.uint64(RARE_BITS - 32)) & np.uint64(0xFFFFFFFF))


@njit(cache=True)
def _rare(start, stop, size, at_most):  # type: ignore[no-untyped-def]
    """Where a text's rare shingles stop: another that is as alike as `at_most`, or more, has one of them.

    Rarer than any are those that it shares with none, which are not there.
    """
    return max(start, stop - common(size, at_most) + 1)


@njit(cache=True)
def _jaccard(texts, i, others, j, least):  # type: ignore[no-untyped-def]
    """Jaccard similarity of two texts; 0 where it is below `least`, seen once enough numbers differ."""
    a, a_stop, b, b_stop = texts.offsets[i], texts.offsets[i + 1], others.offsets[j], others.offsets[j + 1]
    both = texts.sizes[i] + others.sizes[j]
    wanted = math.ceil(least / (1 + least) * both - EPSILON)
    shared = 0
    while min(a_stop - a, b_stop - b) + shared >= wanted and a < a_stop and b < b_stop:
        left, right = texts.numbers[a], others.numbers[b]
        shared += left == right
        a += left <= right
        b += right <= left
    return shared / (both - shared) if shared >= wanted else 0.0
