"""The language model as a few-shot classifier: one token an answer, read as log-probabilities.

A label's score is the log-probability mass of the tokens that can only begin its verbalizer
(GPT3Mix, Yoo et al. 2021, reads its soft labels in the same way).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import exp, log
from typing import TYPE_CHECKING

from synth_assets.core.text.pairs import parted
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import Answer, Completes, LabelLogprobs, Message
    from synth_assets.recipe.sections import Task

SHOWN = 40  # characters of an answer in a message
ALTERNATIVES = 20  # what chat endpoints give at most
SAMPLING = {"temperature": 0.0, "max_tokens": 1, "logprobs": ALTERNATIVES}


NO_TOKEN = "the log-probabilities hold no label, though the answer is one"
NO_LABEL = "the answer is no label"
NO_ANSWER = "the call has no answer"
FIXES = {
    NO_TOKEN: "Write `parameters: {logprobs: null}` into its entry in models.yaml: answers then are votes",
    NO_LABEL: "Let it say more (`annotator: {max_tokens: 20}`), write verbalizers that it answers with, or "
    "take another annotator",
    NO_ANSWER: "`synth sql --query failed_calls` has the reasons",
}


def demonstrations(seeds: pd.DataFrame, k: int, seed: int = 0) -> pd.DataFrame:
    """`k` rows of the demonstration split, the labels taking turns; fewer when there are fewer."""
    pool = seeds[seeds["split"] == "demonstration"].set_index("row_id", drop=False)
    by_label = [ranked(group["row_id"], seed, "annotator") for _, group in pool.groupby("label")]
    turns = [ids[i] for i in range(max(map(len, by_label), default=0)) for ids in by_label if i < len(ids)]
    return pool.loc[turns[:k]]


def label_logprobs(
    texts: Sequence[str],
    shown: pd.DataFrame | Sequence[pd.DataFrame],
    task: Task,
    model: Completes,
    max_tokens: int = 1,
    unread: list[Answer] | None = None,
) -> list[LabelLogprobs | None]:
    """Log-probability of each label's verbalizer after each text; None where no label can be read.

    `shown` are the demonstrations of all texts, or a table of them for each text. `max_tokens` of an answer:
    of the first token behind a model's thoughts the log-probabilities are read. Answers in which no label can
    be read are added to `unread`. Of pairs, texts have both (core/text/pairs.py).
    """
    words = task.verbalizers()
    each = shown if isinstance(shown, list) else [shown] * len(texts)
    prompts = (messages_of(text, task, rows, model.api) for text, rows in zip(texts, each, strict=True))
    sampling = {**SAMPLING, "max_tokens": max_tokens}
    found = []
    for answer in model.complete(prompts, sampling, ["annotate"] * len(texts)):
        found.append(read(answer, words))
        if found[-1] is None and unread is not None:
            unread.append(answer)
    return found


def why_unread(answers: Sequence[Answer], words: Mapping[str, str]) -> str:
    """The commonest reason why no label can be read in these answers, with its number, and what helps."""
    reasons = Counter(_why(answer, words) for answer in answers)
    if not reasons:
        return ""
    reason, count = reasons.most_common(1)[0]
    first = next(answer for answer in answers if _why(answer, words) == reason)
    said = " ".join((first.text or first.outcome).split())
    example = said if len(said) <= SHOWN else f"{said[: SHOWN - 1]}…"
    return f"{reason} ({count} of {len(answers)}, as {example!r}). {FIXES[reason]}"


def _why(answer: Answer, words: Mapping[str, str]) -> str:
    if answer.outcome not in ("ok", "truncated"):
        return NO_ANSWER
    return NO_TOKEN if answer.logprobs and label_in(answer.text or "", words) else NO_LABEL


def messages_of(text: str, task: Task, shown: pd.DataFrame, api: str) -> list[Message]:
    """What is asked about a text, behind the rows that are shown."""
    words = task.verbalizers()
    kind, label = task.text.capitalize(), task.label.capitalize()
    head = f"Each {task.text} below is followed by its {task.label}: {' or '.join(words.values())}."
    lines = [f"{kind}: {_both(r.text, task)}\n{label}: {words[r.label]}\n" for r in shown.itertuples()]
    lines.append(f"{kind}: {_both(text, task)}\n{label}:")
    user = {"role": "user", "content": "\n".join([head, "", *lines])}
    if api == "completions":
        return [user]
    return [{"role": "system", "content": f"Answer with one word: {' or '.join(words.values())}."}, user]


def _both(text: str, task: Task) -> str:
    """A text; of a pair the other one under it, with its name."""
    first, second = parted(text)
    return f"{first}\n{task.pair.capitalize()}: {second}" if task.pair else text


def read(answer: Answer, words: Mapping[str, str]) -> LabelLogprobs | None:
    """Label -> log-probability from one answer of one token; None when the answer names no label.

    A label that is not among the alternatives gets the smallest log-probability of the list, which is
    the most that it can have. Without alternatives the answered word counts as certain (a hard vote).
    """
    if answer.outcome not in ("ok", "truncated"):
        return None
    top = answer.logprobs[0].top if answer.logprobs else {}
    if not top:
        voted = label_in(answer.text or "", words)
        return None if voted is None else {y: 0.0 if y == voted else -20.0 for y in words}
    mass: dict[str, float] = {}
    for token, logprob in top.items():
        label = _label(token, words)
        if label is not None:
            mass[label] = mass.get(label, 0.0) + exp(logprob)
    if not mass:
        return None
    least = min(top.values())
    return {y: log(mass[y]) if y in mass else least for y in words}


def label_in(text: str, words: Mapping[str, str]) -> str | None:
    """The label that an answer begins with, or the only one that it names: "**Negative**", "Intent: lost"."""
    said, named = f" {_plain(text)} ", []
    for label, word in words.items():
        name = _plain(word)
        if name and f" {name} " in said and f" not {name} " not in said:
            named.append(label)
    return _label(text, words) or (named[0] if len(named) == 1 else None)


def _plain(text: str) -> str:
    """Small letters, and a blank for all that is neither a letter nor a digit."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def _label(token: str, words: Mapping[str, str]) -> str | None:
    """The one label whose verbalizer begins with the token (or the token with it); None if not one."""
    start = token.strip().lstrip("▁Ġ").casefold()  # signs of a blank, which some servers leave
    folded = {label: word.casefold() for label, word in words.items()}
    begun = [y for y, word in folded.items() if word.startswith(start) or start.startswith(word)]
    return begun[0] if start and len(begun) == 1 else None
