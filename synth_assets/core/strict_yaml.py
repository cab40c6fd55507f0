"""YAML files that people write: read strictly; what is wrong is said with file, line and alternatives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from synth_assets.core.errors import Mistake, UserError, refused

MOST = 1_000_000  # values of a file, each as often as it is named
DEEPEST = 50  # levels of them
TOO_MANY = f"with what is named again (`*name`) it has more than {MOST:,} values: write out what you mean."
TOO_DEEP = f"it is nested deeper than {DEEPEST} levels."
OF_YAML = "tag:yaml.org,2002:"
NAMES = [f"{OF_YAML}{kind}" for kind in ("str", "merge", "value")]  # what may name a field
KEYS = {  # what YAML reads in the place of a name
    **{"int": "a number", "float": "a number", "bool": "a truth value (yes, no, on, off, true, false)"},
    **{"timestamp": "a day", "null": "nothing", "seq": "a list", "map": "a mapping"},
}
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
        if not isinstance(node, yaml.MappingNode) or node.tag != f"{OF_YAML}map":
            raise refused([_unread(path, 1, "the file is not a mapping, lines of `field: value`.")])
        if wrong := list(_wrong(node, path)):
            raise refused(wrong)
        lines: dict[Place, int] = {}
        twice = list(_lines(node, path, lines))
        return Document(path, yaml.safe_load(text), lines, twice)
    except OSError as error:
        raise refused([_unread(path, None, f"it cannot be read: {error.strerror or error}.")]) from error
    except RecursionError as error:
        raise refused([_unread(path, None, TOO_DEEP)]) from error
    except UnicodeDecodeError as error:
        why = f"not UTF-8 at byte {error.start}: save the file as UTF-8."
        raise refused([_unread(path, None, why)]) from error
    except yaml.YAMLError as error:
        raise not_yaml(path, error) from error


def _wrong(whole: yaml.Node, path: Path) -> Iterator[Mistake]:
    """What YAML takes and a recipe cannot hold: days that no calendar has and numbers that are none, fields
    whose name is no text, and what is nested without end, or is ever more as it is named again (`*name`)."""
    seen, to_do, looked_at = 0, [(whole, 0)], set[int]()
    while to_do:
        node, depth = to_do.pop()
        seen += 1
        if seen > MOST or depth > DEEPEST:
            yield _unread(path, node.start_mark.line + 1, TOO_DEEP if depth > DEEPEST else TOO_MANY)
            return
        if isinstance(node, yaml.ScalarNode):
            if node.tag != f"{OF_YAML}str" and id(node) not in looked_at:
                looked_at.add(id(node))
                yield from _no_value(node, path)
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield from _no_name(key, path) if depth == 0 else ()  # further down, of a label or a value
                to_do.append((value, depth + 1))
        else:
            to_do += [(each, depth + 1) for each in node.value]


def _no_value(node: yaml.ScalarNode, path: Path) -> Iterator[Mistake]:
    try:
        yaml.SafeLoader("").construct_object(node)
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        kind = "day" if node.tag.endswith(":timestamp") else node.tag.rpartition(":")[2]
        fix = "Write another one, or in quotes what is meant as a text."
        why = f"{node.value[:60]} is no {kind}: {error}. {fix}"
        yield _unread(path, node.start_mark.line + 1, why)


def _no_name(key: yaml.Node, path: Path) -> Iterator[Mistake]:
    """Of a field: what YAML reads as a number, a truth value, a day, nothing or a list."""
    if isinstance(key, yaml.ScalarNode) and key.tag in NAMES:
        return
    written = f"`{key.value[:60]}`" if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
    kind = key.tag.rpartition(":")[2]
    why = (
        f"{written} is the name of a field, and no text to YAML but {KEYS.get(kind, kind)}: put it in quotes."
    )
    yield Mistake(why, "wrong_type", str(path), key.start_mark.line + 1, fix="put it in quotes")


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
        for item in value.value if isinstance(value, yaml.SequenceNode) else ():
            if isinstance(item, yaml.MappingNode):  # the line of a list is that of all in it
                yield from _lines(item, path, {}, place)


ENDLESS = ("finite_number", "int_parsing_size")
CODES = {  # pydantic's word for it begins so -> ours
    **dict.fromkeys(  # ours already
        ("unknown_field", "unknown_name", "wrong_value", "out_of_range", "no_key", "mistake"), ""
    ),
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
    "literal_error": "unknown_name",
    **dict.fromkeys(("greater_than", "less_than", "too_", "string_too_"), "out_of_range"),
    **dict.fromkeys(ENDLESS, "out_of_range"),
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
    elif kind in ENDLESS:
        message, fix = "is no number to work with", "write one that has an end, or leave it out"
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
