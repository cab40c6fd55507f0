"""Students without an encoder: TF-IDF of words and pairs of words, of any language."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from synth_assets.core.text.pairs import MARK, parted
from synth_assets.core.text.words import runs, unspaced
from synth_assets.students.classifier import Student
from synth_assets.students.crossfit import Model, one_thread

DIMENSIONS = 256
SIGNS = (1, 2, 3)  # of scripts without spaces, whose words may be parted wrongly: n-grams of signs as well


class Terms:
    """`fit(texts)`, then `vectors(texts)`, of the terms of the texts that it was fitted on: a sparse matrix,
    or unit vectors of DIMENSIONS axes (latent semantic analysis: Deerwester et al. 1990)."""

    def __init__(self, sparse: bool) -> None:
        self._sparse = sparse
        self._words: Any = None
        self._axes: Any = None  # None: the words are so few that each is an axis

    @one_thread
    def fit(self, texts: Sequence[str] | np.ndarray) -> Any:
        """Their vectors. ValueError when no text has a word."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._words = TfidfVectorizer(analyzer=terms, sublinear_tf=True)
        found = self._words.fit_transform(texts)
        n, words = found.shape
        if words > DIMENSIONS and not self._sparse:
            self._axes = TruncatedSVD(max(1, min(DIMENSIONS, n - 1)), random_state=0).fit(found)
        return self._made(found)

    @one_thread
    def vectors(self, texts: Sequence[str] | np.ndarray) -> Any:
        """(n, d)."""
        return self._made(self._words.transform(texts))

    def _made(self, found: Any) -> Any:
        """(n, d) from TF-IDF (n, terms): as it is, or float32 of length 1."""
        from sklearn.preprocessing import normalize

        if self._sparse:
            return found
        dense = found.toarray() if self._axes is None else self._axes.transform(found)
        return normalize(dense).astype(np.float32)


class Tfidf:
    """`fit(texts, labels, weights)`, then `predict_proba(texts)`: a student of the terms of the texts. One
    that takes no sparse matrix has unit vectors."""

    def __init__(self, student: Any) -> None:
        self.labels: list[str] = student.labels
        self._student = student
        self._terms = Terms(sparse=isinstance(student, Student))
        self._model: Model | None = None

    @one_thread
    def fit(self, texts: Sequence[str] | np.ndarray, labels: Any, weights: Any = None) -> Tfidf:
        """ValueError when no text has a word."""
        self._model = self._student.fit(self._terms.fit(texts), labels, weights)
        return self

    @one_thread
    def predict_proba(self, texts: Sequence[str] | np.ndarray) -> np.ndarray:
        if self._model is None:
            raise ValueError("fit comes before predict_proba")
        return self._model.predict_proba(self._terms.vectors(texts))


def terms(text: str) -> list[str]:
    """Words and pairs of words; words of one letter too, for some languages have many. Of a pair of texts
    those of each, which are told apart, and those that both have."""
    if MARK in text:
        first, second = map(terms, parted(text))
        shared = {*first} & {*second}
        return [*first, *(f"second {term}" for term in second), *(f"both {term}" for term in sorted(shared))]
    found = runs(text)
    pairs = [" ".join(pair) for pair in pairwise(found)]
    joined = "".join(found) if unspaced(text) else ""
    return [*found, *pairs, *(joined[i : i + n] for n in SIGNS for i in range(len(joined) - n + 1))]
