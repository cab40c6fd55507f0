"""A language model as a judge: which of two answers is better, and how good one answer is.

A judge is its prompt and its model: either changed, it is another one, and `version` says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from synth_assets.contracts.measured import Measured
from synth_assets.core.identity import tagged_hash
from synth_assets.core.text.ratings import rating
from synth_assets.evaluation.faithfulness import agreement, ppi_mean
from synth_assets.evaluation.preference import both_orders, by_score
from synth_assets.evaluation.resampling import bootstrap_mean

if TYPE_CHECKING:
    from synth_assets.core.asking import Answer, Completes, Message

SAMPLING = {"temperature": 0.0, "max_tokens": 512}
SCORES = re.compile(r"\(?(\d+(?:\.\d+)?)(?:\s*,\s*|\s+)(\d+(?:\.\d+)?)\)?")
PAIR = """\
[Question]
{question}

[The Start of Assistant 1's Answer]
{first}
[The End of Assistant 1's Answer]

[The Start of Assistant 2's Answer]
{second}
[The End of Assistant 2's Answer]

Rate the helpfulness, relevance, accuracy and level of detail of the two answers to the question above, each
on a scale of 1 to 10, where a higher score is better. First write one line that holds only the two scores,
for Assistant 1 and for Assistant 2, separated by a space. Then explain them. The order in which the answers
stand must not affect your judgment."""
RUBRIC = """\
[Question]
{question}

[Answer]
{answer}

Rate the accuracy of the answer to the question above on a scale of {low:g} to {high:g}, where a higher score
is better. First write one line that holds only the score. Then explain it."""


class Pair(NamedTuple):
    """A question and the answers of two systems."""

    question: str
    first: str
    second: str


class Verdict(NamedTuple):
    """What a judge that saw a pair in both orders says; None where an answer of it cannot be read."""

    forward: float | None  # about the first system, shown first
    swapped: float | None  # about the second system, shown first
    margin: float | None  # the first system's score less the second's, mean of both orders

    @property
    def verdict(self) -> float | None:
        """About the first system; orders that contradict each other are a tie."""
        return both_orders(self.forward, self.swapped)

    @property
    def confidence(self) -> float | None:
        """Points between the systems, 0 where the orders contradict each other."""
        if self.forward is None or self.swapped is None or self.margin is None:
            return None
        return abs(self.margin) if self.forward == 1 - self.swapped else 0.0


def version(prompt: str, model: str) -> str:
    """Identity of a judge: verdicts of two versions are not of one judge."""
    return tagged_hash("judge/1", {"prompt": prompt, "model": model})


def judge_pairs(pairs: Sequence[Pair], model: Completes, prompt: str = PAIR) -> list[Verdict]:
    """A verdict a pair; two calls each, one an order (Vicuna's judge, Chiang et al. 2023).

    `prompt` is a format string with `{question}`, `{first}` and `{second}`.
    """
    shown = [shown for p in pairs for shown in (p, Pair(p.question, p.second, p.first))]
    said = ask([prompt.format(**pair._asdict()) for pair in shown], model, "judge pair")
    scores = [None if text is None else read_pair(text) for text in said]
    return [_verdict(*both) for both in zip(scores[::2], scores[1::2], strict=True)]


def reliability(judge: Sequence[float | None], people: Sequence[float | None]) -> dict[str, Measured]:
    """Of verdicts on the same pairs, None where there is none: how often the judge says what people say
    (`accuracy`, and `kappa`), and the `win_rate` of all pairs, the judge's, corrected by the people's
    (prediction-powered inference, Angelopoulos et al. 2023). The pairs of people are a random sample."""
    known = [(j, p) for j, p in zip(judge, people, strict=True) if j is not None]
    both = [(j, p) for j, p in known if p is not None]
    rest = [j for j, p in known if p is None]
    found = agreement([j for j, _ in both], [p for _, p in both])
    said = [p for _, p in both]
    rate = ppi_mean(said, [j for j, _ in both], rest, least=0, most=1) if rest else bootstrap_mean(said)
    return {"accuracy": found["accuracy"], "kappa": found["kappa"], "win_rate": rate}


def rate(
    answers: Sequence[tuple[str, str]],
    model: Completes,
    rubric: str = RUBRIC,
    low: float = 0,
    high: float = 5,
) -> list[float | None]:
    """The rating of each (question, answer), from `low` to `high` (AlpaGasus, Chen et al. 2023); None where
    there is none to read. `rubric` is a format string with `{question}`, `{answer}`, `{low}` and `{high}`."""
    prompts = [rubric.format(question=q, answer=a, low=low, high=high) for q, a in answers]
    said = ask(prompts, model, "judge rating")
    return [None if text is None else rating(text, low, high) for text in said]


def read_pair(text: str) -> tuple[float, float] | None:
    """The two scores on the first line, `8 9`, `8, 9` or `(8, 9)`; None if it holds anything else."""
    found = SCORES.fullmatch(text.strip().partition("\n")[0].strip())
    return (float(found[1]), float(found[2])) if found else None


def ask(prompts: Sequence[str], model: Completes, replicate: str) -> list[str | None]:
    """What a model says to each prompt; None where it gives no answer."""
    messages: list[list[Message]] = [[{"role": "user", "content": prompt}] for prompt in prompts]
    return [_text(answer) for answer in model.complete(messages, SAMPLING, [replicate] * len(messages))]


def _text(answer: Answer) -> str | None:
    """What was said, were it cut: the scores come first."""
    return answer.text if answer.outcome in ("ok", "truncated") else None


def _verdict(forward: tuple[float, float] | None, swapped: tuple[float, float] | None) -> Verdict:
    one = None if forward is None else by_score(*forward)
    other = None if swapped is None else by_score(*swapped)
    if forward is None or swapped is None:
        return Verdict(one, other, None)
    return Verdict(one, other, (forward[0] - forward[1] - swapped[0] + swapped[1]) / 2)
