"""A recipe that a model wrote is a foreign text: before it is used, it is held to what it was asked for.

It may name the data that the user named and no other file or address, the user's model and no other, and
nothing that would run code besides what is built in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from synth_assets.contracts.model_spec import NamedModel
from synth_assets.core import strict_yaml
from synth_assets.core.errors import Mistake, refused
from synth_assets.core.registry import built_in_alone
from synth_assets.recipe.load import parsed
from synth_assets.recipe.made_from import files
from synth_assets.recipe.measuring import PASSES
from synth_assets.recipe.recipe import Recipe

# a path that leads out of the working directory, or an address
ELSEWHERE = re.compile(r"\s*(?:/|~|[A-Za-z]:[\\/]|[\w.+-]+://)\S*|(?:.*[\\/])?\.\.(?:[\\/].*)?")
READS = ("seeds", "labelled", "conditions", "metrics")  # sections that name files


def read(content: bytes, path: Path, data: str | None, allowed: Collection[str]) -> Recipe:
    """The recipe that this file would have. UserError, too, for all that it may not say that nobody has
    looked at. `data`: as the user named them; `allowed`: the paths of their files."""
    with built_in_alone():
        _refuse_paths(strict_yaml.parse(path, content), data)  # before a field is known
        recipe = parsed(content, path)
    if found := [Mistake(why, "wrong_value", field=field) for field, why in _refused(recipe, data, allowed)]:
        raise refused(found)
    return recipe


def programs(recipe: Recipe) -> list[str]:
    """What of it runs programs that a model writes, or asks a data base what a model says."""
    tools = {
        "python": "runs what a model writes as a program, in a sandbox",
        "sql": "asks a data base what a model writes",
    }
    found = [
        f"steps.{name} {tools[tool]}"
        for name, step in recipe.steps.items()
        for tool in step.tools
        if tool in tools
    ]
    shown = recipe.metrics.in_context
    if shown and shown.by == PASSES:
        found.append(f"metrics.in_context {tools['python']}")
    return found


def _refuse_paths(document: strict_yaml.Document, data: str | None) -> None:
    """UserError for texts that lead out of the working directory."""
    found = [
        Mistake(
            f"{text} is not here: {_only(data)}",
            "wrong_value",
            *(str(document.path), document.line(place), ".".join(place)),
        )
        for place, text in _texts(document.content)
        if text != data and ELSEWHERE.fullmatch(text)
    ]
    if found:
        raise refused(found)


def _refused(recipe: Recipe, data: str | None, allowed: Collection[str]) -> Iterator[tuple[str, str]]:
    own = {name for name, step in recipe.steps.items() if "function" in step.tools}
    for name in own:  # whose file is not looked for: that imports what it is in
        yield f"steps.{name}", "a function would run code that is not built in: leave it out"
    for section in (*READS, *(f"steps.{name}" for name in recipe.steps if name not in own)):
        if other := [file for file in files(recipe, section) if os.path.normpath(file) not in allowed]:
            more = f" (and {len(other) - 1:,} more)" if len(other) > 1 else ""
            yield section, f"{other[0]}{more} is not the data: {_only(data)}"
    if recipe.seeds.asset:
        yield "seeds.asset", f"it is another set: {_only(data)}"
    annotated = recipe.task.annotate
    for place, read in (("seeds", recipe.seeds.read), ("task.annotate", annotated and annotated.read)):
        if read and read.query:
            yield f"{place}.read.query", "SQL may read other files: name a `table`, or leave it out"
    if recipe.encoder:
        yield "encoder", "it would be fetched, and run: leave it out"
    for place, model in _models(recipe):
        if model not in (recipe.model, "embedded"):
            told = model if isinstance(model, str) else "an entry of its own"
            yield place, f"{told} is not the model that was named: leave it out"


def _only(data: str | None) -> str:
    return f"the only file that it may name is {data}" if data else "no file was given, so leave it out"


def _texts(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _texts(part, (*place, str(name)))
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part, place)
    elif isinstance(value, str):
        yield place, value


def _models(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, str | NamedModel]]:
    """Each model that a section names, wherever in the recipe that stands."""
    if isinstance(value, NamedModel):
        yield ".".join(place), value
    elif isinstance(value, BaseModel):
        for name, part in vars(value).items():
            if isinstance(part, str) and (name == "model" or name.endswith("_model")):
                yield ".".join((*place, name)), part
            yield from _models(part, (*place, name))
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _models(part, (*place, str(name)))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _models(part, place)
