"""Tools of a step: deterministic functions on the text of one row, without a model.

A row that a function cannot work on raises ValueError, which makes the row a rejected one; what a recipe says
wrongly is a UserError.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from synth_assets.arithmetic import calculate, normalise, number
from synth_assets.errors import UserError, unknown

NUMBER = re.compile(r"(?:(?<![\w)])-)?\$?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+|(?=\.\d))(?:\.\d+)?")
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
ENTITIES = re.compile(
    r"(?P<date>\b\d{4}-\d{2}-\d{2}\b"
    rf"|\b(?:\d{{1,2}} )?(?:{MONTHS}) (?:\d{{1,2}}, )?\d{{4}}\b)"
    r"|(?P<number>(?<![\w.])[-$€£]{0,2}(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?%?(?![\w]))"
    r"|(?P<name>\b[A-Z][\w'’-]*(?: (?:of |de |van |von |the )?[A-Z][\w'’-]*)*)"
)


class Entity(NamedTuple):
    kind: str  # name, number, date
    text: str
    start: int  # characters from the start of the text


def final_answer(text: str) -> str | None:
    """The answer of a worked solution: what follows the last `####`, or `A:` that starts a line; else the
    last number; None where there is neither. A number is given without `,`, `$` and zeros after the point.
    """
    marked = re.findall(r"(?:####|^A:)[ \t]*(.*)$", text, flags=re.MULTILINE)
    if marked:
        return number(marked[-1].strip()) or None
    numbers = NUMBER.findall(text)
    return number(numbers[-1]) if numbers else None


def vote(results: Sequence[str | None], at_least: int = 1) -> list[int]:
    """Places of the candidates in the largest group of equal results (self-consistency, Wang 2022; execution
    agreement, SymGen). None is no result and votes for nothing; of equal groups the one that came first wins;
    [] where no group has `at_least` members.
    """
    groups: dict[str, list[int]] = {}
    for place, result in enumerate(results):
        if result is not None:
            groups.setdefault(result, []).append(place)
    largest = max(groups.values(), key=len, default=[])
    return largest if len(largest) >= at_least else []


def pattern_entities(text: str) -> list[Entity]:
    """Runs of capitalised words, numbers and dates, in their order: patterns for English, no model.

    A capitalised first word of a sentence counts as a name: this finds candidates, not named entities.
    """
    return [Entity(m.lastgroup or "", m.group(), m.start()) for m in ENTITIES.finditer(text)]


def own_function(path: str) -> Callable[..., Any]:
    """The user's function `package.module:function`. It runs in this process, as trusted as the recipe."""
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise UserError(f"function {path!r}: write it as package.module:function.")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(
            f"function {path!r}: {module_name} cannot be imported ({type(error).__name__}: {error})."
            " Install it, or put its folder on PYTHONPATH."
        ) from error
    found = getattr(module, name, None)
    if found is None:
        known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise unknown("function", name, known, path)
    if not callable(found):
        raise UserError(f"function {path!r}: {name} is a {type(found).__name__}, not a function.")
    return found


def _calculate(text: str) -> str:
    return f"{calculate(text):.15g}"


def _final_answer(text: str) -> str:
    answer = final_answer(text)
    if answer is None:
        raise ValueError("no final answer: neither ####, nor A:, nor a number")
    return answer


def _entities(text: str) -> str:
    return json.dumps([entity._asdict() for entity in pattern_entities(text)], ensure_ascii=False)


# the tools that are functions of a text
OF_A_TEXT: Mapping[str, Callable[[str], str]] = {
    "calculate": _calculate,
    "compose": str.strip,
    "entities": _entities,
    "final_answer": _final_answer,
    "normalise": normalise,
}
