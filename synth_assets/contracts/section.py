"""What the parts of a recipe have in common: what people write, read strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from synth_assets.core.errors import UserError, unknown
from synth_assets.core.registry import Registry

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
LARGEST = 10**15  # of what a recipe says in numbers: exact as a double, and in thousands of millionths too
SMALLER = f"write one from {-LARGEST:.0e} to {LARGEST:.0e}, or leave it out"
TOKENS = 10_000_000  # of an answer or a prompt, at the most: what the largest models read


def wrong(why: str | UserError, *where: str) -> ValidationError:
    """What a validator raises about a field further down: pydantic puts its own place in front."""
    if isinstance(why, UserError):
        return _refused([_line(why.code, str(why), where, fix=why.fix)])
    return _refused([_line("wrong_value", why, where)])


def all_wrong(errors: Iterable[ValueError]) -> ValidationError:
    """One error of several, which validators would raise one by one."""
    lines: list[InitErrorDetails] = []
    for error in errors:
        if isinstance(error, ValidationError):
            lines += [_again(found) for found in error.errors(include_url=False)]
        else:
            lines.append(_line("wrong_value", str(error), ()))
    return _refused(lines)


def one_of(what: str, name: object, known: Iterable[object], *where: str) -> None:
    """ValidationError, as of `wrong`, when a name is not among those that are known."""
    known = list(known)
    if name not in known:
        raise wrong(unknown(what, name, known), *where)


@contextmanager
def as_wrong(*where: str) -> Iterator[None]:
    """What is a mistake inside is one of the recipe, at this place."""
    try:
        yield
    except UserError as error:
        raise wrong(error, *where) from error


def class_of(registry: Registry, word: Any, base: type, *where: str, hint: str = "") -> Any:
    """The class that a word of a recipe means. ValidationError, as of `wrong`, when there is none."""
    try:
        return registry.find(str(word), base)
    except UserError as error:
        raise wrong(UserError(f"{error}{hint}", error.code, error.fix), *where) from error


def one_form(number: Any, section: type[Section]) -> BeforeValidator:
    """Of a field that is a number or a section: errors are those of the form that is written."""

    def read(value: Any) -> Any:
        if isinstance(value, section):
            return value
        if isinstance(value, Mapping):
            return section.model_validate(value)
        return TypeAdapter(number).validate_python(value)

    return BeforeValidator(read)


def _refused(lines: list[InitErrorDetails]) -> ValidationError:
    return ValidationError.from_exception_data("recipe", lines)


def _line(
    kind: str, why: str, where: tuple[int | str, ...], value: Any = None, fix: str | None = None
) -> InitErrorDetails:
    told = {"why": why, "fix": fix}
    return {"type": PydanticCustomError(kind, "{why}", told), "loc": where, "input": value}


def _again(error: Any) -> InitErrorDetails:
    """An error of pydantic's, to be raised once more; what it says of the fix stays with it."""
    told = {**error.get("ctx", {}), "why": error["msg"]}
    kind = PydanticCustomError(error["type"], "{why}", told)
    return {"type": kind, "loc": error["loc"], "input": error["input"]}


def _numbers(value: Any) -> Iterator[int | float]:
    """All that are in it, but for sections, which look after their own."""
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _numbers(each)


def _short(number: int | float) -> str:
    words = str(number) if abs(number) < 10**100 or isinstance(number, float) else "a number of many digits"
    return words if len(words) < 40 else f"{words[:40]}..."


def _no_fields(error: Any) -> bool:
    """Whether a number or a list stands in the place of the whole section."""
    return error["type"] == "model_type" and not error["loc"]


class Strict(BaseModel):
    """Data that does not change once it is read. An unknown field is an error that says which there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        """No number of a recipe is without end, whatever its field is for."""
        for number in _numbers(value):
            if not -LARGEST <= number <= LARGEST:  # NaN too
                raise wrong(
                    UserError(
                        f"{_short(number)} is no number to work with: {SMALLER}", "out_of_range", SMALLER
                    )
                )
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _alternatives(cls, value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if all(each["type"] != "extra_forbidden" and not _no_fields(each) for each in found):
                raise
            raise _refused(list(map(cls._told, cls._once(found)))) from None

    @classmethod
    def _once(cls, found: list[Any]) -> list[Any]:
        """Without the fields that are missing because their name is misspelt: the misspelt one names them."""
        unknown_fields = [str(each["loc"][-1]) for each in found if each["type"] == "extra_forbidden"]
        meant = {near for name in unknown_fields for near in get_close_matches(name, cls.fields_of(), n=1)}
        return [each for each in found if each["type"] != "missing" or each["loc"][-1] not in meant]

    @classmethod
    def _told(cls, error: Any) -> InitErrorDetails:
        """The error again, with all fields where one is not known, or where there is none."""
        if _no_fields(error):
            first, *_ = known = cls.fields_of() or ["field"]
            written = f"{{{first}: ...}}"
            told = (
                f"cannot be {error['input']!r}: write its fields, as in {written}. Known: {', '.join(known)}."
            )
            return _line("wrong_type", told, (), fix=f"write {written}")
        if error["type"] != "extra_forbidden":
            return _again(error)
        why = unknown("field", error["loc"][-1], cls.fields_of())
        return _line("unknown_field", str(why), error["loc"], fix=why.fix)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """With what the class and its fields say of themselves."""
        from synth_assets.core.described import described, summary

        made = handler(schema)
        own = handler.resolve_ref_schema(made)
        own["description"] = summary(cls)
        for name, words in described(cls).items():
            alias = cls.model_fields[name].alias or name
            own["properties"][alias] |= {"description": words}
        return made

    @classmethod
    def fields_of(cls) -> list[str]:
        """The fields, as they are written."""
        return [field.alias or name for name, field in cls.model_fields.items()]


class Section(Strict):
    """A part of a recipe."""

    newer: ClassVar[tuple[str, ...]] = ()  # fields that enter a version once they are written

    @model_serializer(mode="wrap")
    def _as_written(self, handler: Any) -> Any:
        return {n: v for n, v in handler(self).items() if n not in self.newer or n in self.model_fields_set}
