"""YAML files that people write: read strictly; what is wrong is said with file, line and alternatives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from synth_assets.core.errors import Mistake, UserError, refused

Place = tuple[str, ...]  # the path of a field: ("filters", "words", "at_least")


@dataclass(frozen=True)
class Document:
    """A YAML file with the line of each of its fields."""

    path: Path
    content: dict[str, Any]
    lines: Mapping[Place, int]  # line of each field, from 1
    twice: list[Mistake] = field(default_factory=list)  # fields that are written twice

    def line(self, where: Place) -> int:
        """The line of a field, or of what is nearest above it."""
        known = (self.lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in self.lines)
        return next(known, 1)

    def mistakes(self, errors: Iterable[Any]) -> Iterator[Mistake]:
        """Pydantic's errors, as people and programs read them."""
        for error in errors:
            where = tuple(str(part) for part in error["loc"] if part != "[key]")  # of a mapping's own key
            message, code, fix = _explain(error, where)
            yield Mistake(message, code, str(self.path), self.line(where), ".".join(where) or None, fix)


def read(path: Path, content: bytes | None = None) -> Document:
    """The file's mapping. UserError when it is not UTF-8, not YAML, no mapping, or repeats a field."""
    document = parse(path, content)
    if document.twice:
        raise refused(document.twice)
    return document


def parse(path: Path, content: bytes | None = None) -> Document:
    """The same, but that fields that it repeats are in `twice`. With `content`, that is read in the place of
    the file; errors call it by the path."""
    try:
        text = (path.read_bytes() if content is None else content).decode("utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            raise refused([_unread(path, 1, "the file is not a mapping, lines of `field: value`.")])
        lines: dict[Place, int] = {}
        twice = list(_lines(node, path, lines))
        if no_day := list(_no_days(node, path)):
            raise refused(no_day)
        return Document(path, yaml.safe_load(text), lines, twice)
    except UnicodeDecodeError as error:
        why = f"not UTF-8 at byte {error.start}: save the file as UTF-8."
        raise refused([_unread(path, None, why)]) from error
    except yaml.YAMLError as error:
        raise not_yaml(path, error) from error


def _no_days(node: yaml.Node, path: Path) -> Iterator[Mistake]:
    """Texts that YAML reads as days, of which no calendar has this one."""
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:timestamp":
        try:
            yaml.SafeLoader("").construct_object(node)
        except ValueError as error:
            why = f"{node.value} is no day: {error}. Write another one, or in quotes what is meant as a text."
            yield _unread(path, node.start_mark.line + 1, why)
    for below in node.value if isinstance(node, yaml.CollectionNode) else ():
        for each in below if isinstance(below, tuple) else (below,):
            yield from _no_days(each, path)


def not_yaml(path: Path, error: Exception) -> UserError:
    """What the parser says of a file, with the line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", error)
    return refused([_unread(path, mark.line + 1 if mark else None, f"not YAML: {problem}.")])


def refusal(document: Document, errors: Iterable[Any]) -> UserError:
    """One error from pydantic's, a line each."""
    return refused(document.mistakes(errors))


def _unread(path: Path, line: int | None, why: str) -> Mistake:
    return Mistake(why, "not_yaml", str(path), line)


def _lines(
    node: yaml.MappingNode, path: Path, lines: dict[Place, int], above: Place = ()
) -> Iterator[Mistake]:
    """Writes down the line of each field; yields those that are written twice."""
    for key, value in node.value:
        place, line = (*above, str(key.value)), key.start_mark.line + 1
        if place in lines:
            why = f"{'.'.join(place)} is written twice: keep one."
            yield Mistake(why, "written_twice", str(path), line)
        lines.setdefault(place, line)
        if isinstance(value, yaml.MappingNode):
            yield from _lines(value, path, lines, place)


CODES = {  # pydantic's word for it begins so -> ours
    **dict.fromkeys(  # ours already
        ("unknown_field", "unknown_name", "wrong_value", "out_of_range", "no_key", "mistake"), ""
    ),
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
    "literal_error": "unknown_name",
    **dict.fromkeys(("greater_than", "less_than", "too_", "string_too_", "finite_number"), "out_of_range"),
}
KINDS = {  # of what stands there -> what should
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text, in quotes where YAML reads something else",
    "list": "a list: [one, two]",
    "tuple": "a list: [one, two]",
    "dict": "lines of `name: value`",
    "model": "lines of `field: value`",
    "date": "a day, as in 2026-11-22",
}


def _explain(error: Any, where: Place) -> tuple[str, str, str | None]:
    """Message, code and fix."""
    kind, told = error["type"], error.get("ctx", {})
    message = error["msg"].removeprefix("Value error, ")
    fix = told.get("fix")
    if kind == "missing":
        message, fix = "is missing", f"add {where[-1]}"
    elif kind == "string_type" and isinstance(error["input"], bool):
        message = "yes, no, on and off are truth values in YAML: put the word in quotes"
    elif kind == "literal_error":
        message = f"cannot be {error['input']!r}: write {told['expected']}"
    elif kind in {"dict_type", "model_type"}:
        message = f"cannot be {error['input']!r}: write {KINDS['dict']}"
    code = next((ours or kind for start, ours in CODES.items() if kind.startswith(start)), None)
    if code is None:
        of_type = kind.endswith(("_type", "_parsing", "_from_float")) and kind.partition("_")[0] in KINDS
        code = "wrong_type" if of_type else "wrong_value"
    return message, code, fix or _fix(kind, told)


def _fix(kind: str, told: Mapping[str, Any]) -> str | None:
    """What to write, where pydantic tells what is wanted."""
    if "expected" in told:
        return f"write {told['expected']}"
    limits = {"ge": "{} or more", "gt": "more than {}", "le": "{} or less", "lt": "less than {}"}
    for name, words in limits.items():
        if name in told:
            return f"write {words.format(told[name])}"
    wanted = KINDS.get(kind.partition("_")[0])
    return f"write {wanted}" if wanted and kind.endswith(("_type", "_parsing", "_from_float")) else None
