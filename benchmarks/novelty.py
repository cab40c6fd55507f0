"""How many candidates a CPU-second the filter `novelty` compares with 50,000 kept instructions, exactly.

    python benchmarks/novelty.py
    pip install rouge-score==0.1.2 rapidfuzz==3.14.6      # the peers; one that is not installed is left out

Instructions of 20 words, drawn by Zipf's law from 20,000 words: frequent words are shared by most pairs, as
in English, so that few pairs are out of the question at once. All contestants find the largest ROUGE-L F1 of
a candidate to all rows, on one core, and must agree to 1e-12. `rouge_score` is what Self-Instruct runs.
rapidfuzz compares texts as strings of one character a word, by the ratio 2 L / (m + n), which is ROUGE-L F1;
it gets its candidates all at once, its fastest way, though a greedy filter has only one at a time.
What each does once for the rows is `prepare_cpu_s`. Peers get fewer candidates. One JSON line each; exit code
1 if ours is below 300.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

from synth_assets.curation.likeness.novelty import Pool

ROWS, WORDS, VOCABULARY = 50_000, 20, 20_000
WANTED = 300  # candidates a CPU-second
Nearest = Callable[[list[str]], list[float]]  # from candidates to the largest score of each


def instructions(n: int) -> list[str]:
    choose = random.Random(0)
    words = [f"w{i}" for i in range(VOCABULARY)]
    weights = [1 / (rank + 2.7) for rank in range(VOCABULARY)]
    return [" ".join(choose.choices(words, weights, k=WORDS)) for _ in range(n)]


def synth_assets(rows: list[str]) -> Nearest:
    pool = Pool(rows)
    return lambda texts: [pool.nearest(text)[0] or 0.0 for text in texts]


def rapidfuzz(rows: list[str]) -> Nearest:
    import numpy as np
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import cdist

    def coded(texts: list[str]) -> list[str]:
        return ["".join(chr(int(word[1:])) for word in text.split()) for text in texts]

    choices, ratio = coded(rows), Indel.normalized_similarity
    return lambda texts: list(cdist(coded(texts), choices, scorer=ratio, dtype=np.float64).max(axis=1))


def rouge_score(rows: list[str]) -> Nearest:
    from rouge_score.rouge_scorer import RougeScorer

    score = RougeScorer(["rougeL"]).score
    return lambda texts: [max(score(row, text)["rougeL"].fmeasure for row in rows) for text in texts]


def measure(
    prepare: Callable[[list[str]], Nearest], rows: list[str], candidates: list[str]
) -> tuple[float, list[float]]:
    """Candidates a CPU-second, and their scores; prints the contestant's line."""
    before = time.process_time()
    nearest = prepare(rows)
    prepared = time.process_time() - before
    wall, before = time.perf_counter(), time.process_time()
    scores = nearest(candidates)
    wall, cpu = time.perf_counter() - wall, time.process_time() - before
    line = {"contestant": prepare.__name__, "rows": len(rows), "candidates": len(candidates)}
    seconds = {"prepare_cpu_s": round(prepared, 3), "wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}
    rate = len(candidates) / cpu
    print(json.dumps({**line, **seconds, "candidates_per_cpu_s": round(rate, 2)}), flush=True)
    return rate, scores


def main() -> None:
    texts = instructions(ROWS + 1000)
    rows, candidates = texts[:ROWS], texts[ROWS:]
    rate, scores = measure(synth_assets, rows, candidates)
    for peer, n in ((rapidfuzz, 200), (rouge_score, 1)):
        if find_spec(peer.__name__):
            _, others = measure(peer, rows, candidates[:n])
            assert all(abs(a - b) < 1e-12 for a, b in zip(scores, others, strict=False)), peer.__name__
    sys.exit(int(rate < WANTED))


if __name__ == "__main__":
    main()
