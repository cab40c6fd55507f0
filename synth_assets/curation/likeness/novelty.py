"""How much a text repeats the texts before it, by ROUGE-L, exactly and fast.

ROUGE-L F1 (Lin 2004) of texts of m and n words is 2 L / (m + n), L being the length of their longest common
subsequence of words. Of text in Latin letters, words are those of the package `rouge_score` without its
stemmer: runs of a-z and 0-9 in lower case (see core/text/words.py). The one division here makes 7/10 equal to
0.7; `rouge_score` goes through precision and recall, and ends above it as often as not.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from synth_assets.core.text.words import rouge_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANE = 63  # words of a text in a 64-bit number: the highest bit is for the carry
STEPS = 128  # of the histogram of bounds: a power of 2, so that an edge is exact
FIRST = 256  # rows that are compared before the others, about


class Pool:
    """Texts that others are compared with, numbered in the order in which they came.

    A term is a word and which of its occurrences in a text it is (the second "the"): two texts share as many
    terms as words, repeated ones counted. That number bounds their common subsequence, and rows whose bound
    is below a score that was found are never compared. Memory grows with the words of the texts: about half
    a KB for 20 words.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.terms: dict[tuple[str, int], int] = {}
        self.holders: list[array[int]] = []  # for each term the rows that hold it
        self.words = array("q")  # all rows end to end; a word is the number of its term (word, 1)
        self.starts = array("q")
        self.lengths = array("q")
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        words, row = rouge_words(text), len(self.lengths)
        for term in _terms(words):
            number = self.terms.setdefault(term, len(self.holders))
            if number == len(self.holders):
                self.holders.append(array("q"))
            self.holders[number].append(row)
        self.starts.append(len(self.words))
        self.lengths.append(len(words))
        self.words.extend([self.terms[word, 1] for word in words])

    def nearest(self, text: str) -> tuple[float | None, int | None]:
        """The largest ROUGE-L F1 of `text` to a row, in [0, 1], and the first row that has it.

        0.0 and None if no row shares a word; None and None if the text has no word.
        """
        words = rouge_words(text)
        if not words:
            return None, None
        held = [self.holders[self.terms[term]] for term in _terms(words) if term in self.terms]
        if not held:
            return 0.0, None
        shared = np.bincount(np.concatenate([_view(rows) for rows in held]), minlength=len(self.lengths))
        bounds = 2.0 * shared / (_view(self.lengths) + len(words))
        masks = self._masks(words)
        best = self._scores(_highest(bounds), masks, len(words)).max()
        rows = np.flatnonzero(bounds >= best)
        scores = self._scores(rows, masks, len(words))
        at = int(scores.argmax())
        return float(scores[at]), int(rows[at])

    def _masks(self, words: Sequence[str]) -> NDArray[np.uint64]:
        """Where each word of the pool stands in `words`: (lanes, terms), a bit a place."""
        masks = np.zeros((-(-len(words) // LANE), len(self.terms)), dtype=np.uint64)
        for place, word in enumerate(words):
            number = self.terms.get((word, 1))
            if number is not None:
                masks[place // LANE, number] |= np.uint64(1 << place % LANE)
        return masks

    def _scores(self, rows: NDArray[np.int64], masks: NDArray[np.uint64], m: int) -> NDArray[np.float64]:
        """ROUGE-L F1 of each of `rows` to the text of `m` words that `masks` tells of.

        Bit-parallel (Hyyrö 2004), all rows at once, a word of each at a time: bits that are 0 count the
        longest common subsequence. The longest rows come first, so those that still have a word are a slice.
        """
        lengths = _view(self.lengths)[rows]
        order = np.argsort(-lengths, kind="stable")
        starts, falling = _view(self.starts)[rows[order]], -lengths[order]
        words, low, top = _view(self.words), np.uint64(2**LANE - 1), np.uint64(LANE)
        bits = np.full((len(masks), len(rows)), low)
        for place, alive in enumerate(np.searchsorted(falling, -np.arange(-falling[0]))):
            word, carry = words[starts[:alive] + place], np.uint64(0)
            for lane, mask in zip(bits[:, :alive], masks, strict=True):
                hits = lane & mask[word]
                total = lane + hits + carry
                carry = total >> top
                lane[:] = (total & low) | (lane - hits)
        common = LANE * len(masks) - np.bitwise_count(bits).sum(axis=0, dtype=np.int64)
        scores = np.empty(len(rows))
        scores[order] = 2.0 * common / (m - falling)
        return scores


def _terms(words: Iterable[str]) -> list[tuple[str, int]]:
    """Each word, and how often it has occurred by then."""
    seen: Counter[str] = Counter()
    terms = []
    for word in words:
        seen[word] += 1
        terms.append((word, seen[word]))
    return terms


def _view(numbers: array[int]) -> NDArray[np.int64]:
    """The array itself: it cannot grow while the view is there."""
    return np.frombuffer(numbers, dtype=np.int64)


def _highest(bounds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of the highest bounds: FIRST of them or somewhat more, or all."""
    at_least = np.bincount((bounds * STEPS).astype(np.int64))[::-1].cumsum()  # from the highest step down
    step = len(at_least) - 1 - np.searchsorted(at_least, FIRST)  # -1 if there are fewer rows
    return np.flatnonzero(bounds >= step / STEPS)
