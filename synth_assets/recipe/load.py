"""Recipes are read from files: every error names file, line and field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synth_assets.contracts.section import NAME
from synth_assets.core import strict_yaml
from synth_assets.core.errors import Mistake, UserError, refused, unknown
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.home import recipes

PLACES = re.compile(r"\b[a-z_]+(?:\.\w+)+")  # as in seeds.splits
TAKEN = {"main", "warehouse", "system", "temp", "information_schema", "pg_catalog"}  # schemas and catalogs


def load(path: Path) -> Recipe:
    """Read and check one recipe; every error names the file and, where there is one, the line."""
    if not path.exists():
        raise unknown("recipe", path.stem, [p.stem for p in path.parent.glob("*.yaml")], str(path.parent))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}.", "not_yaml") from error
    return parsed(content, path)


def parsed(content: bytes, path: Path) -> Recipe:
    """The same of the content that this file has, or would have."""
    if not NAME.fullmatch(path.stem):
        raise UserError(f"{path}: a recipe's name has lower-case letters, digits and _, not {path.stem!r}.")
    if path.stem in TAKEN:
        raise UserError(f"{path}: in SQL, {path.stem} is the name of something else: rename the file.")
    document = strict_yaml.parse(path, content)
    recipe, found = None, [*document.twice]
    fields = {field: value for field, value in document.content.items() if field != "name"}
    if "name" in document.content:
        why = "the recipe's name is its file's name: remove `name`."
        found.append(Mistake(why, "unknown_field", str(path), document.lines[("name",)], fix="remove name"))
    read: dict[str, Any] = {}  # the sections that are right by themselves
    try:
        recipe = Recipe.model_validate({**fields, "name": path.stem}, context=read)
    except ValidationError as error:
        found += document.mistakes([*error.errors(), *beside(error, read)])
    except Exception as error:  # a method of the user's own may raise anything
        raise refused([Mistake(f"{type(error).__name__}: {error}", "mistake", str(path))]) from error
    if found or recipe is None:
        raise refused(sorted(found, key=lambda mistake: mistake.line or 1))
    vars(recipe)["as_written"] = content.decode("utf-8", "replace")
    return recipe


def inline(content: Mapping[str, Any], name: str) -> Recipe:
    """A recipe that stands in no file of its own: errors name its fields. Its keys are sorted, which versions
    rest on, unless its labels have an order."""
    import yaml

    task = content.get("task")
    ordered = isinstance(task, Mapping) and bool(task.get("ordered"))
    try:
        text = yaml.safe_dump(dict(content), allow_unicode=True, sort_keys=not ordered)
        return parsed(text.encode(), Path(f"{name}.yaml"))
    except UserError as error:
        places = (".".join(filter(None, [name, mistake.field])) for mistake in error.mistakes)
        of = zip(error.mistakes, places, strict=True)
        raise refused(replace(m, file=None, line=None, field=place) for m, place in of) from error


def placed(error: UserError, recipe: Recipe, field: str, path: Path | None = None) -> UserError:
    """With the place in the recipe's file: of the first field that the message names, or else of this one.
    `path`: the file, where it is not among the recipes; of a recipe without one the field is the place."""
    path = path or recipes() / f"{recipe.name}.yaml"
    document = strict_yaml.parse(path) if path.exists() else None
    lines = document.lines if document else {}
    found = []
    for mistake in error.mistakes:
        named = (word for word in PLACES.findall(mistake.message) if tuple(word.split(".")) in lines)
        at = mistake.field or next(named, field)
        if document and not mistake.file:
            line = document.line(tuple(at.split(".")))
            mistake = replace(mistake, file=str(path), line=line, field=at)
        elif not mistake.file:
            words = mistake.message.removeprefix(f"{at}: ")
            mistake = replace(mistake, message=words, field=f"{recipe.name}.{at}")
        found.append(mistake)
    return refused(found)


def beside(error: ValidationError, read: Mapping[str, Any]) -> Iterator[Any]:
    """What is wrong between the sections that are right by themselves, where others are not: those are left
    out, and with them what rests on them."""
    broken = {str(each["loc"][0]) for each in error.errors() if each["loc"]}
    if broken - {*read}:
        try:
            Recipe.part(read, broken).check()
        except ValidationError as more:
            yield from more.errors()
