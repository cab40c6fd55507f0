"""Students without an encoder: TF-IDF of words and pairs of words, brought to a few dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synth_assets.students.crossfit import Model, one_thread

DIMENSIONS = 256
TOKENS = r"\w+"  # words of one letter too: some languages have many


class Tfidf:
    """`fit(texts, labels, weights)`, then `predict_proba(texts)`, by a student of unit vectors whose axes are
    made of the training texts (latent semantic analysis: Deerwester et al. 1990)."""

    def __init__(self, student: Any) -> None:
        self.labels: list[str] = student.labels
        self._student = student
        self._words: Any = None
        self._axes: Any = None  # None: the words are so few that each is an axis
        self._model: Model | None = None

    @one_thread
    def fit(self, texts: Sequence[str] | np.ndarray, labels: Any, weights: Any = None) -> Tfidf:
        """ValueError when no text has a word."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=TOKENS).fit(texts)
        found = self._words.transform(texts)
        n, words = found.shape
        if words > DIMENSIONS:
            self._axes = TruncatedSVD(max(1, min(DIMENSIONS, n - 1)), random_state=0).fit(found)
        self._model = self._student.fit(self._vectors(texts), labels, weights)
        return self

    @one_thread
    def predict_proba(self, texts: Sequence[str] | np.ndarray) -> np.ndarray:
        if self._model is None:
            raise ValueError("fit comes before predict_proba")
        return self._model.predict_proba(self._vectors(texts))

    def _vectors(self, texts: Sequence[str] | np.ndarray) -> np.ndarray:
        """(n, d) float32."""
        from sklearn.preprocessing import normalize

        found = self._words.transform(texts)
        dense = found.toarray() if self._axes is None else self._axes.transform(found)
        return normalize(dense).astype(np.float32)
