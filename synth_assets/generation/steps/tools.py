"""Tools that are functions of the text of one row, without a model: each public function here is one.

A row that a function cannot work on raises ValueError, which makes the row a rejected one.
"""

from __future__ import annotations

import json

from synth_assets.core.text import arithmetic, marks
from synth_assets.core.text.entities import pattern_entities


def calculate(text: str) -> str:
    """The value of an expression."""
    return f"{arithmetic.calculate(text):.15g}"


def compose(text: str) -> str:
    """The text as it is."""
    return text.strip()


def final_answer(text: str) -> str:
    """The answer at the end of a solution."""
    answer = arithmetic.final_answer(text)
    if answer is None:
        raise ValueError("no final answer: neither ####, nor A:, nor a number")
    return answer


def entities(text: str) -> str:
    """JSON: what patterns find in the text."""
    return json.dumps([entity._asdict() for entity in pattern_entities(text)], ensure_ascii=False)


def unmark(text: str) -> str:
    """The text without the marks of its spans, as in `<person>Ann</person> sings.`"""
    return marks.unmarked(text)[0]


def normalise(text: str) -> str:
    """The text as answers are compared (lower case, without articles and punctuation)."""
    return arithmetic.normalise(text)
