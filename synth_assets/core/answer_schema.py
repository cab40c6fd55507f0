"""The schema of an answer: its fields and their types, as a recipe declares them.

An answer is checked and never mended: what does not fit is an error, in words that a model can act on. The
JSON schema is made here and not by pydantic, because it is part of a request's identity.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationError, create_model

from synth_assets.core.errors import unknown

Kind = str | tuple[str, ...]  # "text": a type; ("text",): a list of it; ("polite", "angry"): one of the words
LARGEST = 2**53 - 1  # the last whole number that JSON, a double and a table hold alike (RFC 7493)
LONGEST = 1_000_000  # characters of an answer that are read at all
REASON = 500  # characters of an error
SHOWN = 4_000  # characters of a wrong answer that the model is shown again


class SchemaError(ValueError):
    """An answer does not fit: which field, what was found, what is wanted; at most REASON characters."""


class _Type(NamedTuple):
    annotation: Any  # for pydantic
    json: dict[str, Any]
    column: str  # as in recipe/columns.yaml
    example: Any
    words: str


def _storable(value: Any) -> Any:
    """Refuse what has the right type, but would be another value in a table, or none."""
    if type(value) is int and abs(value) > LARGEST:
        raise ValueError(f"is {_found(value)}, wanted a whole number from {-LARGEST} to {LARGEST}")
    if isinstance(value, str) and _utf8(value) != value:
        raise ValueError("has half a character in it (a lone surrogate), wanted text")
    return value


TYPES: Mapping[str, _Type] = {
    name: _Type(Annotated[python, BeforeValidator(_storable)], {"type": json_}, column, python(), words)
    for name, python, json_, column, words in (
        ("text", str, "string", "string", "text"),
        ("integer", int, "integer", "int64", "an integer"),
        ("number", float, "number", "double", "a number"),
        ("boolean", bool, "boolean", "bool", "true or false"),
    )
}
FORMS = (*TYPES, "[type] (a list)", "[word, word] (one of them)")


def kind_of(declared: Any) -> Kind:
    """A field's type as a recipe writes it. ValueError when it is none."""
    if isinstance(declared, str):
        if declared not in TYPES:
            raise ValueError(str(unknown("type", declared, FORMS)))
        return declared
    if not isinstance(declared, list | tuple):
        raise ValueError(f"a type is one of {', '.join(FORMS)}")
    for word in declared:
        if not isinstance(word, str) or not word:
            raise ValueError(f"{word!r} is not a word to YAML (yes, no, on, off, 1): put it in quotes")
    if len(set(declared)) != len(declared):
        raise ValueError("a word is listed twice")
    if len(declared) < 2 and not TYPES.keys() & set(declared):
        raise ValueError(f"a list holds one type ({', '.join(TYPES)}), or two words or more to choose from")
    return tuple(declared)


