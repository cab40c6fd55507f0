"""How well a task is done, by the task's own metric: spans, sets, answers, code, tables and texts.

Each takes what was found and what is right, row by row, and gives one value with its interval over rows. A
row without a right answer or reference is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import zip_longest
from math import exp, prod
from typing import Any

import numpy as np
import pandas as pd

from synth_assets.contracts.measure import Passes, row
from synth_assets.contracts.measured import Measured, proportion, unknown
from synth_assets.core.text.arithmetic import final_answer, normalise
from synth_assets.core.text.rouge import f1
from synth_assets.core.text.words import parted
from synth_assets.evaluation.faithfulness import agreement, by_order
from synth_assets.evaluation.metric_rows import table
from synth_assets.evaluation.privacy import auc as area_under_curve
from synth_assets.evaluation.resampling import bootstrap, bootstrap_mean, ratio
from synth_assets.recipe.measuring import PASSES

NO_REFERENCE = "no row has a right answer"
Metric = Callable[[Sequence[str], Sequence[Sequence[str]]], Measured]  # of answers, and what is right
Span = tuple[str, int, int]  # type, first token, token after the last one
CODE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)


def set_f1(found: Sequence[Iterable[Hashable]], gold: Sequence[Iterable[Hashable]]) -> Measured:
    """Micro-averaged F1 of sets: twice the members that both have over the members of both, rows together.
    For triples, and whatever else is right as a whole or not at all."""
    parts = []
    for some, right in zip(map(set, found), map(set, gold), strict=True):
        parts.append((2 * len(some & right), len(some) + len(right)))
    return ratio(parts, "nothing was found, and nothing is there to find")


def spans(tags: Sequence[str]) -> set[Span]:
    """Spans of a sentence's BIO tags. As in CoNLL's script an `I-` that goes on with nothing begins one."""
    found: set[Span] = set()
    start, kind = -1, ""
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, now = tag.partition("-")
        if start >= 0 and (prefix != "I" or now != kind):
            found.add((kind, start, i))
            start = -1
        if prefix in ("B", "I") and start < 0:
            start, kind = i, now
    return found


def span_f1(found: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> Measured:
    """F1 of the named entities of tagged sentences: a span is right if its type and both its ends are."""
    return set_f1(list(map(spans, found)), list(map(spans, gold)))


def exact_match(answers: Sequence[str], gold: Sequence[Sequence[str]]) -> Measured:
    """Share of answers that are one of their right answers in SQuAD's normal form (Rajpurkar et al. 2016)."""
    rows = zip(answers, gold, strict=True)
    hits = [normalise(answer) in map(normalise, right) if right else None for answer, right in rows]
    return proportion(hits, NO_REFERENCE)


def token_f1(answers: Sequence[str], gold: Sequence[Sequence[str]]) -> Measured:
    """Mean over rows of the best F1 of an answer's words to a right answer's (Rajpurkar et al. 2016)."""
    return _best(_overlap, answers, gold)


def _best(
    score: Callable[[str, str], float], texts: Sequence[str], gold: Sequence[Sequence[str]]
) -> Measured:
    rows = zip(texts, gold, strict=True)
    best = [max((score(text, right) for right in rights), default=None) for text, rights in rows]
    return bootstrap_mean(best, NO_REFERENCE)


def _overlap(answer: str, right: str) -> float:
    one, other = parted(normalise(answer)).split(), parted(normalise(right)).split()
    if not one or not other:
        return float(one == other)
    return 2 * (Counter(one) & Counter(other)).total() / (len(one) + len(other))


def solve_rate(solutions: Sequence[str], gold: Sequence[str]) -> Measured:
    """Share of worked solutions whose final answer is that of the right one (GSM8K, Cobbe et al. 2021).

    A solution without an answer is wrong; a right one without an answer is unknown.
    """
    rows = [(final_answer(s), final_answer(g)) for s, g in zip(solutions, gold, strict=True)]
    hits = [None if right is None else answer == right for answer, right in rows]
    return proportion(hits, "no right solution has an answer")


