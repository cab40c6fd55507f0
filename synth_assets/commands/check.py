"""`synth check`: say whether a recipe is right, without a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain as flat_of
from typing import TYPE_CHECKING, Any

import yaml

from synth_assets.commands.options import named_line, recipe_named
from synth_assets.commands.output import add_json
from synth_assets.planning.checked import PROMPT, check_recipe
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.gateway import probe
from synth_assets.resources.gateway.models import models_file, named_models, resolve_model
from synth_assets.resources.home import language_model

if TYPE_CHECKING:
    from synth_assets.contracts.model_spec import NamedModel

Said = Iterator[tuple[str, str]]  # what it is about, and what is to be seen of it


def line(name: str, says: str) -> str:
    """For a person: what is said of it, and a prompt as it is."""
    if name == PROMPT:
        return "\n".join(f"    | {each}" for each in says.splitlines())
    return named_line(name, says)


def _asked(spec: str | NamedModel) -> Said:
    """What the endpoint of a model takes, and its entry of models.yaml with that."""
    known = named_models(models_file()).get(spec) if isinstance(spec, str) else spec
    model, questions, changes = resolve_model(spec), probe.questions(), dict[str, Any]()
    use = probe.most(questions, model)
    cost = f"${use.nanodollars / 1e9:.4f}" if model.price else "its price is not known"
    yield "ask", f"{model.name} at {model.address}: 3 questions, at most {use.tokens:,} tokens ({cost})"
    for words in probe.probe(language_model(), model, questions, changes):
        yield "", words
    if not changes:
        yield "", "its entry may stay as it is."
        return
    said = known.model_dump(by_alias=True, exclude_unset=True) if known else {"name": model.name}
    name = spec if isinstance(spec, str) else "model"
    yield "", "write this in models.yaml:"
    yield PROMPT, yaml.safe_dump({name: probe.entry(said, changes)}, sort_keys=False, width=100)


def _models(recipe: Recipe) -> list[str | NamedModel]:
    """Those that it asks, each once."""
    asked = [model for step in recipe.steps for model in recipe.models_of(step)]
    return list({str(model): model for model in (*asked, recipe.annotator_model)}.values())


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a recipe; with --ask, an alias of models.yaml too")
    parser.add_argument(
        "--ask",
        action="store_true",
        help="ask each model three short questions, and say what its entry in models.yaml should say",
    )
    add_json(parser)


def command(options: argparse.Namespace) -> None:
    found = list[dict[str, str]]()
    alias = options.ask and options.name in named_models(models_file())
    recipe = None if alias else recipe_named(options.name)
    options.out.give(recipe=options.name, found=found)
    models = _models(recipe) if recipe else [options.name]
    parts = [check_recipe(recipe)] if recipe else []
    parts += map(_asked, models if options.ask else ())
    for name, says in flat_of.from_iterable(parts):
        found.append({"what": name, "says": says})
        options.out.lines([line(name, says)])
    if recipe:
        options.out.lines([f"{recipe.name} is right."])
