"""What people are asked about a row: its label, several, spans, how good it is, or which of two is better."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from synth_assets.recipe.recipe import Recipe

# One press each, in this order; letters that mean something else on the page are left out.
KEYS = "1234567890abcdghijklopqrtvwxyz"
SPANS = 1000  # of a text, at the most
RATINGS = {  # the four levels of Self-Instruct (Wang et al. 2023), the best first
    "4": ("good", "right, and all that was asked for"),
    "3": ("acceptable", "with small mistakes"),
    "2": ("poor", "to the point, but with big mistakes"),
    "1": ("wrong", "beside the point, or of no use"),
}
SIDES = {"first": "first", "second": "second", "tie": "equal"}


class Choice(NamedTuple):
    """One of the answers; `key` is empty where there are more answers than keys."""

    value: str
    key: str
    name: str
    meaning: str = ""


@dataclass(frozen=True)
class Asked:
    """The question, its kind as decisions have it, and the answers to choose from."""

    kind: str
    question: str
    choices: Sequence[Choice]

    def read(self, values: Sequence[str], text: str) -> Any:
        """What a form says, as a decision has it. ValueError says what is wrong with it."""
        if self.kind == "labels":
            known = {choice.value for choice in self.choices}
            if other := [value for value in values if value not in known]:
                raise ValueError(f"{other[0][:60]!r} is none of the labels")
            return [choice.value for choice in self.choices if choice.value in values]
        if self.kind == "spans":
            return self._spans(values, len(text))
        if len(values) != 1 or values[0] not in {choice.value for choice in self.choices}:
            raise ValueError("choose one of the answers")
        return int(values[0]) if self.kind == "rating" else values[0]

    def _spans(self, values: Sequence[str], length: int) -> list[list[Any]]:
        """[start, end, kind] in characters of the text, in order."""
        kinds = {choice.value for choice in self.choices}
        try:
            found = sorted((int(start), int(end), str(kind)) for start, end, kind in json.loads(values[0]))
        except (ValueError, TypeError, IndexError, RecursionError):
            raise ValueError("the spans cannot be read: mark them again") from None
        ends = [0, *(end for _, end, _ in found)]
        fits = all(at <= start < end <= length for at, (start, end, _) in zip(ends, found, strict=False))
        if not fits or len(found) > SPANS or not {kind for *_, kind in found} <= kinds:
            raise ValueError("a span is outside of the text, over another one or of no kind: mark it again")
        return [list(span) for span in found]

    def said(self, value: Any) -> str:
        """An answer, for people."""
        if self.kind == "spans":
            return f"{len(value)} spans" if len(value) != 1 else "1 span"
        if self.kind == "labels":
            return ", ".join(value) or "none of them"
        return SIDES.get(value, str(value)) if self.kind == "choice" else str(value)


def asked(recipe: Recipe) -> Asked:
    """What the recipe's section `review` asks."""
    assert recipe.review is not None
    task, ask = recipe.task, recipe.review.ask
    if ask == "rating":
        rated = [Choice(level, level, *words) for level, words in RATINGS.items()]
        return Asked("rating", f"How good is this {task.text}?", rated)
    if ask == "pair":
        sides = [Choice(side, key, words) for (side, words), key in zip(SIDES.items(), "123", strict=True)]
        return Asked("choice", f"Which {task.text} is better?", sides)
    target = task.predict
    if target is None:
        return Asked("label", f"Which {task.label} has this {task.text}?", _choices(task.definitions))
    questions = {
        "labels": f"Which of these hold for this {task.text}?",
        "spans": "Mark what stands in the text.",
    }
    return Asked(target.word, questions[target.word], _choices(target.definitions))


def _choices(meanings: Mapping[str, str]) -> list[Choice]:
    keys = [*KEYS, *[""] * len(meanings)]
    return [
        Choice(name, key, name, "" if meaning == name else meaning)
        for (name, meaning), key in zip(meanings.items(), keys, strict=False)
    ]
