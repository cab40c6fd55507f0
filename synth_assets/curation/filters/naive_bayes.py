"""Naive Bayes over the features that an automaton finds in bytes, as py3langid tells languages: compiled."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from py3langid.langid import LanguageIdentifier

LANES = 16  # texts that are walked side by side: one waits for memory while the others step
BLOCK = 2048  # texts that are walked before any is scored: each of both has tables that fill a cache
NOTHING = -25.0  # the logarithm of a part that changes no sum: 1e-11
LOGS = np.log1p(np.arange(256).astype(np.float32))  # of counts


class Model(NamedTuple):
    """An automaton over bytes, and the features of classes that it finds."""

    following: np.ndarray  # next state, by row and byte
    rows: np.ndarray  # row, by state
    features: np.ndarray  # feature, by state, negative for none
    likelihood: np.ndarray  # (features, classes) log P(feature | class) in units of `unit`
    prior: np.ndarray  # (classes,) log P(class) in units of `unit`
    unit: float


def of_language(texts: Iterable[str], language: str, identifier: LanguageIdentifier) -> np.ndarray:
    """(texts,) what py3langid's `rank` gives for the language, twenty times as quick and equal to 1e-5.

    Sums are of float32 in both; here each is smaller, so nearer to the exact one.
    """
    parts = [_bytes(text) for text in texts]
    ends = np.cumsum([0, *map(len, parts)])
    wanted = np.array([name == language for name in identifier.nb_classes])
    data = np.frombuffer(b"".join(parts) or b"\0", dtype=np.uint8)
    return probabilities(data, ends, _model(identifier), wanted)


def _bytes(text: str) -> bytes:
    """What the identifier reads of a text."""
    lower = text.lower() if text.isupper() else text
    normal = lower if lower.isascii() else unicodedata.normalize("NFC", lower)
    return normal.encode("utf-8", "surrogatepass")


@cache
def _model(identifier: LanguageIdentifier) -> Model:
    """Of a feature's row the mean is taken off: probabilities stay the same, sums stay small. In its unit the
    half floats are whole numbers of 16 bits: half of the memory that floats take, and no less exact."""
    unit = 1 / 2048
    likelihood = np.rint(identifier.nb_ptc.astype(np.float32) / unit)
    likelihood -= np.rint(likelihood.mean(axis=1, keepdims=True))
    return Model(
        np.frombuffer(identifier.tk_nextmove, dtype=np.uint32).copy(),  # numpy's memory has large pages
        np.array(identifier.tk_row, dtype=np.int32) << 8,
        np.array(identifier.tk_output, dtype=np.int32),
        likelihood.astype(np.int16),
        (identifier.nb_pc - identifier.nb_pc.mean()) / np.float32(unit),
        unit,
    )


@njit(cache=True)
def probabilities(data: np.ndarray, ends: np.ndarray, model: Model, wanted: np.ndarray) -> np.ndarray:
    """(texts,) P(a class of `wanted`). Text i is data[ends[i] : ends[i + 1]].

    From state s a byte b leads to following[rows[s] + b], where features[s] counts, if not negative. Scores,
    log prior + sum of log(1 + count) * log likelihood, both times `unit`, are divided by the root of a text's
    length.
    """
    texts = len(ends) - 1
    found = np.empty(texts)
    counts = np.zeros(len(model.likelihood), dtype=np.int32)
    touched = np.zeros(len(model.likelihood) + 1, dtype=np.int64)
    score = np.empty(len(model.prior), dtype=np.float32)
    for first in range(0, texts, BLOCK):
        bounds = ends[first : min(first + BLOCK, texts) + 1]
        met = _met(data, bounds, model)
        for text in range(len(bounds) - 1):
            begin, end = bounds[text] - bounds[0], bounds[text + 1] - bounds[0]
            _add_up(met[begin:end], counts, touched, model, score)
            found[first + text] = _share(score, wanted, model.unit / math.sqrt(max(1, end - begin)))
    return found


@njit(cache=True)
def _met(data: np.ndarray, bounds: np.ndarray, model: Model) -> np.ndarray:
    """(bytes of some texts,) the feature at each byte, negative for none."""
    met = np.empty(bounds[-1] - bounds[0], dtype=np.int32)
    states = np.zeros(LANES, dtype=np.int64)
    starts = np.zeros(LANES, dtype=np.int64)
    stops = np.zeros(LANES, dtype=np.int64)
    for first in range(0, len(bounds) - 1, LANES):
        longest = 0
        for lane in range(LANES):
            text = min(first + lane, len(bounds) - 2)
            states[lane], starts[lane], stops[lane] = 0, bounds[text], bounds[text + 1]
            longest = max(longest, stops[lane] - starts[lane])
        for place in range(longest):
            for lane in range(LANES):
                at = starts[lane] + place
                if at < stops[lane]:
                    state = model.following[model.rows[states[lane]] + data[at]]
                    states[lane] = state
                    met[at - bounds[0]] = model.features[state]
    return met


@njit(cache=True, fastmath={"contract"})
def _add_up(
    met: np.ndarray, counts: np.ndarray, touched: np.ndarray, model: Model, score: np.ndarray
) -> None:
    """The scores of a text from its features, into `score`. Room for work: `counts`, all zeros before and
    after, and `touched`, one number more than features."""
    different = 0
    for feature in met:
        if feature >= 0:
            if counts[feature] == 0:
                touched[different] = feature
                different += 1
            counts[feature] += 1
    score[:] = 0
    if different:  # else all classes are as likely
        score += model.prior
    touched[different] = touched[max(0, different - 1)]  # of an odd number the last comes again, and counts 0
    for i in range(0, different, 2):
        one, two = touched[i], touched[i + 1]
        weight_one, counts[one] = _weight(counts[one]), 0
        weight_two, counts[two] = _weight(counts[two]), 0
        row_one, row_two = model.likelihood[one], model.likelihood[two]
        for k in range(len(score)):
            score[k] += weight_one * row_one[k] + weight_two * row_two[k]


@njit(cache=True)
def _weight(count: int) -> np.float32:
    return LOGS[count] if count < len(LOGS) else np.float32(math.log1p(count))


@njit(cache=True)
def _share(score: np.ndarray, wanted: np.ndarray, scale: float) -> float:
    """The part of `wanted` in the softmax of scale * score."""
    highest = score.max()
    total, mass = 0.0, 0.0
    for k in range(len(score)):
        above = (score[k] - highest) * scale
        if above > NOTHING:
            part = math.exp(above)
            total += part
            if wanted[k]:
                mass += part
    return mass / total
