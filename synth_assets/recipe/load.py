"""Recipes are read from files: every error names file, line and field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synth_assets.contracts.model_spec import NamedModel
from synth_assets.contracts.section import NAME, Section
from synth_assets.core import strict_yaml
from synth_assets.core.errors import UserError, unknown
from synth_assets.generation.conditions.files import provider
from synth_assets.generation.steps.kinds import TAGS, class_of
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.short_forms import filter_class, filter_of

TAKEN = {"main", "warehouse", "system", "temp", "information_schema", "pg_catalog"}  # schemas and catalogs


def load(path: Path) -> Recipe:
    """Read and check one recipe; every error names the file and, where there is one, the line."""
    if not path.exists():
        raise unknown("recipe", path.stem, [p.stem for p in path.parent.glob("*.yaml")], str(path.parent))
    if not NAME.fullmatch(path.stem):
        raise UserError(f"{path}: a recipe's name has lower-case letters, digits and _, not {path.stem!r}.")
    if path.stem in TAKEN:
        raise UserError(f"{path}: in SQL, {path.stem} is the name of something else: rename the file.")
    document = strict_yaml.read(path)
    if "name" in document.content:
        line = document.lines[("name",)]
        raise UserError(f"{path}:{line}: the recipe's name is its file's name: remove `name`.")
    try:
        errors = list(_filter_errors(document.content.get("filters")))
        errors += _provider_errors(document.content.get("conditions"))
        if not errors:
            return Recipe(name=path.stem, **document.content)
    except ValidationError as error:
        errors = error.errors()
    fields = partial(_fields, document.content)
    raise strict_yaml.refusal(document, errors, fields, tags=("endpoint", *TAGS))


def _filter_errors(filters: Any) -> Iterator[Any]:
    """What is wrong inside single filters, with the place: pydantic would only name `filters`."""
    for name, rule in filters.items() if isinstance(filters, Mapping) else ():
        try:
            filter_of(name, rule)
        except ValidationError as error:
            yield from ({**e, "loc": ("filters", str(name), *e["loc"])} for e in error.errors())


def _provider_errors(conditions: Any) -> Iterator[Any]:
    """What is wrong inside the providers, with the place: pydantic would only name `conditions`."""
    for name, section in conditions.items() if isinstance(conditions, Mapping) else ():
        found = provider(section) if isinstance(section, Mapping) else None
        try:
            if found:
                found.model_validate(dict(section))
        except ValidationError as error:
            yield from ({**e, "loc": ("conditions", name, *e["loc"])} for e in error.errors())


def _fields(content: Mapping[str, Any], where: tuple[str, ...]) -> list[str]:
    """The fields that a section may have, following model fields (filters and providers by name) down from
    Recipe."""
    if where[:1] == ("conditions",) and len(where) == 2:
        found = provider(content["conditions"][where[1]])
        return list(found.model_fields) if found else []
    model: Any = Recipe
    if where[:1] == ("steps",) and len(where) > 1:
        model, where = class_of(content["steps"][where[1]]), where[2:]
    if where[:1] == ("filters",) and len(where) > 1:
        model, where = filter_class(where[1], content["filters"][where[1]]), where[2:]
    for part in where:
        field = getattr(model, "model_fields", {}).get(part)
        types = [a for a in _flat(field.annotation) if isinstance(a, type)] if field else []
        inner = [a for a in types if issubclass(a, Section | NamedModel)]
        model = inner[0] if inner else model
    return [f for f in model.model_fields if model is not Recipe or f != "name"]


def _flat(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _flat(inner)
