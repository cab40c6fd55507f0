"""Tools of a step: deterministic functions on the text of one row, without a model.

A row that a function cannot work on raises ValueError, which makes the row a rejected one; what a recipe says
wrongly is a UserError.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from synth_assets.core.errors import UserError, unknown
from synth_assets.core.text.arithmetic import calculate, final_answer, normalise
from synth_assets.core.text.entities import pattern_entities


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
