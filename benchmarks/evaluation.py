"""What the direct measures of a set cost, in CPU-seconds on one core, beside their reference implementations.

    python benchmarks/evaluation.py
    pip install nltk==3.10.4 vendi-score==0.0.3        # the peers; one that is not installed is left out

Three parts. Words and vectors: vocabulary, distinct-1 and -2, n-gram frequency, average pairwise similarity
and Vendi score of 100,000 rows of 30 words with their vectors of 384 numbers; the peers are dictionaries of
tuples, `vendi_score` and the similarities of all pairs of 5,000 rows, scaled up by the square. Self-BLEU-4:
1,000 of 10,000 rows, each against the other 9,999; NLTK's `sentence_bleu` scores 10 of them, and its time is
scaled up linearly. Average pairwise similarity of a quarter of a million and of a million rows of float32.
Words are drawn by Zipf's law from 20,000, as in English. Values must agree with those of the peers. One JSON
line a contestant; exit code 1 where a figure is missed.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is loaded

from synth_assets.evaluation.diversity import (
    Words,
    distinct_n,
    ngram_frequency,
    self_bleu,
    tokens,
    vocabulary_size,
)
from synth_assets.evaluation.similarity import pairwise_similarity, vendi_score

if TYPE_CHECKING:
    import numpy as np

ROWS, WORDS, VOCABULARY, DIMENSIONS = 100_000, 30, 20_000, 384
HYPOTHESES, REFERENCES, OF_NLTK, OF_PAIRS = 1000, 10_000, 10, 5000
TOGETHER, FASTER, MILLION = 10, 200, 5  # CPU-seconds, times as fast as NLTK, CPU-seconds


def texts(n: int) -> list[str]:
    choose = random.Random(0)
    words = [f"w{i}" for i in range(VOCABULARY)]
    weights = [1 / (rank + 2.7) for rank in range(VOCABULARY)]
    return [" ".join(choose.choices(words, weights, k=WORDS)) for _ in range(n)]


def vectors(n: int) -> np.ndarray:
    """Rows of unit length in float32, with something in common."""
    import numpy as np

    draw = np.random.default_rng(0)
    rows = draw.standard_normal((n, DIMENSIONS), dtype=np.float32)
    rows[:, :40] *= 4
    rows[:, 0] += 2
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows


def timed(
    contestant: str, what: str, rows: int, run: Callable[[], Any], scale: float = 1
) -> tuple[float, Any]:
    """CPU-seconds, times `scale`, and the value; prints the contestant's line."""
    before = time.process_time()
    value = run()
    cpu = (time.process_time() - before) * scale
    line = {"contestant": contestant, "measure": what, "rows": rows, "cpu_s": round(cpu, 3)}
    print(json.dumps({**line, "value": value, **({"scaled_by": scale} if scale != 1 else {})}), flush=True)
    return cpu, value


def by_dictionaries(rows: list[str]) -> list[float]:
    """Vocabulary, distinct-1 and -2, n-gram frequency with Python's own counters."""
    cut = [tokens(text) for text in rows]
    one, two = (
        Counter(w for words in cut for w in words),
        Counter(p for w in cut for p in pairwise(w)),
    )
    texts_with = Counter(p for w in cut for p in set(pairwise(w)))
    frequency = sum(f * (f - 1) for f in texts_with.values()) / texts_with.total() / (len(rows) - 1)
    return [len(one), len(one) / one.total(), len(two) / two.total(), frequency]


def words_and_vectors() -> bool:
    """Whether all measures of 100,000 rows keep within the time."""
    rows, matrix = texts(ROWS), vectors(ROWS)
    spent = []

    def ours(what: str, run: Callable[[], Any]) -> Any:
        cpu, value = timed("synth_assets", what, ROWS, run)
        spent.append(cpu)
        return value

    cut: list[Words] = []
    ours("tokens", lambda: cut.append(Words.of(rows)))
    words = cut[0]
    found = [
        ours("vocabulary", lambda: vocabulary_size(words).value),
        ours("distinct_1", lambda: distinct_n(words, 1).value),
        ours("distinct_2", lambda: distinct_n(words, 2).value),
        ours("ngram_frequency_2", lambda: ngram_frequency(words, 2).value),
    ]
    ours("average_pairwise_similarity", lambda: pairwise_similarity(matrix).value)
    vendi = ours("vendi_score", lambda: vendi_score(matrix).value)
    print(json.dumps({"contestant": "synth_assets", "measure": "together", "cpu_s": round(sum(spent), 3)}))

    _, others = timed("dictionaries", "the first four", ROWS, lambda: by_dictionaries(rows))
    assert all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(found, others, strict=True))
    part = matrix[:OF_PAIRS]
    _, pairs = timed(
        "all pairs",
        "average_pairwise_similarity",
        ROWS,
        lambda: float(((part @ part.T).sum(dtype="float64") - OF_PAIRS) / (OF_PAIRS * (OF_PAIRS - 1))),
        (ROWS / OF_PAIRS) ** 2,
    )
    assert math.isclose(pairs, pairwise_similarity(part).value or 0, abs_tol=1e-6)
    if find_spec("vendi_score"):
        from vendi_score.vendi import score_dual

        _, other = timed("vendi_score", "vendi_score", ROWS, lambda: float(score_dual(matrix)))
        assert math.isclose(vendi, other, rel_tol=1e-4)  # the package adds up in float32
    return sum(spent) < TOGETHER


def self_bleu_beside_nltk() -> bool:
    """Whether Self-BLEU is as many times faster than NLTK as it should be; without NLTK it is not known."""
    rows = texts(REFERENCES)
    what = f"self_bleu_4 of {HYPOTHESES}"
    cpu, _ = timed("synth_assets", what, REFERENCES, lambda: self_bleu(rows, 4, HYPOTHESES).value)
    if not find_spec("nltk"):
        return True
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    cut, method = [tokens(text) for text in rows], SmoothingFunction().method1
    drawn = random.Random(0).sample(range(REFERENCES), OF_NLTK)  # as `self_bleu` draws them

    def nltk() -> float:
        scores = [sentence_bleu(cut[:i] + cut[i + 1 :], cut[i], [0.25] * 4, method) for i in drawn]
        return sum(scores) / OF_NLTK

    theirs, value = timed("nltk", what, REFERENCES, nltk, HYPOTHESES / OF_NLTK)
    assert math.isclose(value, self_bleu(rows, 4, OF_NLTK).value or 0, abs_tol=1e-9)
    print(
        json.dumps(
            {"contestant": "synth_assets", "measure": what, "times_as_fast_as_nltk": round(theirs / cpu)}
        )
    )
    return theirs / cpu >= FASTER


def a_million_vectors() -> bool:
    """Whether the similarity of a million rows keeps within the time."""
    matrix = vectors(1_000_000)
    what = "average_pairwise_similarity"
    timed("synth_assets", what, 250_000, lambda: pairwise_similarity(matrix[:250_000]).value)
    cpu, _ = timed("synth_assets", what, 1_000_000, lambda: pairwise_similarity(matrix).value)
    return cpu < MILLION


def main() -> None:
    kept = [part() for part in (words_and_vectors, self_bleu_beside_nltk, a_million_vectors)]
    sys.exit(int(not all(kept)))


if __name__ == "__main__":
    main()
