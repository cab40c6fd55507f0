"""Likeness of texts in large sets: compiled, over bytes, with a number for each shingle.

A similarity join by prefixes (Chaudhuri et al. 2006; Bayardo et al. 2007): where two sets have a Jaccard
similarity of `at_most` or more, the rarest shingles of both have one in common; how many are the rarest
follows from the size of a set. Only texts that share a rare shingle are compared, and only shingles that more
than one text may have are kept: of the others their number is enough. So no pair above the limit is missed,
and none below it is taken, unless two shingles have one number of 56 bits.

Importing this module takes numba: callers import it where a set is large.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numba import njit

from synth_assets.core.text.normal_form import normal_form
from synth_assets.curation.likeness.prefix_join import HASH_MASK, RARE_BITS, Texts, common, join, table_size

BLOCK = 20_000  # texts that are bytes at one time; under 2**16
PARTS = 256  # of all shingles, by the upper bits of their hashes: of a million texts 256 kB of counters each
PART_SHIFT = np.uint64(56)
EVERY = np.uint64(64)  # counts up to here are exact
START = np.uint64(0xCBF29CE484222325)  # FNV-1a of 64 bits
PRIME = np.uint64(0x100000001B3)
WHOLE = np.uint64(0x9E3779B97F4A7C15)  # of no word

# what a byte is in a word: itself in lower case, or 0 where it parts words
RAW = np.array([ord(c.lower()) if c.isascii() and c.isalnum() else 0 for c in map(chr, range(256))], np.uint8)
NORMAL = np.arange(256, dtype=np.uint8)  # of a normal form only the space parts words
NORMAL[ord(" ")] = 0
GAPS = (701, 301, 132, 57, 23, 10, 4, 1)  # of Shell's sort (Ciura 2001)


def firsts(texts: Iterable[str]) -> np.ndarray:
    """(n,): index of the first text with the same normal form, told by a hash of 64 bits."""
    parts = [_whole(*block) for block in _blocks(texts)]
    return _firsts(np.concatenate([np.empty(0, dtype=np.uint64), *parts]))


def near(
    texts: Iterable[str], at_most: float, earlier: int, grams: tuple[int, int], keep_all: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """For each text after the first `earlier` its highest Jaccard similarity to a kept text before it, and
    that text's index, or -1. A text above `at_most` is not kept; with `keep_all` each is.

    Exact where the similarity is above `at_most`; else the highest that was met, perhaps 0.
    """
    return join(_shingles(texts, grams, at_most), at_most, earlier, keep_all)


def _blocks(texts: Iterable[str]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Bytes, offsets of the texts in them, and which texts are normal forms: the others are plain ASCII."""
    rest = iter(texts)
    while block := list(islice(rest, BLOCK)):
        data, offsets = _bytes(block)
        normal = _not_plain(data, offsets)
        if normal.any():
            for i in np.flatnonzero(normal):
                block[i] = normal_form(block[i])
            data, offsets = _bytes(block)
        yield data, offsets, normal


def _bytes(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """UTF-8 of all texts, (bytes,), and where each starts and the last ends, (n + 1,)."""
    import pyarrow as pa

    _, offsets, data = pa.array(texts, pa.large_string()).buffers()
    return np.frombuffer(data or b"", dtype=np.uint8), np.frombuffer(offsets, dtype=np.int64)


def _shingles(texts: Iterable[str], grams: tuple[int, int], at_most: float) -> Texts:
    """Of a text that shares too few shingles to be alike with any there are none. Shingles are counted by
    parts of their hashes, so that what is looked up at random stays in the processor's cache.
    """
    blocks = list(shingled(texts, grams))
    for part in range(PARTS):
        cuts = [slice(b.starts[part], b.starts[part + 1]) for b in blocks]
        slices = [(int(c.start), b.hashes[c], b.owners[c]) for b, c in zip(blocks, cuts, strict=True)]
        for b, cut, shared in zip(blocks, cuts, count_part(slices), strict=True):
            b.stops[part] = cut.start + shared
    return as_sets(blocks, at_most)


def as_sets(blocks: Sequence[Block], at_most: float) -> Texts:
    """The texts of blocks, of whose shingles those that are shared are known."""
    held = [_held(b.sizes, b.owners, b.starts, b.stops, at_most) for b in blocks]
    numbers, end = np.empty(sum(int(of.sum()) for of in held), dtype=np.uint64), 0
    for b, of in zip(blocks, held, strict=True):
        end = _rarest_first(b.sizes, b.hashes, b.owners, b.starts, b.stops, of, numbers, end)
    offsets = np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *held]))
    return Texts(numbers[:end], offsets, np.concatenate([offsets[:0], *(b.sizes for b in blocks)]))