def pass_at_k(counts: Sequence[tuple[int, int]], k: int) -> Measured:
    """pass@k of problems, each (n programs, c that pass): the unbiased estimate (Chen et al. 2021).

    A problem of fewer than k programs is unknown. The product is 1 - C(n - c, k) / C(n, k), which overflows.
    """
    chances = [
        None if n < k else 1 - prod(max(0.0, 1 - k / i) for i in range(n - c + 1, n + 1)) for n, c in counts
    ]
    return bootstrap_mean(chances, f"no problem has {k} programs")


def auc(scores: Sequence[float], positive: Sequence[bool]) -> Measured:
    """Area under the ROC curve: how often a positive row's score is above a negative one's, ties one half.

    A row is left out whose score or class is missing: None, or a score that is no number.
    """
    known = [(s, y) for s, y in zip(scores, positive, strict=True) if not (s is None or s != s or y is None)]
    numbers, yes = np.array([s for s, _ in known], dtype=float), np.array([y for _, y in known], dtype=bool)
    if not yes.any() or yes.all():
        return unknown("rows are not of two classes", len(yes))
    return area_under_curve(numbers[yes], numbers[~yes])


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Measured:
    """BLEU of the set (Papineni et al. 2002), by sacrebleu: from 0 to 100; one or more references a row."""
    return _sacrebleu("BLEU", texts, references)


