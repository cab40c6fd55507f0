"""`similarity_join.near` by several workers, with the same scores.

Blocks of texts are shingled apart, shuffled by the parts of their hashes to be counted, and shuffled back.
Each worker then holds a share of the texts; all compare a block with what they hold, in the order of the
blocks, and whose block it is decides which of its texts are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np

from synth_assets.core.engine import Engine, Lost
from synth_assets.curation.likeness.prefix_join import Shard, Texts, room
from synth_assets.curation.likeness.similarity_join import BLOCK, PARTS, Block, as_sets, count_part, shingled

AHEAD = 4  # blocks a worker that are underway at once
AGAIN = 2  # times that texts are joined anew when a worker is gone with those that it held

Part = tuple[int, np.ndarray, np.ndarray]  # where it starts in its block, hashes, owners


def near(
    engine: Engine,
    texts: Iterable[str],
    at_most: float,
    earlier: int,
    grams: tuple[int, int],
    keep_all: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """As `similarity_join.near`."""
    bounds = np.linspace(0, PARTS, min(PARTS, 4 * engine.workers) + 1).astype(int).tolist()
    groups = list(pairwise(bounds))
    cut, sizes, going = list[Any](), list[Any](), list[Any]()
    for some in _blocks(texts):
        size, *parts = engine.call(_shingle, some, grams, groups, returns=len(groups) + 1)
        cut.append(parts)
        sizes.append(size)
        if len(going := [*going, size]) >= AHEAD * engine.workers:  # texts that wait are memory
            engine.get(going, f"shingles of blocks up to {len(sizes)}")
            going = []
    if not cut:
        return np.empty(0), np.empty(0, dtype=np.int64)
    counted = [engine.call(_count, *group, returns=len(cut)) for group in zip(*cut, strict=True)]
    del cut
    made = [
        engine.call(_sets, at_most, size, *parts, returns=2)
        for size, parts in zip(sizes, zip(*counted, strict=True), strict=True)
    ]
    del counted
    rare = engine.get([numbers for _, numbers in made], "counted blocks of texts")
    joined = partial(_joined, engine, [block for block, _ in made], rare, at_most, earlier, keep_all)
    for _ in range(AGAIN):
        with suppress(Lost):  # blocks that are gone are made again by themselves
            return joined()
    return joined()


def _joined(
    engine: Engine,
    blocks: list[Any],
    rare: list[tuple[int, int]],
    at_most: float,
    earlier: int,
    keep_all: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of texts, and of each how many texts and how many rare shingles it has -> scores, nearest."""
    starts = np.cumsum([0, *(texts for texts, _ in rare)]).tolist()
    count = min(engine.workers, len(blocks))
    whole = sum(shingles for _, shingles in rare)
    held = [(starts[w:-1:count], whole, at_most, keep_all, *blocks[w::count]) for w in range(count)]
    shards = engine.actors(Holder, held)
    found, going = list[tuple[np.ndarray, np.ndarray]](), list[Any]()
    for b, (block, start) in enumerate(zip(blocks, starts, strict=False)):
        others = [s.meet.remote(block, start, earlier) for w, s in enumerate(shards) if w != b % count]
        going.append(shards[b % count].settle.remote(b // count, earlier, *others))
        if len(going) >= AHEAD * count or b == len(blocks) - 1:
            found += engine.get(going, f"joined blocks up to {b + 1} of {len(blocks)}")
            going = []
    scores, nearest = (np.concatenate(of) for of in zip(*found, strict=True))
    return scores[earlier:], nearest[earlier:]


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while block := list(islice(rest, BLOCK)):
        yield block


def _shingle(texts: list[str], grams: tuple[int, int], groups: list[tuple[int, int]]) -> tuple[Any, ...]:
    """How many shingles each text has, and of each group of parts its parts."""
    (block,) = shingled(texts, grams)
    cuts = [slice(*ends) for ends in pairwise(block.starts.tolist())]
    parts = [(c.start, block.hashes[c], block.owners[c]) for c in cuts]
    return block.sizes, *(parts[first:stop] for first, stop in groups)


def _count(*blocks: list[Part]) -> tuple[list[Part], ...]:
    """Of some parts those of all blocks -> the same, of each block, with numbers in the place of hashes."""
    own = [[(start, hashes.copy(), owners.copy()) for start, hashes, owners in block] for block in blocks]
    stops = [count_part([block[part] for block in own]) for part in range(len(own[0]))]
    found = []
    for b, block in enumerate(own):
        ends = [stop[b] for stop in stops]
        found.append([(s, h[:end], o[:end]) for (s, h, o), end in zip(block, ends, strict=True)])
    return tuple(found)


def _sets(at_most: float, sizes: np.ndarray, *groups: list[Part]) -> tuple[Texts, tuple[int, int]]:
    """The texts of a block, and how many they and their rare shingles are."""
    parts = [part for group in groups for part in group]
    ends = np.cumsum([0, *(len(hashes) for _, hashes, _ in parts)])
    hashes, owners = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    block = Block(sizes.copy(), hashes, owners, ends, ends[1:].copy())
    texts = as_sets([block], at_most)
    return texts, (len(sizes), room(texts, at_most))


class Holder:
    """A worker's share of the texts: blocks that start at `starts` in the whole set."""

    def __init__(self, starts: list[int], whole: int, at_most: float, keep_all: bool, *blocks: Texts) -> None:
        ids = [np.arange(s, s + len(b.sizes), dtype=np.int32) for s, b in zip(starts, blocks, strict=True)]
        self._starts, self._at = starts, np.cumsum([0, *map(len, ids)]).tolist()
        ends = np.cumsum([0, *(len(b.numbers) for b in blocks)])
        offsets = [b.offsets[:-1] + end for b, end in zip(blocks, ends, strict=False)]
        numbers, sizes = (np.concatenate([b[i] for b in blocks]) for i in (0, 2))
        texts = Texts(numbers, np.concatenate([*offsets, ends[-1:]]), sizes)
        self._shard = Shard(texts, np.concatenate(ids), whole, at_most, keep_all)

    def meet(self, texts: Texts, first: int, earlier: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores and nearest, as far as those of a block go that other workers hold."""
        own = Texts(*(array.copy() for array in texts))  # what is shared is read-only: another compilation
        return self._meet(own, first, earlier, [], -1)

    def settle(self, block: int, earlier: int, *others: Any) -> tuple[np.ndarray, np.ndarray]:
        """Scores and nearest of a block of its own, given what the others found; what is kept is held."""
        first, stop = self._at[block : block + 2]
        all_ = self._shard.texts
        begin, end = all_.offsets[first], all_.offsets[stop]
        offsets = all_.offsets[first : stop + 1] - begin
        texts = Texts(all_.numbers[begin:end], offsets, all_.sizes[first:stop])
        return self._meet(texts, self._starts[block], earlier, list(others), first)

    def _meet(
        self, texts: Texts, first: int, earlier: int, others: list[Any], at: int
    ) -> tuple[np.ndarray, np.ndarray]:
        scores, nearest = np.zeros(len(texts.sizes)), np.full(len(texts.sizes), -1, dtype=np.int64)
        for more, of in others:
            better = (more > scores) | ((more == scores) & (of >= 0) & ((of < nearest) | (nearest < 0)))
            scores[better], nearest[better] = more[better], of[better]
        self._shard.meet(texts, first, earlier, scores, nearest, at)
        return scores, nearest
