"""What the parts of a recipe have in common: what people write, read strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_serializer, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from synth_assets.core.errors import UserError, unknown
from synth_assets.core.registry import Registry

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def wrong(why: str, *where: str) -> ValidationError:
    """What a validator raises about a field further down: pydantic puts its own place in front."""
    return ValidationError.from_exception_data("recipe", [_line("recipe", why, where)])


def one_of(what: str, name: object, known: Iterable[object], *where: str) -> None:
    """ValidationError, as of `wrong`, when a name is not among those that are known."""
    known = list(known)
    if name not in known:
        raise wrong(str(unknown(what, name, known)), *where)


@contextmanager
def as_wrong(*where: str) -> Iterator[None]:
    """What is a mistake inside is one of the recipe, at this place."""
    try:
        yield
    except UserError as error:
        raise wrong(str(error), *where) from error


def class_of(registry: Registry, word: Any, base: type, *where: str, hint: str = "") -> Any:
    """The class that a word of a recipe means. ValidationError, as of `wrong`, when there is none."""
    try:
        return registry.find(str(word), base)
    except UserError as error:
        raise wrong(f"{error}{hint}", *where) from error


def _line(kind: str, why: str, where: tuple[int | str, ...], value: Any = None) -> InitErrorDetails:
    return {"type": PydanticCustomError(kind, "{why}", {"why": why}), "loc": where, "input": value}


class Strict(BaseModel):
    """Data that does not change once it is read. An unknown field is an error that says which there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _alternatives(cls, value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if all(each["type"] != "extra_forbidden" for each in found):
                raise
            raise ValidationError.from_exception_data("recipe", list(map(cls._told, found))) from None

    @classmethod
    def _told(cls, error: Any) -> InitErrorDetails:
        """The error again, with all fields where one is not known."""
        if error["type"] != "extra_forbidden":
            return _line(error["type"], error["msg"], error["loc"], error["input"])
        return _line("unknown_field", str(unknown("field", error["loc"][-1], cls.fields_of())), error["loc"])

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