def chrf(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Measured:
    """chrF2 of the set: n-grams of characters (Popović 2015), by sacrebleu: from 0 to 100."""
    return _sacrebleu("CHRF", texts, references)


def _sacrebleu(name: str, texts: Sequence[str], references: Sequence[Sequence[str]]) -> Measured:
    rows = [(text, right) for text, right in zip(texts, references, strict=True) if right]
    if not rows:
        return unknown(NO_REFERENCE, len(texts))
    import sacrebleu

    metric = getattr(sacrebleu, name)()
    streams = list(zip_longest(*(right for _, right in rows)))
    counted = metric._extract_corpus_statistics([text for text, _ in rows], streams)

    def statistic(cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return np.array([float(metric._compute_score_from_stats(list(s)).score) for s in counts @ cells])

    # its own intervals fail where a resample has no n-gram in common (a mean of Python's and numpy's floats)
    return bootstrap(counted, statistic)


def rouge_l(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Measured:
    """Mean over rows of the best ROUGE-L F1 to a reference (Lin 2004), in [0, 1]; words as in `rouge_score`
    without its stemmer, of other scripts than Latin all words."""
    return _best(f1, texts, references)


def multiple_choice(true: Sequence[Sequence[float]], false: Sequence[Sequence[float]]) -> dict[str, Measured]:
    """`mc1` and `mc2` from the log-probabilities of each question's true and false options (TruthfulQA, Lin
    et al. 2022); the first true one is the best answer.

    mc1: share of questions whose best answer is likelier than every false one; mc2: mean share of the true
    options in the probability of all. A question that lacks either kind is unknown.
    """
    best: list[bool | None] = []
    mass: list[float | None] = []
    for right, wrong in zip(true, false, strict=True):
        known = len(right) > 0 and len(wrong) > 0 and all(p == p for p in (*right, *wrong))
        best.append(right[0] > max(wrong) if known else None)
        mass.append(_share(right, wrong) if known else None)
    why = "no question has true and false options"
    return {"mc1": proportion(best, why), "mc2": bootstrap_mean(mass, why)}


def _share(right: Sequence[float], wrong: Sequence[float]) -> float:
    top = max(*right, *wrong)  # an underflow of all of them would be 0 / 0
    yes, no = (sum(exp(p - top) for p in options) for options in (right, wrong))
    return yes / (yes + no)


def _first(metric: Callable[[Sequence[str], Sequence[str]], Measured]) -> Metric:
    return lambda answers, gold: metric(answers, [right[0] if right else "" for right in gold])


def _members_f1(answers: Sequence[str], gold: Sequence[Sequence[str]]) -> Measured:
    return set_f1([_plain(members(answer)) for answer in answers], [_plain(right) for right in gold])


def _plain(texts: Iterable[str]) -> set[str]:
    return {" ".join(text.lower().split()) for text in texts}


def members(text: str) -> list[str]:
    """What a text lists, divided by line ends, semicolons or commas: spans, triples, values."""
    return [part for part in map(str.strip, re.split("[\n;,]", text)) if part]


BY_NAME: Mapping[str, Metric] = {  # what takes a text a row, and what is right of it
    "exact_match": exact_match,
    "token_f1": token_f1,
    "solve_rate": _first(solve_rate),
    "set_f1": _members_f1,
    "bleu": bleu,
    "chrf": chrf,
    "rouge_l": rouge_l,
}


def right(by: str, value: Any) -> list[str] | None:
    """The right answers of a row, or the members of its set, as its column has them; None if it has none."""
    if _missing(value):
        return None
    if _is_list(value):
        return [str(one) for one in value]
    return members(str(value)) if by == "set_f1" else [str(value)]


def score(by: str, answers: Sequence[str | None], gold: Sequence[Sequence[str] | None]) -> Measured:
    """The metric `by` of the answers. A row that lacks its answer, or what is right, is left out."""
    known = [(a, g) for a, g in zip(answers, gold, strict=True) if a is not None and g is not None]
    return BY_NAME[by]([a for a, _ in known], [g for _, g in known])


def _passes(
    answers: Sequence[str | None], gold: Sequence[Sequence[str] | None], run: Passes
) -> list[float | None]:
    """1 for a program that passes its tests, 0 for another, None where there is no answer or no test."""
    known = [i for i, (a, g) in enumerate(zip(answers, gold, strict=True)) if a is not None and g]
    passed = run([program(str(answers[i]), gold[i] or ()) for i in known])
    found = dict(zip(known, map(float, passed), strict=True))
    return [found.get(i) for i in range(len(answers))]


def program(answer: str, tests: Sequence[str]) -> str:
    """The code of an answer, of a fenced block where it has one, and the tests after it. A line between keeps
    an answer that breaks off (in `else: \\`, or a decorator) from taking the first test with it."""
    fenced = CODE.search(answer)
    return "\n".join([fenced[1] if fenced else answer, "pass", *tests])


def taught(
    by: str,
    answers: Mapping[str, Sequence[str | None]],
    gold: Sequence[Sequence[str] | None],
    run: Passes,
    against: str = "seeds",
) -> pd.DataFrame:
    """Metric rows of what the model answered with rows of each set, and its mean gain, row by row, over what
    it answered with rows of the set `against`."""
    found, each = [], {}
    for name, said in answers.items():
        if by == PASSES:
            each[name] = _passes(said, gold, run)
            whole = proportion([None if v is None else v == 1 for v in each[name]], NO_REFERENCE)
        else:
            each[name] = [score(by, [a], [g]).value for a, g in zip(said, gold, strict=True)]
            whole = score(by, said, gold)
        found.append(row(f"in_context_{by}", name, whole))
    base = each.pop(against, None)
    for name, values in each.items() if base else ():
        pairs = zip(values, base or (), strict=True)
        gains = [None if a is None or b is None else a - b for a, b in pairs]
        found.append(row("in_context_gain", name, bootstrap_mean(gains, "no row was answered with both")))
    return table(found)


def truth(
    by: str, set_: str, column: str, rows: pd.DataFrame, is_: str, order: Sequence[str] = ()
) -> pd.DataFrame:
    """Metric rows of a column against the column of what is right (faithfulness with ground truth, Zhu et al.
    2023). `by: label` compares labels: accuracy, macro-F1 and Cohen's kappa; and how far they are off where
    they have an order."""
    slice_ = f"{column} of {set_}"
    if by == "label":
        told = [[None if _missing(v) else _text(v) for v in rows[c]] for c in (column, is_)]
        measured = agreement(*told) | by_order(told[0], told[1], order)
        return table(row(f"truth_{name}", slice_, found) for name, found in measured.items())
    answers = [None if _missing(answer) else _text(answer) for answer in rows[column]]
    return table([row(f"truth_{by}", slice_, score(by, answers, [right(by, v) for v in rows[is_]]))])


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _is_list(value: Any) -> bool:
    """Whether it has members: pandas has the lists of a column as arrays."""
    return hasattr(value, "__iter__") and not isinstance(value, str)


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if _is_list(value) else str(value)
