"""Condition values that are drawn: words, numbers, days, snippets of files, leaves of a taxonomy.

All randomness is a hash of `parts` (seed, round, cell, row, attribute): the same parts give the same value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, exp, floor, log
from typing import TYPE_CHECKING, Any, NamedTuple

from synth_assets.core.errors import UserError, unknown
from synth_assets.core.identity import tagged_hash
from synth_assets.selection.select import ranked, select_random

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from jinja2.environment import TemplateExpression

DISTRIBUTIONS = ("uniform", "normal", "log_uniform")


class Snippet(NamedTuple):
    text: str
    path: Path
    line: int  # the first one, from 1


@dataclass(frozen=True)
class Leaf:
    """A folder of a taxonomy that holds examples. `path` is relative to the taxonomy, with slashes."""

    path: str
    rows: list[dict[str, str]]


def read_words(path: Path) -> dict[str, list[str]]:
    """Part of speech -> its words, from a CSV file of lines `word,pos`. A repeated word counts once."""
    pool: dict[str, dict[str, None]] = {}
    for line, fields in enumerate(_csv(path), 1):
        cells = [cell.strip() for cell in fields]
        if len(cells) != 2 or not all(cells):
            raise UserError(
                f"{path}:{line}: {','.join(fields)!r} is no word and its part of speech: write word,pos."
            )
        if (line, cells) != (1, ["word", "pos"]):
            pool.setdefault(cells[1], {})[cells[0]] = None
    if not pool:
        raise UserError(f"{path} has no words: write lines of word,pos.")
    return {pos: list(of_it) for pos, of_it in pool.items()}


def words(pool: Mapping[str, Sequence[str]], k: int, *parts: object) -> list[str]:
    """`k` different words of each part of speech (TinyStories, Eldan and Li 2023: one noun, verb, adjective).

    A word that is added to the pool changes only the rows that take it.
    """
    for pos, of_it in pool.items():
        if len(of_it) < k:
            raise UserError(
                f"the vocabulary has {len(of_it)} of {pos!r}, fewer than {k}: add words, or ask for fewer."
            )
    return [word for pos, of_it in pool.items() for word in select_random(of_it, k, *parts, pos)]


def number(
    low: float, high: float, *parts: object, whole: bool = False, distribution: str = "uniform"
) -> float:
    """A number between `low` and `high`, both included; with `whole` an int.

    `normal` has its mean in the middle and a standard deviation of a quarter of the range, and is cut off at
    both ends; `log_uniform` is uniform in the logarithm, and needs `low` above 0.
    """
    if distribution not in DISTRIBUTIONS:
        raise unknown("distribution", distribution, DISTRIBUTIONS)
    least, most = (ceil(low), floor(high)) if whole else (low, high)
    if least > most:
        kind = "whole number" if whole else "number"
        raise UserError(f"no {kind} lies between {low} and {high}: write the smaller one first.")
    if distribution == "log_uniform" and low <= 0:
        raise UserError(f"log_uniform has no numbers from {low} on: begin above 0, or use uniform.")
    share = int(tagged_hash("number/1", parts), 16) / 2**128
    if not whole:
        return _quantile(low, high, share, distribution)
    # each whole number stands for what is rounded to it
    return min(floor(_quantile(least - 0.5, most + 0.5, share, distribution) + 0.5), floor(high))


def _quantile(low: float, high: float, share: float, distribution: str) -> float:
    from statistics import NormalDist

    if distribution == "log_uniform":
        value = exp(log(low) + share * (log(high) - log(low)))
    elif distribution == "normal" and low < high:
        normal = NormalDist((low + high) / 2, (high - low) / 4)
        tail = normal.cdf(low)
        value = normal.inv_cdf(tail + share * (1 - 2 * tail))
    else:
        value = low + share * (high - low)
    return min(high, max(low, value))


def day(first: date, last: date, *parts: object) -> date:
    """A day from `first` to `last`, both included, each as likely."""
    from datetime import timedelta

    if first > last:
        raise UserError(f"no day lies between {first} and {last}: write the earlier one first.")
    return first + timedelta(days=number(0, (last - first).days, *parts, whole=True))


def snippet(files: Iterable[Path], lines: tuple[int, int], *parts: object) -> Snippet:
    """Consecutive lines of one of the files, as many as `lines` says (OSS-Instruct, Wei et al. 2023).

    Files that are not UTF-8 text, or shorter, are passed over. Files are told apart by their paths as given:
    with relative paths the choice is the same on another machine. UserError when none of them has the lines.
    """
    by_name = {path.as_posix(): path for path in files}
    size = int(number(*lines, *parts, "size", whole=True))
    for name in ranked(by_name, *parts):
        found = _lines(by_name[name])
        first = int(number(0, max(0, len(found) - size), *parts, "first", whole=True))
        if len(found) >= size and (text := "\n".join(found[first : first + size])).strip():
            return Snippet(text, by_name[name], first + 1)
    raise UserError(
        f"none of {len(by_name):,} files is a text of {size} lines: add files, or take fewer lines."
    )


def _lines(path: Path) -> list[str]:
    """None of a binary file: Git's rule (a NUL byte), and UTF-8."""
    content = path.read_bytes()
    try:
        return [] if b"\0" in content else content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def taxonomy(folder: Path) -> list[Leaf]:
    """The leaves of a folder tree in the order of their paths (LAB, Sudalairaj et al. 2024).

    A leaf holds qna.yaml (`seed_examples` with question, answer and perhaps context) or .csv and .jsonl files
    with a column `text`. Raises UserError when a file is not like that, or when there is none.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for path in sorted(folder.rglob("*")):
        reader = (
            _qna if path.name == "qna.yaml" else {".csv": _csv_rows, ".jsonl": _jsonl_rows}.get(path.suffix)
        )
        if reader and path.is_file():
            rows.setdefault(path.parent.relative_to(folder).as_posix(), []).extend(reader(path))
    if not rows:
        raise UserError(f"{folder} has no leaf: put a qna.yaml, .csv or .jsonl file into its folders.")
    return [Leaf(path, rows[path]) for path in sorted(rows)]


def _qna(path: Path) -> list[dict[str, str]]:
    from synth_assets.core.strict_yaml import read

    examples = read(path).content.get("seed_examples")
    rows = []
    for example in examples if isinstance(examples, list) else []:
        mapping = example if isinstance(example, dict) else {}
        for pair in mapping.get("questions_and_answers", [mapping]):  # version 3: several of one context
            both = mapping | (pair if isinstance(pair, dict) else {})
            rows.append({k: str(both[k]).strip() for k in ("question", "answer", "context") if both.get(k)})
    if not rows or not all({"question", "answer"} <= set(row) for row in rows):
        raise UserError(f"{path}: seed_examples is not a list of examples with question and answer.")
    return rows


def _csv_rows(path: Path) -> list[dict[str, str]]:
    head, *body = _csv(path) or [[]]
    return _with_text(path, [dict(zip(head, row, strict=False)) for row in body])


def _jsonl_rows(path: Path) -> list[dict[str, str]]:
    import json

    rows = []
    for at, line in enumerate(_text(path).split("\n"), 1):
        try:
            rows += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{at}: not JSON: {error.msg}.") from error
    return _with_text(path, rows)


def _with_text(path: Path, rows: list[Any]) -> list[dict[str, str]]:
    if not rows or not all(isinstance(row, dict) and row.get("text") for row in rows):
        raise UserError(f"{path}: not every row has a text: name the column `text`, and fill it.")
    return [{str(k): str(v) for k, v in row.items() if v is not None} for row in rows]


def _csv(path: Path) -> list[list[str]]:
    """The lines that are not empty, as fields."""
    import csv
    from io import StringIO

    return [row for row in csv.reader(StringIO(_text(path), newline="")) if row]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}: save the file as UTF-8.") from error


def allowed(row: Mapping[str, str], rules: Sequence[str]) -> bool:
    """Whether every rule holds: Jinja expressions about the row's values, `tone != "angry" or to == "bank"`.

    Raises UserError, with the rule, when it is no expression or names no value of the row.
    """
    for rule in rules:
        expression = _expression(rule)
        try:
            if not expression(**row):
                return False
        except Exception as error:  # an expression is a program: 1 / (length | int) may divide by zero
            raise UserError(
                f"constraint {rule!r}: {error}. Known values: {', '.join(sorted(row)) or 'none'}."
            ) from error
    return True


@cache
def _expression(rule: str) -> TemplateExpression:
    from jinja2 import StrictUndefined, TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    try:
        return environment.compile_expression(rule, undefined_to_none=False)
    except TemplateSyntaxError as error:
        raise UserError(f"constraint {rule!r} is no expression: {error.message}.") from error
