"""Row filters that look for a text's like among given texts: demonstrations, validation and test seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from unicodedata import category

from pydantic import Field

from synth_assets.contracts.filter import Context, RowFilter
from synth_assets.core.text.normal_form import normal_form
from synth_assets.curation.filters.screens import BASE, SPREAD, Runs, runs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BITS = 20  # of an n-gram's hash, for the first look


class CopiedNgram(RowFilter):
    """Share of the text's word n-grams that stand in a demonstration."""

    name = "copied_ngram"
    n: int = Field(default=6, ge=1)
    at_most: float | None = 0

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        return {self.name: overlap(rows["text"].tolist(), context.demonstrations, self.n)}


class Contamination(RowFilter):
    """Share of the text's word n-grams that stand in a validation or test seed: it may not be trained on.

    GPT-3 (Brown et al. 2020, appendix C) looks for n-grams of 8 to 13 words, by the data set. A text of fewer
    than n words counts whole.
    """

    name = "contamination"
    n: int = Field(default=8, ge=1)
    at_most: float | None = 0

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        return {self.name: overlap(rows["text"].tolist(), context.held_out, self.n)}


class CopiedMeaning(RowFilter):
    """Highest cosine between the text and a demonstration."""

    name = "copied_meaning"
    at_most: float | None = 0.9

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        if context.encode is None or not context.demonstrations or rows.empty:
            return {self.name: [None] * len(rows)}
        near = context.encode(list(rows["text"])) @ context.encode(list(context.demonstrations)).T
        return {self.name: [float(v) for v in near.max(axis=1)]}


def overlap(texts: Sequence[str], references: Sequence[str], n: int) -> list[float]:
    """What `ngram_overlap` gives, in arrays: n-grams are told apart by 64 bits."""
    import numpy as np

    from synth_assets.curation.likeness.duplicates import ngram_overlap

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


def _in_word(sign: str) -> bool:
    return category(sign)[0] in "LMN"


def _words(texts: Sequence[str]) -> Iterator[Runs]:
    """The words of the texts' normal forms. (That of an ASCII text needs no more than its case folded.)"""
    return runs([t.casefold() if t.isascii() else normal_form(t) for t in texts], _in_word)


def _grams(run: Runs, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(n-grams,) uint64: a hash of each word n-gram, and the text that it is of."""
    import numpy as np

    words, of_text = run.hashes(), run.texts()
    last = max(0, len(words) - n + 1)
    grams = np.zeros(last, dtype=np.uint64)
    for i in range(n if last else 0):
        grams *= np.uint64(SPREAD)
        grams += words[i : i + last]
    inside = of_text[:last] == of_text[n - 1 : n - 1 + last]
    return grams[inside] * np.uint64(BASE), of_text[:last][inside]