@dataclass(frozen=True)
class Schema:
    """The fields of an answer with their types, in the order in which the model is asked for them."""

    fields: tuple[tuple[str, Kind], ...]

    @classmethod
    def of(cls, declared: Mapping[str, Any]) -> Schema:
        """From `field: type` as a recipe writes it. ValueError when a type is none."""
        return cls(tuple((name, kind_of(kind)) for name, kind in declared.items()))

    @property
    def json(self) -> dict[str, Any]:
        """The JSON schema. `required` keeps the fields' order where keys are sorted."""
        return {
            "type": "object",
            "properties": {name: _type(kind).json for name, kind in self.fields},
            "required": [name for name, _ in self.fields],
            "additionalProperties": False,
        }

    @property
    def columns(self) -> dict[str, str]:
        """Field -> type of its column, as in recipe/columns.yaml."""
        return {name: _type(kind).column for name, kind in self.fields}

    def parse(self, text: str) -> dict[str, Any]:
        """The answer's fields, as JSON says them. SchemaError when the answer is not JSON or does not fit."""
        answer = _loads(text)
        try:
            _model(self).model_validate(answer)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False)
            raise SchemaError(_cut("; ".join(map(self._complaint, wrong[:20])), REASON)) from None
        return {name: answer[name] for name, _ in self.fields}

    def example(self, text: str) -> dict[str, Any]:
        """An answer that fits, with this text in it; of two texts none equals the other."""
        texts = {name: text if name == "text" else f"{text} ({name})" for name, _ in self.fields}
        return {name: texts[name] if kind == "text" else _type(kind).example for name, kind in self.fields}

    def instruction(self) -> str:
        """The words that ask for it, where an endpoint cannot be told the schema itself."""
        schema = json.dumps(self.json, ensure_ascii=False)
        return f"Answer with one JSON object and nothing else. It must fit this JSON schema: {schema}"

    def __str__(self) -> str:
        return ", ".join(f"{name}: {_type(kind).words}" for name, kind in self.fields)

    def _complaint(self, error: Any) -> str:
        """One of pydantic's errors in words; its place is (), (field,) or (field, number of the item)."""
        place, kinds = error["loc"], dict(self.fields)
        if not place:
            return f"the answer is {_found(error['input'])}, wanted an object with {self}"
        field = place[0]
        if field not in kinds:
            return f"{_cut(field, 60)} is not asked for"
        kind, where = kinds[field], field
        if error["type"] == "missing":
            return f"{field} is missing, wanted {_type(kind).words}"
        if len(place) > 1:
            kind, where = kind[0], f"item {place[1] + 1} of {field}"
        if error["type"] == "value_error":  # from _storable
            return f"{where} {error['msg'].removeprefix('Value error, ')}"
        return f"{where} is {_found(error['input'])}, wanted {_type(kind).words}"


def correction(messages: Sequence[Mapping[str, str]], answer: str, reason: str) -> list[Mapping[str, str]]:
    """The messages that give the model one more turn: its answer, what is wrong with it, and the question."""
    fix = "Answer again, with the corrected JSON object and nothing else."
    says = f"This answer does not fit: {reason}. {fix}"
    if len(answer) > SHOWN:
        says += f" (Of your answer, only the first {SHOWN:,} of {len(answer):,} characters are shown.)"
    turn = [{"role": "assistant", "content": answer[:SHOWN]}, {"role": "user", "content": says}]
    return [*messages, *turn]


@cache
def _type(kind: Kind) -> _Type:
    if isinstance(kind, str):
        return TYPES[kind]
    if len(kind) == 1:
        of = TYPES[kind[0]]
        annotation = Annotated[list[of.annotation], FailFast()]  # type: ignore[name-defined]
        json_ = {"type": "array", "items": of.json}
        return _Type(annotation, json_, f"list<{of.column}>", [], f"a list of {kind[0]}s")
    words = ", ".join(json.dumps(word, ensure_ascii=False) for word in kind)
    return _Type(Literal[kind], {"type": "string", "enum": list(kind)}, "string", kind[0], f"one of {words}")


@cache
def _model(schema: Schema) -> type[BaseModel]:
    # By alias: `schema` and `copy` are good fields, but names that pydantic has taken.
    fields: dict[str, Any] = {
        f"field_{i}": (_type(kind).annotation, Field(alias=name))
        for i, (name, kind) in enumerate(schema.fields)
    }
    strict = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    return create_model("Answer", __config__=strict, **fields)


def _loads(text: str) -> Any:
    """The JSON value that the whole text is; a key that is written twice is an error."""
    if len(text) > LONGEST:
        raise SchemaError(f"the answer has {len(text):,} characters, more than {LONGEST:,}")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except SchemaError:
        raise
    except RecursionError:
        raise SchemaError("the answer is nested too deep") from None
    except ValueError as error:
        why = f"the answer is not one JSON object without a code fence or words around it ({error})"
        raise SchemaError(_cut(why, REASON)) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise SchemaError(f"{_cut(name, 60)} is written twice")
        found[name] = value
    return found


def _constant(name: str) -> None:
    raise SchemaError(f"{name} is no number in JSON")


def _found(value: Any) -> str:
    """A value as JSON, cut short, or what it is."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return _cut(json.dumps(value, ensure_ascii=False), 60)


def _cut(text: str, length: int) -> str:
    """At most `length` characters that UTF-8 can hold."""
    text = _utf8(text)
    return text if len(text) <= length else text[: length - 3] + "..."


def _utf8(text: str) -> str:
    """The text with `\\ud83d` written out where it has half a character, which UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()