def shingled(texts: Iterable[str], grams: tuple[int, int]) -> Iterator[Block]:
    """The shingles of BLOCK texts after the other."""
    room = np.empty(0, dtype=np.uint64)
    for data, offsets, normal in _blocks(texts):
        most = (len(data) // 2 + 2 * len(normal)) * (grams[1] - grams[0] + 1)
        if most > len(room):
            room = np.empty(most, dtype=np.uint64)
        sizes = _hashed(data, offsets, normal, *grams, room)
        yield _by_parts(room[: sizes.sum()], sizes)


def count_part(slices: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> list[int]:
    """Of one part its slices of all blocks: where each starts in its block, hashes and owners. Makes the
    hashes that are shared numbers, in place, and returns how many these are in each slice."""
    counters = np.zeros(table_size(sum(len(hashes) for _, hashes, _ in slices)), dtype=np.uint8)
    for start, hashes, _ in slices:
        _count(hashes, 0, len(hashes), start, counters)
    return [int(_shared(hashes, owners, 0, len(hashes), counters)) for _, hashes, owners in slices]


class Block(NamedTuple):
    """The shingles of some texts, by parts."""

    sizes: np.ndarray  # (texts,): how many each text has
    hashes: np.ndarray  # (shingles,); once they are counted, the numbers of those that are shared
    owners: np.ndarray  # (shingles,): whose each is, counted in the block
    starts: np.ndarray  # (PARTS + 1,): where each part starts, and the last ends
    stops: np.ndarray  # (PARTS,): where the shared ones of a part end


def _by_parts(hashes: np.ndarray, sizes: np.ndarray) -> Block:
    to, owners = np.empty_like(hashes), np.empty(len(hashes), dtype=np.uint16)
    starts = _part(hashes, sizes, to, owners)
    return Block(sizes, to, owners, starts, starts[1:].copy())


@njit(cache=True)
def _not_plain(data, offsets):  # type: ignore[no-untyped-def]
    """Which texts only `normal_form` can read, (n,) bool: signs beyond ASCII, or no letter and no digit."""
    found = np.zeros(len(offsets) - 1, dtype=np.bool_)
    for i in range(len(found)):
        highest, word = np.uint8(0), np.uint8(0)
        for at in range(offsets[i], offsets[i + 1]):
            highest |= data[at]
            word |= RAW[data[at]]
        found[i] = highest >= 128 or word == 0
    return found


@njit(cache=True)
def _mixed(number):  # type: ignore[no-untyped-def]
    """Spreads a number over its 64 bits (SplitMix64)."""
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))


@njit(cache=True)
def _words(data, start, stop, table, words):  # type: ignore[no-untyped-def]
    """Writes the hashes of a text's words; returns how many there are."""
    found, inside, number = 0, False, START
    for at in range(start, stop):
        byte = table[data[at]]
        if byte:
            number = (number ^ np.uint64(byte)) * PRIME
            inside = True
        elif inside:
            words[found] = _mixed(number)
            found, inside, number = found + 1, False, START
    if inside:
        words[found] = _mixed(number)
        found += 1
    return found


@njit(cache=True)
def _room(offsets):  # type: ignore[no-untyped-def]
    """For the words of the longest text."""
    longest = 0
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    return np.empty(longest // 2 + 1, dtype=np.uint64)


@njit(cache=True)
def _whole(data, offsets, normal):  # type: ignore[no-untyped-def]
    """(n,): a hash of each text's words in their order."""
    found = np.empty(len(normal), dtype=np.uint64)
    words = _room(offsets)
    for i in range(len(found)):
        table = NORMAL if normal[i] else RAW
        number = WHOLE
        for w in range(_words(data, offsets[i], offsets[i + 1], table, words)):
            number = _mixed(number * PRIME + words[w])
        found[i] = number
    return found


@njit(cache=True)
def _firsts(keys):  # type: ignore[no-untyped-def]
    """(n,): where each key stands first."""
    found = np.empty(len(keys), dtype=np.int64)
    slots = np.full(table_size(len(keys)), -1, dtype=np.int32)
    mask = np.uint64(len(slots) - 1)
    for i in range(len(keys)):
        slot = keys[i] & mask
        while slots[slot] >= 0 and keys[slots[slot]] != keys[i]:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] < 0:
            slots[slot] = i
        found[i] = slots[slot]
    return found


