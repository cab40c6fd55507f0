"""How varied a set of texts is: words, n-grams, overlap between texts, lengths and labels.

Every function is pure and linear in the size of the set, up to sorting. What cannot be known (a set of fewer
than two texts has no diversity) has no value, and the reason, never 0. None of them sees what words mean;
`similarity` has the measures of vectors.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synth_assets.contracts.measure import row
from synth_assets.contracts.measured import Z95, Measured, jackknife, unknown, with_error
from synth_assets.core.asking import Encode
from synth_assets.core.text.words import tokens
from synth_assets.evaluation import similarity
from synth_assets.evaluation.metric_rows import VARIED, Sets, table
from synth_assets.selection.select import ranked

TOO_FEW = "fewer than two texts"
LENGTH_BINS = 20
FEW = 10  # rows of a round: fewer are more or less varied by chance


@dataclass(frozen=True)
class Words:
    """`n` texts as the numbers of their tokens, one after the other, and the text that each token is in."""

    ids: np.ndarray
    rows: np.ndarray
    n: int

    @classmethod
    def of(cls, texts: Sequence[str] | Words) -> Words:
        """Cut texts once for several measures: all of them take it in place of the texts."""
        if isinstance(texts, Words):
            return texts
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__  # a new token has the next number
        ids: list[int] = []
        ends = [0]
        for text in texts:
            ids.extend(map(numbers.__getitem__, tokens(text)))
            ends.append(len(ids))
        rows = np.repeat(np.arange(len(texts)), np.diff(ends))
        return cls(np.array(ids, dtype=np.int64), rows, len(texts))

    def lengths(self) -> np.ndarray:
        """Tokens of each text, (n,)."""
        return np.bincount(self.rows, minlength=self.n)


@dataclass(frozen=True)
class _Counts:
    """How often (`count`) a text (`row`) has an n-gram (`ngram`, from 0), one entry a pair, by n-gram."""

    ngram: np.ndarray
    row: np.ndarray
    count: np.ndarray


def vocabulary_size(texts: Sequence[str] | Words, labels: Sequence[str] | None = None) -> Measured:
    """Number of different tokens in the set or, with `labels`, the mean over classes (Yu et al. 2023).

    Grows with the set: compare sets of one size only. Sees neither the order of words nor how often one
    is used. The jackknife's interval is rather too wide: the words of one text alone count as lost with it.
    """
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
    ours, theirs = Words.of(texts).lengths(), Words.of(real).lengths()
    if not len(ours) or not len(theirs):
        return unknown("a set without texts", len(ours))
    edges = np.quantile(np.concatenate([ours, theirs]), np.linspace(0, 1, LENGTH_BINS + 1)[1:-1])
    bins = [np.searchsorted(np.unique(edges), lengths) for lengths in (ours, theirs)]
    return jensen_shannon(*(np.bincount(b, minlength=LENGTH_BINS) for b in bins))


def label_divergence(labels: Sequence[str], real: Sequence[str]) -> Measured:
    """Jensen-Shannon divergence of the labels from those of real rows, in bits, in [0, 1]."""
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
    words = Words.of(texts)
    values = {
        "vocabulary": vocabulary_size(words),
        "distinct_1": distinct_n(words, 1),
        "distinct_2": distinct_n(words, 2),
        "self_bleu_4": self_bleu(words, 4),
        "average_pairwise_similarity": similarity.pairwise_similarity(encode(list(texts))),
    }
    rows = [(name, m.value, m.low, m.high, words.n) for name, m in values.items()]
    return pd.DataFrame(rows, columns=["name", "value", "low", "high", "n"])


def diversities(sets: Sets, validation: pd.DataFrame, encode: Encode) -> pd.DataFrame:
    """Diversity of as many rows of each set as the smallest has, as most measures change with the size; and
    how far each is from the validation rows (from `real` where there are none): other real rows are the
    baseline of that."""
    compared = {name: sets[name] for name in VARIED if name in sets}
    n = min(map(len, compared.values()))
    ids = {name: ranked(rows["row_id"], "diversity")[:n] for name, rows in compared.items()}
    drawn = {name: rows[rows["row_id"].isin(ids[name])] for name, rows in compared.items()}
    reference = validation if len(validation) > 1 else drawn.get("real")
    of_reference = similarity.vectors(encode, [] if reference is None else list(reference["text"]))
    found = []
    for name, rows in drawn.items():
        vectors = similarity.vectors(encode, list(rows["text"]))
        measured = _varied(rows, vectors)
        if reference is not None and reference is not rows:
            measured |= _from_real(rows, reference, vectors, of_reference)
        found += [row(key, name, value) for key, value in measured.items()]
        del vectors  # before those of the next set are there
    return table(found)


def _varied(rows: pd.DataFrame, vectors: np.ndarray) -> dict[str, Measured]:
    words, within = Words.of(list(rows["text"])), {}
    if len(rows) and rows["label"].notna().all():
        within["similarity_within_class"] = similarity.pairwise_similarity(vectors, list(rows["label"]))
    return {
        "vocabulary": vocabulary_size(words),
        "distinct_1": distinct_n(words, 1),
        "distinct_2": distinct_n(words, 2),
        "ngram_frequency_2": ngram_frequency(words, 2),
        "self_bleu_4": self_bleu(words, 4),
        "average_pairwise_similarity": similarity.pairwise_similarity(vectors),
        **within,
        "centroid_distance": similarity.centroid_distance(vectors),
        "remote_clique": similarity.remote_clique(vectors),
        "vendi_score": similarity.vendi_score(vectors),
    }


def _from_real(
    rows: pd.DataFrame, real: pd.DataFrame, vectors: np.ndarray, of_real: np.ndarray
) -> dict[str, Measured]:
    k = min(50, max(2, len(real) // similarity.CLUSTERED))
    covered, chance = similarity.cluster_coverage(vectors, of_real, k)
    found = {
        "chamfer_distance": similarity.chamfer_distance(vectors, of_real),
        "mauve": similarity.mauve(vectors, of_real),
        "cluster_coverage": covered,
        "cluster_coverage_expected": chance,
        "length_divergence": length_divergence(list(rows["text"]), list(real["text"])),
    }
    if rows["label"].notna().all() and real["label"].notna().all():
        found["label_divergence"] = label_divergence(list(rows["label"]), list(real["label"]))
    return found


def of_rounds(rounds: Mapping[str, Sequence[str]], encode: Encode) -> pd.DataFrame:
    """Diversity of the rows that each round itself has kept, oldest first, as many of each: it falls where a
    set feeds on itself (model collapse, Shumailov et al. 2024). Nothing where the last round has too few."""
    kept = {round_: list(texts) for round_, texts in rounds.items() if len(texts) >= FEW}
    if list(kept)[-1:] != list(rounds)[-1:]:
        return table([])
    n = min([*map(len, kept.values()), 5000])
    found = []
    for round_, texts in kept.items():
        drawn = ranked(texts, "rounds")[:n]
        words, vectors = Words.of(drawn), similarity.vectors(encode, drawn)
        found.append(row("round_distinct_2", round_, distinct_n(words, 2)))
        found.append(row("round_centroid_distance", round_, similarity.centroid_distance(vectors)))
    return table(found)


def falls(rows: pd.DataFrame) -> dict[str, float]:
    """Measure of `of_rounds` -> how far the last round is under the best of those before it, as a share of
    that; nothing where there is one round."""
    found = {}
    for name in ("round_distinct_2", "round_centroid_distance"):
        values = rows.loc[(rows["name"] == name) & rows["value"].notna(), "value"].astype(float)
        if len(values) > 1 and values.iloc[:-1].max() > 0:
            found[name] = float(1 - values.iloc[-1] / values.iloc[:-1].max())
    return found
