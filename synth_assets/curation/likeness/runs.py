"""The words of many texts at once, as runs of signs: how many, how many different, which n-grams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple
from unicodedata import category

import numpy as np

from synth_assets.core.text.normal_form import normal_form
from synth_assets.core.text.words import of_word, parted
from synth_assets.curation.likeness.duplicates import ngram_overlap

SIGNS = 1 << 17  # of texts that are looked at together, at most: what a cache of the processor holds
BASE = 0x9E3779B97F4A7C15  # of the hash of a run: odd, so it has an inverse modulo 2 ** 64
SPREAD = 0xD6E8FEB86659FD93  # another, to join a hash with what it belongs to
SLOTS = 18  # bits of a hash, for a table that a cache holds
BITS = 20  # of an n-gram's hash, for the first look


def word_counts(texts: Sequence[str]) -> np.ndarray:
    """(texts,) how many words white space cuts each into, once scripts without spaces are parted."""
    counts = (run.counts for run in runs([*map(parted, texts)], _in_sight))
    return np.concatenate([np.zeros(0, dtype=np.int64), *counts])


def distinct_words(texts: Sequence[str]) -> list[float | None]:
    """Different words over all words of each text, as `words` cuts them."""
    found: list[float | None] = []
    for run in runs([parted(text.casefold()) for text in texts], of_word, glue="'’"):
        pairs = zip(run.distinct().tolist(), run.counts.tolist(), strict=True)
        found += [different / total if total else None for different, total in pairs]
    return found


def overlap(texts: Sequence[str], references: Sequence[str], n: int) -> list[float]:
    """What `ngram_overlap` gives, in arrays: n-grams are told apart by 64 bits."""
    if not references:
        return [0.0] * len(texts)
    most = [np.full(1, 2**64 - 1, dtype=np.uint64)]  # so that each other has a place before it
    wanted = np.unique(np.concatenate([*most, *(_grams(run, n)[0] for run in _words(references))]))
    first_look = np.zeros(1 << BITS, dtype=bool)
    first_look[wanted >> np.uint64(64 - BITS)] = True
    shares = []
    for run in _words(texts):
        grams, of_text = _grams(run, n)
        maybe = np.flatnonzero(first_look[grams >> np.uint64(64 - BITS)])
        found = maybe[wanted[np.searchsorted(wanted, grams[maybe])] == grams[maybe]]
        hits = np.bincount(of_text[found], minlength=len(run.counts))
        shares.append(np.where(run.counts < n, np.nan, hits / np.maximum(1, run.counts - n + 1)))
    known = np.concatenate([np.empty(0), *shares])
    short = np.flatnonzero(np.isnan(known))  # compared whole
    known[short] = ngram_overlap([texts[i] for i in short.tolist()], references, n)
    return known.tolist()


def _in_sight(sign: str) -> bool:
    return not sign.isspace()


def _letter_or_number(sign: str) -> bool:
    return category(sign)[0] in "LMN"


def _words(texts: Sequence[str]) -> Iterator[Runs]:
    """The words of the texts' normal forms. (That of an ASCII text needs no more than its case folded.)"""
    return runs([t.casefold() if t.isascii() else normal_form(t) for t in texts], _letter_or_number)


def _grams(run: Runs, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(n-grams,) uint64: a hash of each word n-gram, and the text that it is of."""
    words, of_text = run.hashes(), run.texts()
    last = max(0, len(words) - n + 1)
    grams = np.zeros(last, dtype=np.uint64)
    for i in range(n if last else 0):
        grams *= np.uint64(SPREAD)
        grams += words[i : i + last]
    inside = of_text[:last] == of_text[n - 1 : n - 1 + last]
    return grams[inside] * np.uint64(BASE), of_text[:last][inside]


class Runs(NamedTuple):
    """The longest runs of signs of one kind in some texts."""

    codes: np.ndarray  # (signs,) code points of all the texts, one after the other
    starts: np.ndarray  # (runs,) where each begins in `codes`
    ends: np.ndarray  # (runs,) and where the sign after it is
    counts: np.ndarray  # (texts,) runs of each text

    def texts(self) -> np.ndarray:
        """(runs,) the text of each run."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def hashes(self) -> np.ndarray:
        """(runs,) 64 bits that are the same for the same signs: a polynomial in BASE, modulo 2 ** 64."""
        powers, inverse = _powers(1 << len(self.codes).bit_length())
        sums = np.zeros(len(self.codes) + 1, dtype=np.uint64)
        np.cumsum(self.codes * powers[: len(self.codes)], out=sums[1:])
        return (sums[self.ends] - sums[self.starts]) * inverse[self.starts]

    def distinct(self) -> np.ndarray:
        """(texts,) different runs of each text, told apart by 64 bits.

        Runs that are alike meet in one slot of a table; of those that are not, but share a slot, a few are
        sorted.
        """
        of_text, places = self.texts(), np.arange(len(self.starts))
        keys = (self.hashes() + of_text.astype(np.uint64) * np.uint64(SPREAD)) * np.uint64(BASE)
        slots = keys >> np.uint64(64 - SLOTS)
        last = np.empty(1 << SLOTS, dtype=np.int64)
        last[slots] = places
        owner = last[slots]
        again = owner != places
        other = np.flatnonzero(keys[owner] != keys)
        again[other[np.unique(keys[other], return_index=True)[1]]] = False
        return self.counts - np.bincount(of_text[again], minlength=len(self.counts))


def runs(texts: Sequence[str], inside: Callable[[str], bool], glue: str = "") -> Iterator[Runs]:
    """Runs of signs for which `inside` holds, for some texts after the other.

    A sign of `glue` counts between two such signs. `inside` never holds for a line break.
    """
    sizes = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1
    blocks = np.cumsum(sizes) // SIGNS
    cuts = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(texts)] if len(texts) else []
    for first, last in pairwise(cuts):
        joined = "\n" + "\n".join(texts[first:last]) + "\n"
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        held = _held(codes, inside)
        for sign in glue:
            between = np.flatnonzero(codes == ord(sign))
            held[between[held[between - 1] & held[between + 1]]] = True
        edges = np.flatnonzero(held[1:] != held[:-1]) + 1
        bounds = np.concatenate(([0], np.cumsum(sizes[first:last])))
        counts = np.diff(np.searchsorted(edges[::2], bounds + 1))
        yield Runs(codes, edges[::2], edges[1::2], counts)


def _held(codes: np.ndarray, inside: Callable[[str], bool]) -> np.ndarray:
    """(signs,) bool: for which of them `inside` holds. It is asked once a sign."""
    known = _known(inside)
    found = np.take(known, codes)
    if found.max(initial=0) == 2:
        for code in np.unique(codes[found == 2]).tolist():
            known[code] = inside(chr(code))
        found = np.take(known, codes)
    return found.view(bool)


@cache
def _known(inside: Callable[[str], bool]) -> np.ndarray:
    """What is known of each sign: 0 no, 1 yes, 2 not asked yet."""
    return np.full(0x110000, 2, dtype=np.uint8)


@cache
def _powers(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The powers of BASE from 0 to `size` - 1, and their inverses, modulo 2 ** 64."""
    factors = np.repeat(np.array([[BASE], [pow(BASE, -1, 1 << 64)]], dtype=np.uint64), size, axis=1)
    factors[:, 0] = 1
    powers, inverses = np.cumprod(factors, axis=1)
    return powers, inverses