@njit(cache=True)
def _hashed(data, offsets, normal, shortest, longest, hashes):  # type: ignore[no-untyped-def]
    """Writes the hashes of all shingles, repeated ones too, text by text; how many each text has, (n,)."""
    counts = np.empty(len(normal), dtype=np.int64)
    words = _room(offsets)
    end = 0
    for i in range(len(normal)):
        table = NORMAL if normal[i] else RAW
        n = _words(data, offsets[i], offsets[i + 1], table, words)
        first = end
        least = min(shortest, n)  # a text of fewer words is one shingle
        for start in range(max(1, n - least + 1)):
            number = WHOLE
            for w in range(start, min(start + longest, n)):
                number = _mixed(number * PRIME + words[w])
                if w - start + 1 >= least:
                    hashes[end] = number
                    end += 1
        if n == 0:
            hashes[end] = WHOLE
            end += 1
        counts[i] = end - first
    return counts


@njit(cache=True)
def _part(hashes, sizes, to, owners):  # type: ignore[no-untyped-def]
    """Writes hashes by parts, and whose they are; returns where the parts start, and the last ends."""
    starts = np.zeros(PARTS + 1, dtype=np.int64)
    for at in range(len(hashes)):
        starts[(hashes[at] >> PART_SHIFT) + np.uint64(1)] += 1
    for part in range(PARTS):
        starts[part + 1] += starts[part]
    ends = starts.copy()
    at = 0
    for text in range(len(sizes)):
        for _ in range(sizes[text]):
            part = hashes[at] >> PART_SHIFT
            to[ends[part]], owners[ends[part]] = hashes[at], text
            ends[part] += np.int64(1)
            at += 1
    return starts


@njit(cache=True)
def _count(hashes, start, stop, before, counters):  # type: ignore[no-untyped-def]
    """Counts hashes: up to 64 each counts, from there every eight steps half as many do (Morris 1978).
    `before` are in front of them in their block: which of them count is drawn by their places there.

    Hashes that share a counter look more frequent than they are.
    """
    mask = np.uint64(len(counters) - 1)
    for at in range(start, stop):
        slot = hashes[at] & mask
        count = np.uint64(counters[slot])
        one_of = np.uint64(1) << ((max(count, EVERY) - EVERY) >> np.uint64(3))
        if count < 255 and _mixed(np.uint64(before + at)) & (one_of - np.uint64(1)) == 0:
            counters[slot] += 1


@njit(cache=True)
def _shared(hashes, owners, start, stop, counters):  # type: ignore[no-untyped-def]
    """Turns hashes into numbers that sort by count, in place, and leaves out those that were there once."""
    mask = np.uint64(len(counters) - 1)
    end = start
    for at in range(start, stop):
        number, owner = hashes[at], owners[at]
        count = np.uint64(counters[number & mask])
        hashes[end], owners[end] = (count << np.uint64(RARE_BITS)) | (number & HASH_MASK), owner
        end += count > 1  # without a branch, which would be foretold badly
    return end


@njit(cache=True)
def _held(sizes, owners, starts, stops, at_most):  # type: ignore[no-untyped-def]
    """How many shared shingles each text has, repeated ones too, or 0 where they are too few, (n,)."""
    held = np.zeros(len(sizes), dtype=np.int64)
    for part in range(PARTS):
        for at in range(starts[part], stops[part]):
            held[owners[at]] += 1
    for text in range(len(sizes)):
        if held[text] < common(sizes[text], at_most):
            held[text] = 0
    return held


@njit(cache=True)
def _rarest_first(sizes, hashes, owners, starts, stops, held, numbers, end):  # type: ignore[no-untyped-def]
    """Writes a block's numbers from `end` on, sorted in each text, each once, and returns where they end.

    What is repeated is taken off `sizes` and `held`.
    """
    ends, at = np.empty(len(held), dtype=np.int64), end
    for text in range(len(held)):
        ends[text] = at
        at += held[text]
    for part in range(PARTS):
        for at in range(starts[part], stops[part]):
            if held[owners[at]]:
                numbers[ends[owners[at]]] = hashes[at]
                ends[owners[at]] += 1
    start = end
    for text in range(len(held)):
        first, stop = end, ends[text]
        _sort(numbers, start, stop)
        for at in range(start, stop):
            if at == start or numbers[at] != numbers[end - 1]:
                numbers[end] = numbers[at]
                end += 1
        sizes[text] -= held[text] - (end - first)
        held[text] = end - first
        start = stop
    return end


@njit(cache=True)
def _sort(numbers, start, stop):  # type: ignore[no-untyped-def]
    """Sorts a part in place (Shell's sort: parts are short, and numpy's sort takes seconds to compile)."""
    for gap in GAPS:
        for at in range(start + gap, stop):
            number, to = numbers[at], at
            while to >= start + gap and numbers[to - gap] > number:
                numbers[to] = numbers[to - gap]
                to -= gap
            numbers[to] = number
