"""How varied a set of texts is: words, n-grams, overlap between sentences, similarity of vectors.

Every function is pure and linear in the size of the set. What cannot be known (a set of fewer than two
texts has no diversity) is None, never 0.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from synth_assets.protocols import Encode

_TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def tokens(text: str) -> list[str]:
    """Lower-case words (with their inner apostrophes) and single punctuation marks.

    A script without spaces between words gives one token a phrase: cut such texts into words first.
    """
    return _TOKEN.findall(text.lower())


def vocabulary(texts: Sequence[str]) -> int:
    """Number of different tokens in the set (vocabulary size of AttrPrompt, Yu et al. 2023)."""
    return len(set(chain.from_iterable(map(tokens, texts))))


def distinct_n(texts: Sequence[str], n: int) -> float | None:
    """Different n-grams over all n-grams of the set, in (0, 1]; higher is more varied (Li et al. 2016).

    None for fewer than two texts, or when no text has n tokens. Falls as a set grows: compare sets of one
    size only.
    """
    counts = Counter(chain.from_iterable(_ngrams(tokens(text), n) for text in texts))
    if len(texts) < 2 or not counts:
        return None
    return len(counts) / counts.total()


def self_bleu(texts: Sequence[str], n: int = 4, sample: int = 1000, seed: int = 0) -> float | None:
    """Mean BLEU-n of each text against all the others, in [0, 1]; higher is less varied.

    The measure of Texygen (Zhu et al. 2018) with the settings of ZeroGen (Ye et al. 2022): `sample` texts
    are drawn (all, if there are no more) and compared with each other; orders 1 to n weigh the same; an
    order without a match counts 0.1 matches (method 1 of Chen & Cherry 2014, as in NLTK); the brevity
    penalty takes the other text whose length is closest (the shorter of two). None for fewer than two texts.
    """
    chosen = random.Random(seed).sample(list(texts), sample) if len(texts) > sample else texts
    if len(chosen) < 2:
        return None
    sentences = [tokens(text) for text in chosen]
    lengths = Counter(map(len, sentences))
    scores = [_log_brevity(len(sentence), lengths) for sentence in sentences]  # logarithms
    for order in range(1, n + 1):
        counts = [Counter(_ngrams(sentence, order)) for sentence in sentences]
        limit = _second_highest(counts)
        for i, own in enumerate(counts):
            matches = sum(min(count, limit[ngram]) for ngram, count in own.items())
            if order == 1 and not matches:
                scores[i] = -math.inf  # not one word in common: BLEU is 0
            else:
                scores[i] += math.log((matches or 0.1) / max(1, own.total())) / n
    return sum(map(math.exp, scores)) / len(scores)


def average_pairwise_similarity(matrix: np.ndarray) -> float | None:
    """Mean cosine similarity of all pairs of rows; higher is less varied (APS of AttrPrompt, Yu et al. 2023).

    `matrix`: (n, d), rows of unit length (of other rows: the mean dot product). The pairs' sum is the square
    of the rows' sum without its diagonal, so time is n * d and not n * n * d. None for fewer than two rows.
    """
    import numpy as np

    n = len(matrix)
    if n < 2:
        return None
    rows = np.asarray(matrix, dtype=np.float64)  # the two terms cancel when rows are almost orthogonal
    total = rows.sum(axis=0)
    return float((total @ total - np.einsum("ij,ij->", rows, rows)) / (n * (n - 1)))


def _ngrams(words: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[i:] for i in range(n)), strict=False)


def _second_highest(counts: Sequence[Counter[tuple[str, ...]]]) -> dict[tuple[str, ...], int]:
    """The second highest count of every n-gram over the sentences (0: one sentence alone has it).

    BLEU clips a sentence's count at the highest count in the *other* sentences. If its own count is the
    highest of all, that is the second highest; if not, its own count is at most the second highest, and
    clipping at it changes nothing. So one number an n-gram serves every sentence, exactly.
    """
    first: dict[tuple[str, ...], int] = {}
    second: dict[tuple[str, ...], int] = {}
    for own in counts:
        for ngram, count in own.items():
            highest = first.get(ngram, 0)
            if count > highest:
                first[ngram], second[ngram] = count, highest
            elif count > second[ngram]:
                second[ngram] = count
    return second


def _log_brevity(length: int, lengths: Counter[int]) -> float:
    """Logarithm of BLEU's brevity penalty against the other sentences (Papineni et al. 2002)."""
    if lengths[length] > 1 or length == 0:  # an empty sentence scores 0 by its words
        return 0.0
    closest = min((other for other in lengths if other != length), key=lambda o: (abs(o - length), o))
    return min(0.0, 1 - closest / length)


def diversity(texts: Sequence[str], encode: Encode) -> pd.DataFrame:
    """All of them for one set, as metric rows (name, value, n)."""
    import pandas as pd

    values = {
        "vocabulary": vocabulary(texts),
        "distinct_1": distinct_n(texts, 1),
        "distinct_2": distinct_n(texts, 2),
        "self_bleu_4": self_bleu(texts, 4),
        "average_pairwise_similarity": average_pairwise_similarity(encode(list(texts))),
    }
    return pd.DataFrame([{"name": name, "value": value, "n": len(texts)} for name, value in values.items()])
