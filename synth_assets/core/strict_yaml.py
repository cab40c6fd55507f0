"""YAML files that people write: read strictly; what is wrong is said with file, line and alternatives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synth_assets.core.errors import UserError

Place = tuple[str, ...]  # the path of a field: ("filters", "words", "at_least")


@dataclass(frozen=True)
class Document:
    """A YAML file with the line of each of its fields."""

    path: Path
    content: dict[str, Any]
    lines: Mapping[Place, int]  # line of each field, from 1


def read(path: Path) -> Document:
    """The file's mapping. UserError when it is not UTF-8, not YAML, no mapping, or repeats a field."""
    try:
        text = path.read_bytes().decode("utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{path}: the file is not a mapping, lines of `field: value`.")
        return Document(path, yaml.safe_load(text), dict(_lines(node, path)))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}: save the file as UTF-8.") from error
    except yaml.YAMLError as error:
        raise not_yaml(path, error) from error


def not_yaml(path: Path, error: Exception) -> UserError:
    """What the parser says of a file, with the line."""
    mark = getattr(error, "problem_mark", None)
    where = f":{mark.line + 1}" if mark else ""
    return UserError(f"{path}{where}: not YAML: {getattr(error, 'problem', error)}.")


def refusal(document: Document, errors: Iterable[Any]) -> UserError:
    """One error from pydantic's, a line each."""
    return UserError("\n".join(_explain(document, error) for error in errors))


def _lines(node: yaml.MappingNode, path: Path, above: Place = ()) -> Iterator[tuple[Place, int]]:
    seen: set[str] = set()
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in seen:
            raise UserError(f"{path}:{line}: {'.'.join((*above, name))} is written twice: keep one.")
        seen.add(name)
        yield (*above, name), line
        if isinstance(value, yaml.MappingNode):
            yield from _lines(value, path, (*above, name))


def _explain(document: Document, error: Any) -> str:
    where = tuple(str(part) for part in error["loc"])
    known = (document.lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in document.lines)
    field, message = ".".join(where), error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        message = "is missing"
    elif error["type"] == "string_type" and isinstance(error["input"], bool):
        message = "yes, no, on and off are truth values in YAML: put the word in quotes"
    place = f"{document.path}:{next(known, 1)}"
    return f"{place}: {field}: {message}" if field else f"{place}: {message}"
