"""Passages that are retrieved for a condition: a BM25 index over texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synth_assets.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np

K1, B = 1.2, 0.75  # Lucene's defaults


class Passages:
    """An index over `texts` (Robertson and Zaragoza 2009, with Lucene's idf, which is never negative).

    Words are runs of letters and digits in lower case. Raises UserError when no text has a word.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np
        from sklearn.feature_extraction.text import CountVectorizer

        self._counter = CountVectorizer(token_pattern=r"\w+", dtype=np.float64)
        try:
            counts = self._counter.fit_transform(texts)
        except ValueError as error:  # an empty vocabulary
            raise UserError("the corpus has no words: give texts to retrieve passages from.") from error
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        having = counts.getnnz(axis=0)  # texts that have the word
        rows = np.repeat(np.arange(len(texts)), np.diff(counts.indptr))
        idf = np.log1p((len(texts) - having + 0.5) / (having + 0.5))[counts.indices]
        counts.data = idf * counts.data / (counts.data + K1 * (1 - B + B * lengths[rows] / lengths.mean()))
        self._weights = counts  # (texts, words)

    def search(self, query: str, k: int) -> list[tuple[int, float]]:
        """The `k` best texts, as (place, score), best first; of two as good ones the earlier first.

        Texts that share no word with the query are left out.
        """
        import numpy as np

        scores: np.ndarray = (self._weights @ self._counter.transform([query]).T).toarray().ravel()
        best = np.argsort(-scores, kind="stable")[:k]
        return [(int(i), float(scores[i])) for i in best if scores[i] > 0]
