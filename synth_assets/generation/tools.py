"""Tools of a step: deterministic functions on the text of one row, without a model.

A row that a function cannot work on raises ValueError, which makes the row a rejected one; what a recipe says
wrongly is a UserError.
"""

from __future__ import annotations

import ast
import importlib
import math
import operator
import re
import string
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from synth_assets.errors import UserError, unknown

LONGEST_EXPRESSION = 500  # characters
OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda a, b: math.pow(a, b),  # floats: no power fills the memory
}
NUMBER = re.compile(r"(?:(?<![\w)])-)?\$?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+|(?=\.\d))(?:\.\d+)?")
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
ANNOTATION = re.compile(r"<<([^<>]*)=([^<>=]*)>>")
ENTITIES = re.compile(
    r"(?P<date>\b\d{4}-\d{2}-\d{2}\b"
    rf"|\b(?:\d{{1,2}} )?(?:{MONTHS}) (?:\d{{1,2}}, )?\d{{4}}\b)"
    r"|(?P<number>(?<![\w.])[-$€£]{0,2}(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?%?(?![\w]))"
    r"|(?P<name>\b[A-Z][\w'’-]*(?: (?:of |de |van |von |the )?[A-Z][\w'’-]*)*)"
)


class Annotation(NamedTuple):
    """One `<<expression=claimed>>`; `right` is None where it is not arithmetic or no number."""

    expression: str
    claimed: str
    right: bool | None


class Entity(NamedTuple):
    kind: str  # name, number, date
    text: str
    start: int  # characters from the start of the text


def calculate(expression: str) -> float:
    """The value of an arithmetic expression: + - * / // % ** and parentheses, `1,000`, `$5`, `20%`, × and ÷.

    `%` before an operand is the remainder, elsewhere per cent. Raises ValueError for anything else, and for
    a division by zero or a number that is too large.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise ValueError(f"an expression of more than {LONGEST_EXPRESSION} characters")
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", expression).replace("$", "").strip()
    text = text.translate(str.maketrans("×÷−", "*/-"))
    text = re.sub(r"%(?!\s*[\d(.])", "/100", re.sub(r"([\d.]+)\s*%(?!\s*[\d(.])", r"(\1/100)", text))
    text = re.sub(r"(?<![\d.])0+(?=\d)", "", text)
    try:
        value = float(_value(ast.parse(text, mode="eval").body))
    except (SyntaxError, ArithmeticError, RecursionError, MemoryError, ValueError) as error:
        raise ValueError(f"{expression!r} cannot be calculated: {error}") from None
    if not math.isfinite(value):
        raise ValueError(f"{expression!r} cannot be calculated: not a finite number")
    return value


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(left), _value(right))
    raise ValueError(f"{type(node).__name__} is no arithmetic")


def check_annotations(text: str) -> list[Annotation]:
    """GSM8K's calculator annotations `<<48/2=24>>` of a solution, each calculated again (Cobbe 2021).

    A claim is right when it is the value, or the value rounded to the places that the claim has.
    """
    return [Annotation(e, c, _right(e, c)) for e, c in ANNOTATION.findall(text)]


def _right(expression: str, claimed: str) -> bool | None:
    try:
        value, claim = calculate(expression), float(_number(claimed.strip()))
    except ValueError:
        return None
    places = len(claimed.strip().rpartition(".")[2]) if "." in claimed else 0
    return math.isclose(value, claim, rel_tol=1e-9, abs_tol=1e-9) or (
        places > 0 and abs(value - claim) <= 0.5 * 10**-places + 1e-12
    )


def final_answer(text: str) -> str | None:
    """The answer of a worked solution: what follows the last `####`, or `A:` that starts a line; else the
    last number; None where there is neither. A number is given without `,`, `$` and zeros after the point.
    """
    marked = re.findall(r"(?:####|^A:)[ \t]*(.*)$", text, flags=re.MULTILINE)
    if marked:
        return _number(marked[-1].strip()) or None
    numbers = NUMBER.findall(text)
    return _number(numbers[-1]) if numbers else None


def _number(text: str) -> str:
    """`text`, in one spelling if it is a number."""
    plain = re.sub(r"[,$\s]", "", text).rstrip(".")
    if not re.fullmatch(r"-?(\d+\.?\d*|\.\d+)", plain):
        return text
    return re.sub(r"(\.\d*?)0+$", r"\1", plain).rstrip(".") if "." in plain else plain


def normalise(text: str) -> str:
    """SQuAD's normal form of an answer: lower case, no punctuation, no articles, single spaces."""
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


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
