"""Rows that a step is not asked for, since its `when` is not true of them: they stay, and cost nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from types import SimpleNamespace
from typing import Any

from synth_assets.contracts.step import SKIPPED, StepBase, Work
from synth_assets.core import templates
from synth_assets.core.errors import UserError


@dataclass
class Decided:
    """What a step's `when` says of rows."""

    gone: dict[str, dict[str, Any]] = field(default_factory=dict)  # row id -> what is carried on, unasked
    skipped: set[str] = field(default_factory=set)  # of them, those that stay
    unsure: set[str] = field(default_factory=set)  # of a plan: it rests on an answer that is not there yet


def decided(step: StepBase, work: Work, stage: str, foreseen: Mapping[str, set[str]]) -> Decided:
    """Which rows are asked. Where the expression fails on an answer, the row alone is rejected (`undecided`);
    where it names no answer, its mistake is the recipe's: a UserError. `foreseen`: step -> rows of a plan
    whose answer is not known."""
    assert step.when is not None
    expression, found = templates.expression(step.when, "when"), Decided()
    answers = templates.names_in(step.when) & set(work.said)
    for fields in work.fields():
        row = fields["row_id"]
        if any(row in foreseen.get(name, ()) for name in answers):
            found.unsure.add(row)
            continue
        try:
            asked = bool(expression(fields))
        except Exception as error:  # an expression is a program: 1 / rating may divide by zero
            why = _failed(step.when, fields, error)
            if not answers:
                name = work.suffix.removeprefix("/") or "text"
                raise why.of(f"steps.{name}.when") from error
            found.gone[row] = _row(row, stage, reason="undecided", error=str(why))
            continue
        if not asked:
            found.gone[row] = made = _otherwise(step, stage, fields)
            found.skipped |= {row} if made["reason"] == SKIPPED else set()
    return found


def _otherwise(step: StepBase, stage: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A row that is not asked, with the text that it has instead if the step says one."""
    if step.otherwise is None:
        return _row(fields["row_id"], None, reason=SKIPPED)
    name, *parts = step.otherwise.split(".")
    text = reduce(getattr, parts, fields[name])
    if not (text or "").strip():
        return _row(fields["row_id"], stage, reason="empty", error=f"{step.otherwise} has no text here")
    return _row(fields["row_id"], None, text=str(text), reason=SKIPPED)


def _row(row_id: str, stage: str | None, **made: Any) -> dict[str, Any]:
    return {"row_id": row_id, "text": None, "error": None, "stage": stage, **made}


def _failed(rule: str, fields: Mapping[str, Any], error: Exception) -> UserError:
    named = {name: fields.get(name) for name in sorted(templates.names_in(rule))}
    values = ", ".join(f"{name} is {_shown(value)}" for name, value in named.items())
    none = [place for name, value in named.items() for place in _missing(name, value) if place in rule]
    if none:
        fix = f"write `{none[0]} is not none and ({rule})`"
    else:
        fix = "write what can be said of each row: `| int` makes a number of a text, `is defined` tests first"
    return UserError(f"when {rule!r} fails where {values}: {error}. So {fix}.", "wrong_value", fix)


def _missing(name: str, value: Any) -> list[str]:
    """What is None of it: it, or its fields."""
    if isinstance(value, SimpleNamespace):
        return [f"{name}.{part}" for part, of in vars(value).items() if of is None]
    return [name] if value is None else []


def _shown(value: Any) -> str:
    shown = repr(vars(value) if isinstance(value, SimpleNamespace) else value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
