"""Arithmetic and answers in a text, calculated and compared: pure functions that several stages use."""

from __future__ import annotations

import ast
import math
import operator
import re
import string
from collections.abc import Callable
from typing import Any, NamedTuple

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
ANNOTATION = re.compile(r"<<([^<>]*)=([^<>=]*)>>")
EQUATION = re.compile(  # of two numbers; neither the end nor the start of a longer one
    r"(?<![\w.,)$%+*/×÷=–-])(?<![\dxX)%$+*/×÷=–-] )(\$?\d[\d,]*(?:\.\d+)?\s*[-+*/×÷]\s*\$?\d[\d,]*(?:\.\d+)?)"
    r"\s*=\s*(-?\$?\d+(?:,\d{3})*(?:\.\d+)?)(?![\d%/])(?!\s*[-+*/×÷x])"
)
RATING = r"(-?\d+(?:\.\d+)?)"  # what a judge that was asked for a number has answered
ALONE = re.compile(rf"\W*?{RATING}(?:\s*(?:/|out of)\s*\d+)?\W*")
SCALE = r"(?:\s*[(（][^()（）]*[)）][\s*_]*[:：=])?"  # "(0-5):", before the number
NAMED = re.compile(rf"(?:score|rating|评分|得分|打分)\b{SCALE}[\W_]*?{RATING}", re.IGNORECASE)


class Annotation(NamedTuple):
    """One `<<expression=claimed>>`; `right` is None where it is not arithmetic or no number."""

    expression: str
    claimed: str
    right: bool | None


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


def equations(text: str) -> list[Annotation]:
    """Plain equations of two numbers, `48 / 2 = 24`, each calculated again; what is annotated is left out."""
    return [Annotation(e, c, _right(e, c)) for e, c in EQUATION.findall(ANNOTATION.sub(" ", text))]


def _right(expression: str, claimed: str) -> bool | None:
    try:
        value, claim = calculate(expression), float(number(claimed.strip()))
    except ValueError:
        return None
    places = len(claimed.strip().rpartition(".")[2]) if "." in claimed else 0
    rounded = places > 0 and abs(value - claim) <= 0.5 * 10**-places + 1e-12
    return rounded or math.isclose(value, claim, rel_tol=1e-9, abs_tol=1e-9)


def final_answer(text: str) -> str | None:
    """The answer of a worked solution: what follows the last `####`, or `A:` that starts a line; else the
    last number; None where there is neither. A number is given without `,`, `$` and zeros after the point.
    """
    marked = re.findall(r"(?:####|^A:)[ \t]*(.*)$", text, flags=re.MULTILINE)
    if marked:
        return number(marked[-1].strip()) or None
    numbers = NUMBER.findall(text)
    return number(numbers[-1]) if numbers else None


def number(text: str) -> str:
    """`text`, in one spelling if it is a number."""
    plain = re.sub(r"[,$\s]", "", text).rstrip(".")
    if not re.fullmatch(r"-?(\d+\.?\d*|\.\d+)", plain):
        return text
    return re.sub(r"(\.\d*?)0+$", r"\1", plain).rstrip(".") if "." in plain else plain


def normalise(text: str) -> str:
    """SQuAD's normal form of an answer: lower case, no punctuation, no articles, single spaces."""
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def rating(answer: str, low: float, high: float) -> float | None:
    """The number that stands alone on the first line, else the first one after `score` or `rating`
    (AlpaGasus, Chen et al. 2023); None where there is none, or none from `low` to `high`."""
    first = answer.strip().partition("\n")[0]
    found = ALONE.fullmatch(first) or NAMED.search(answer)
    value = float(found[1]) if found else None
    return value if value is not None and low <= value <= high else None
