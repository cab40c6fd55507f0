"""What the parts of a recipe have in common."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError, model_serializer
from pydantic_core import PydanticCustomError

from synth_assets.contracts.model_spec import NamedModel

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
ModelSpec = Annotated[
    Annotated[str, Tag("name")] | Annotated[NamedModel, Tag("endpoint")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "endpoint"),  # errors of one form only
]


def wrong(why: str, *where: str) -> ValidationError:
    """What a validator raises about a field further down: pydantic puts its own place in front."""
    error = PydanticCustomError("recipe", "{why}", {"why": why})
    return ValidationError.from_exception_data("recipe", [{"type": error, "loc": where, "input": None}])


class Section(BaseModel):
    """A part of a recipe: unknown fields are errors, and a parsed recipe does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    newer: ClassVar[tuple[str, ...]] = ()  # fields that enter a version once they are written

    @model_serializer(mode="wrap")
    def _as_written(self, handler: Any) -> Any:
        return {n: v for n, v in handler(self).items() if n not in self.newer or n in self.model_fields_set}
