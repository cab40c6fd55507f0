"""Condition values from knowledge: triples of a graph, passages of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from pydantic import Field

from synth_assets.contracts.provider import Around, Draw
from synth_assets.core import templates as core_templates
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions import graphs
from synth_assets.generation.conditions.files import lines_of, stamp
from synth_assets.selection.select import select_random

K1, B = 1.2, 0.75  # BM25's, as in Lucene


class Triples(Draw):
    """A connected set of `size` triples of a knowledge graph, its relations covered evenly (SynthIE,
    Josifoski et al. 2023), `head | relation | tail` a line."""

    name = "triples"
    triples: str
    size: int = Field(default=3, ge=1)

    def files(self) -> list[Path]:
        return [Path(self.triples)]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        *place, number, name = parts
        enough = 1 << int(str(number)).bit_length()  # a longer list of sets begins with the shorter one
        found = _subgraphs(*stamp(self.triples), self.size, enough, *place, name)
        return "\n".join(" | ".join(triple) for triple in found[int(str(number))])


class Passages(Draw):
    """The passage of a corpus (a text file with one a line, or a column `text`) that answers a query best, by
    BM25; with `k` one of the best k (ReGen, Yu et al. 2023; retrieved knowledge)."""

    name = "passages"
    passages: str
    query: str
    k: int = Field(default=1, ge=1)

    def files(self) -> list[Path]:
        return [Path(self.passages)]

    def templates(self) -> list[str]:
        return [self.query]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        found = retrieve(self.passages, core_templates.render(self.query, row), self.k)
        return select_random(found or lines_of(self.passages), 1, *parts)[0]


@lru_cache(maxsize=32)
def _subgraphs(file: str, _: int, size: int, n: int, *parts: object) -> list[list[graphs.Triple]]:
    return graphs.subgraphs(graphs.read_triples(Path(file)), n, size, *parts)


def retrieve(file: str, query: str, k: int) -> list[str]:
    """The `k` passages (a line each) of a file that fit a query best, by BM25; none that shares no word."""
    index, texts = _index(*stamp(file))
    return [texts[place] for place, _ in index.search(query, k)]


@lru_cache(maxsize=4)
def _index(file: str, _: int) -> tuple[Index, list[str]]:
    texts = lines_of(file)
    if not texts:
        raise UserError(f"{file} has no passages: write one a line.")
    return Index(texts), texts


class Index:
    """A BM25 index over `texts` (Robertson and Zaragoza 2009, with Lucene's idf, which is never negative).

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
