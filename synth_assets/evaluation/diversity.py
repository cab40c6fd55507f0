"""How varied a set of texts is: words, n-grams, overlap between texts, lengths and labels.

Every function is pure and linear in the size of the set, up to sorting. What cannot be known (a set of fewer
than two texts has no diversity) has no value, and the reason, never 0. None of them sees what words mean;
`similarity` has the measures of vectors.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synth_assets.contracts.measured import Z95, Measured, jackknife, unknown, with_error
from synth_assets.evaluation.similarity import pairwise_similarity

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from synth_assets.core.asking import Encode

_TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
TOO_FEW = "fewer than two texts"
LENGTH_BINS = 20


def tokens(text: str) -> list[str]:
    """Lower-case words (with their inner apostrophes) and single punctuation marks.

    A script without spaces between words gives one token a phrase: cut such texts into words first.
    """
    return _TOKEN.findall(text.lower())


@dataclass(frozen=True)
class Words:
    """`n` texts as the numbers of their tokens, one after the other, and the text that each token is in."""

    ids: np.ndarray
    rows: np.ndarray
    n: int

    @classmethod
    def of(cls, texts: Sequence[str] | Words) -> Words:
        """Cut texts once for several measures: all of them take it in place of the texts."""
        import numpy as np

        if isinstance(texts, Words):
            return texts
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__  # a new token has the next number
        ids: list[int] = []
        ends = [0]
        for text in texts:
            ids.extend(map(numbers.__getitem__, _TOKEN.findall(text.lower())))
            ends.append(len(ids))
        rows = np.repeat(np.arange(len(texts)), np.diff(ends))
        return cls(np.array(ids, dtype=np.int64), rows, len(texts))

    def lengths(self) -> np.ndarray:
        """Tokens of each text, (n,)."""
        import numpy as np

        return np.bincount(self.rows, minlength=self.n)


@dataclass(frozen=True)
class _Counts:
    """How often (`count`) a text (`row`) has an n-gram (`ngram`, from 0), one entry a pair, by n-gram."""

    ngram: np.ndarray
    row: np.ndarray
    count: np.ndarray


def vocabulary(texts: Sequence[str] | Words) -> int:
    """Number of different tokens in the set (vocabulary size of AttrPrompt, Yu et al. 2023)."""
    import numpy as np

    return len(np.unique(Words.of(texts).ids))


def vocabulary_size(texts: Sequence[str] | Words, labels: Sequence[str] | None = None) -> Measured:
    """The same with the jackknife's interval or, with `labels`, the mean over classes (Yu et al. 2023).

    Grows with the set: compare sets of one size only. Sees neither the order of words nor how often one
    is used. The interval is rather too wide: the words of one text alone count as lost with it.
    """
    import numpy as np

    words = Words.of(texts)
    if not words.n:
        return unknown("no texts")
    if labels is None:
        counts = _counts(words, 1)
        alone = np.bincount(counts.ngram)[counts.ngram] == 1  # tokens that one text alone has
        value = int(counts.ngram[-1]) + 1 if len(counts.ngram) else 0
        return jackknife(value, value - np.bincount(counts.row[alone], minlength=words.n), least=0)
    names, classes = np.unique(np.asarray(labels), return_inverse=True)
    of_class = np.unique(words.ids * len(names) + classes[words.rows])  # each class's tokens, once
    return Measured(len(of_class) / len(names), n=words.n)


def distinct_n(texts: Sequence[str] | Words, n: int = 2) -> Measured:
    """Different n-grams over all n-grams of the set, in (0, 1]; higher is more varied (Li et al. 2016).

    Unknown for fewer than two texts, or when no text has n tokens. Falls as a set grows: compare sets of one
    size only. Shuffled words look more varied to it for n > 1, and the same for n = 1.
    """
    import numpy as np

    words = Words.of(texts)
    counts, why = _repeatable(words, n)
    if why:
        return unknown(why, words.n)
    total = np.bincount(counts.ngram, counts.count)  # how often the set has each n-gram
    lost = counts.count == total[counts.ngram]  # n-grams that are in one text alone
    own = np.bincount(counts.row, counts.count, minlength=words.n)
    with np.errstate(invalid="ignore"):  # 0/0 where one text has all n-grams: no interval
        without = (len(total) - np.bincount(counts.row[lost], minlength=words.n)) / (total.sum() - own)
    return jackknife(len(total) / total.sum(), without, 0, 1)


def ngram_frequency(texts: Sequence[str] | Words, n: int = 2) -> Measured:
    """How often n-grams repeat across samples, in [0, 1]; higher is less varied (AttrPrompt, Yu et al. 2023).

    Normalised, so that sets of any size compare: the mean share of the *other* texts that have an n-gram of a
    text, sum f (f - 1) / (N - 1) / sum f, where f texts of N have an n-gram. 1: all texts have the same
    n-grams; 0: no two share one. Sees no repetition within a text. Interval: the jackknife's.
    """
    import numpy as np

    words = Words.of(texts)
    counts, why = _repeatable(words, n)
    if why:
        return unknown(why, words.n)
    texts_with = np.bincount(counts.ngram)
    shared, all_ = float((texts_with * (texts_with - 1)).sum()), float(texts_with.sum())
    lost = np.bincount(counts.row, 2.0 * (texts_with[counts.ngram] - 1), minlength=words.n)
    own = np.bincount(counts.row, minlength=words.n)
    with np.errstate(invalid="ignore", divide="ignore"):  # two texts, or one that has all: no interval
        without = (shared - lost) / (all_ - own) / (words.n - 2)
    return jackknife(shared / all_ / (words.n - 1), without, 0, 1)


def self_bleu(texts: Sequence[str] | Words, n: int = 4, sample: int = 1000, seed: int = 0) -> Measured:
    """Mean BLEU-n of each text against all the others, in [0, 1]; higher is less varied.

    The measure of Texygen (Zhu et al. 2018) with the settings of ZeroGen (Ye et al. 2022): `sample` texts
    are drawn (all, if there are no more) and each is compared with all the other texts; orders 1 to n weigh
    the same; an order without a match counts 0.1 matches (method 1 of Chen & Cherry 2014, as in NLTK); the
    brevity penalty takes the other text whose length is closest (the shorter of two). Rises as a set grows:
    compare sets of one size only. Paraphrases look varied to it. Interval: of the mean over the texts drawn,
    widened by the root of 1 + drawn / all, as a text is scored and is one that others are scored against.
    """
    import numpy as np

    words = Words.of(texts)
    if words.n < 2:
        return unknown(TOO_FEW, words.n)
    chosen = np.arange(words.n)
    if words.n > sample:
        chosen = np.array(random.Random(seed).sample(range(words.n), sample))
    lengths = words.lengths()
    logs = np.zeros(len(chosen))
    for order, counts in enumerate(_all_counts(words, n), start=1):
        clipped = np.minimum(counts.count, _second_highest(counts)[counts.ngram])
        matches = np.bincount(counts.row, clipped, minlength=words.n)[chosen]
        share = np.where(matches, matches, 0.1) / np.maximum(1, lengths[chosen] - order + 1)
        logs += np.log(share) / n
        if order == 1:
            logs[matches == 0] = -math.inf  # not one word in common: BLEU is 0
    others = Counter(lengths.tolist())
    logs += [_log_brevity(length, others) for length in lengths[chosen].tolist()]
    scores, drawn = np.exp(logs), len(chosen)
    error = scores.std(ddof=1) * (1 / drawn + 1 / words.n) ** 0.5 if drawn > 1 else None
    return with_error(scores.mean(), error, drawn, 0, 1)


def length_divergence(texts: Sequence[str] | Words, real: Sequence[str] | Words) -> Measured:
    """Jensen-Shannon divergence of the texts' lengths in tokens from those of real texts, in bits, in [0, 1].

    Lengths are counted in at most 20 bins, each with about as many of all texts. See `jensen_shannon`.
    """
    import numpy as np

    ours, theirs = Words.of(texts).lengths(), Words.of(real).lengths()
    if not len(ours) or not len(theirs):
        return unknown("a set without texts", len(ours))
    edges = np.quantile(np.concatenate([ours, theirs]), np.linspace(0, 1, LENGTH_BINS + 1)[1:-1])
    bins = [np.searchsorted(np.unique(edges), lengths) for lengths in (ours, theirs)]
    return jensen_shannon(*(np.bincount(b, minlength=LENGTH_BINS) for b in bins))


def label_divergence(labels: Sequence[str], real: Sequence[str]) -> Measured:
    """Jensen-Shannon divergence of the labels from those of real rows, in bits, in [0, 1]."""
    import numpy as np

    if not len(labels) or not len(real):
        return unknown("a set without labels", len(labels))
    ours, theirs = Counter(labels), Counter(real)
    names = sorted({*ours, *theirs})
    return jensen_shannon(np.array([ours[x] for x in names]), np.array([theirs[x] for x in names]))


def jensen_shannon(ours: np.ndarray, theirs: np.ndarray) -> Measured:
    """Jensen-Shannon divergence of two counts (k,) of the same k things, in bits, in [0, 1] (Lin 1991).

    Two draws from one source are apart by chance: the lower end of the interval (delta method) takes this
    off, and is 0 where chance explains the value.
    """
    import numpy as np

    p, q = ours / ours.sum(), theirs / theirs.sum()
    middle = (p + q) / 2
    value, variance = 0.0, 0.0
    for share, n in ((p, ours.sum()), (q, theirs.sum())):
        there = share > 0
        bits = np.log2(share[there] / middle[there]) / 2
        part = float(share[there] @ bits)
        value += part
        variance += float(share[there] @ (bits - part) ** 2) / n
    chance = (np.count_nonzero(middle) - 1) * (1 / ours.sum() + 1 / theirs.sum()) / (8 * math.log(2))
    half = Z95 * math.sqrt(variance)
    value = min(1.0, max(0.0, value))
    low, high = max(0.0, value - float(chance) - half), min(1.0, value + half)
    return Measured(value, low, high, int(ours.sum()))


def _all_counts(words: Words, n: int) -> Iterator[_Counts]:
    """Counts of the n-grams of orders 1 to n in turn, each numbered from the one before and its last word."""
    import numpy as np
    import pandas as pd

    ids, rows = words.ids, words.rows
    at, codes = np.arange(len(ids)), ids
    for order in range(1, n + 1):
        if order > 1:
            last = at + order - 1
            inside = last < len(ids)
            inside[inside] = rows[last[inside]] == rows[at[inside]]
            at, last = at[inside], last[inside]
            codes = codes[inside] * (int(ids.max(initial=0)) + 1) + ids[last]
        codes = pd.factorize(codes)[0]
        keys, count = np.unique(codes * words.n + rows[at], return_counts=True)
        yield _Counts(keys // max(1, words.n), keys % max(1, words.n), count)


def _counts(words: Words, n: int) -> _Counts:
    *_, last = _all_counts(words, n)
    return last


def _repeatable(words: Words, n: int) -> tuple[_Counts, str]:
    """The counts of order n, and why they say nothing of repetition."""
    counts = _counts(words, n)
    return counts, TOO_FEW if words.n < 2 else "" if len(counts.ngram) else "no text is that long"


def _second_highest(counts: _Counts) -> np.ndarray:
    """The second highest count of every n-gram over the texts (0: one text alone has it).

    BLEU clips a text's count at the highest count in the *other* texts. If its own count is the highest of
    all, that is the second highest; if not, its own count is at most the second highest, and clipping at it
    changes nothing. So one number an n-gram serves every text, exactly.
    """
    import numpy as np

    if not len(counts.ngram):
        return counts.count
    begins = np.flatnonzero(np.diff(counts.ngram, prepend=-1))
    highest = np.maximum.reduceat(counts.count, begins)
    at = np.flatnonzero(counts.count == highest[counts.ngram])
    rest = counts.count.copy()
    rest[at[np.diff(counts.ngram[at], prepend=-1) > 0]] = 0  # one text that has the highest
    return np.maximum.reduceat(rest, begins)


def _log_brevity(length: int, lengths: Counter[int]) -> float:
    """Logarithm of BLEU's brevity penalty against the other texts (Papineni et al. 2002)."""
    if lengths[length] > 1 or length == 0:  # an empty text scores 0 by its words
        return 0.0
    closest = min((other for other in lengths if other != length), key=lambda o: (abs(o - length), o))
    return min(0.0, 1 - closest / length)


def diversity(texts: Sequence[str], encode: Encode) -> pd.DataFrame:
    """The usual ones for one set, as metric rows (name, value, low, high, n)."""
    import pandas as pd

    words = Words.of(texts)
    values = {
        "vocabulary": vocabulary_size(words),
        "distinct_1": distinct_n(words, 1),
        "distinct_2": distinct_n(words, 2),
        "self_bleu_4": self_bleu(words, 4),
        "average_pairwise_similarity": pairwise_similarity(encode(list(texts))),
    }
    rows = [(name, m.value, m.low, m.high, words.n) for name, m in values.items()]
    return pd.DataFrame(rows, columns=["name", "value", "low", "high", "n"])
