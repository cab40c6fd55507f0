"""What the parts of a recipe have in common."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Discriminator, Tag, ValidationError
from pydantic_core import PydanticCustomError

from resources.models import NamedModel

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


ModelSpec = Annotated[
    Annotated[str, Tag("name")] | Annotated[NamedModel, Tag("endpoint")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "endpoint"),  # errors of one form only
]


def wrong(why: str, *where: str) -> ValidationError:
    """What a validator raises about a field further down: pydantic puts its own place in front."""
    error = PydanticCustomError("recipe", "{why}", {"why": why})
    return ValidationError.from_exception_data("recipe", [{"type": error, "loc": where, "input": None}])
