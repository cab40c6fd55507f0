"""`synth check`: say whether a recipe is right, without a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.annotation.people import read_human, read_verdicts
from synth_assets.commands.options import missing, recipe_named
from synth_assets.contracts.provider import Around
from synth_assets.core.errors import NotInstalled, UserError
from synth_assets.generation.conditions.asking import questions
from synth_assets.generation.conditions.knowledge import retrieve
from synth_assets.generation.conditions.table import design
from synth_assets.generation.steps import chain
from synth_assets.partitions import today
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.gateway.batches import submit
from synth_assets.resources.gateway.embedded_server import PACKAGED
from synth_assets.resources.gateway.models import resolve_model
from synth_assets.resources.home import encoder
from synth_assets.stages.generations import check_steps
from synth_assets.stages.seeds import seed_rows

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.contracts.model_spec import NamedModel


SMALL = (
    "steps.{} is a chat prompt for the embedded model, which has 135 million parameters and follows "
    "examples, not instructions: write `complete`, as `synth new NAME --model embedded` does, or name "
    "another model."
)


def check_recipe(recipe: Recipe) -> Iterator[str]:
    """Read the seeds, draw a row of each cell and render its prompts; yields what a person wants to see.

    Raises UserError at the first thing that is wrong.
    """
    check_steps(recipe)
    seeds = seed_rows(recipe)
    yield from missing(recipe)
    counts = seeds["split"].value_counts()
    yield f"seeds        {', '.join(f'{counts[s]:,} {s}' for s in counts.index) or 'none'}"
    around = Around({"seeds": seeds}, encoder().encode, lambda name, given: [f"<{name}>"])
    for name, _, given, question in questions(recipe):
        yield f"values       {name}{f' for {given}' if given else ''}: {question}"
    yield f"fields       {', '.join(chain.fields(recipe))}"
    for cell in recipe.cells:
        row = design(recipe, seeds, round_=today(recipe.timezone), cell=cell, rows=1, around=around)
        yield f"cell         {cell}: {recipe.rows:,} rows a round; the first prompt is"
        yield from _prompts(recipe, row, seeds)
    for name, step in recipe.steps.items():
        if step.answer_schema:
            yield f"output       {step.answer_schema}" + _of(recipe, name)
    for name, step in recipe.steps.items():
        for model in recipe.models_of(name):
            yield f"model        {_model(recipe, model)}" + _of(recipe, name)
            if step.under_role and _is_small(model):
                yield f"warning      {SMALL.format(name)}"
        for tool in step.tools:
            yield f"tool         {tool}" + _of(recipe, name)
    if recipe.mode == "batch":
        each = " a step" if len(recipe.steps) > 1 else ""
        yield f"mode         batch: rows go through the Batch API and are collected within a day{each}"
    filters = [f"{n} ({f.threshold()})" if f.threshold() else n for n, f in recipe.filters.items()]
    yield f"filters      {', '.join(filters) or 'none'}"
    if recipe.labelled.human:
        people = read_human(recipe.labelled.human, recipe.labels)
        yield f"human        {len(people.labels):,} labels in {people.file}"
    if recipe.metrics.judge and recipe.metrics.judge.people:
        verdicts = len(read_verdicts(recipe.metrics.judge.people)) // 2
        yield f"judge        {verdicts:,} verdicts of people in {recipe.metrics.judge.people}"
    if recipe.metrics.facts:
        retrieve(recipe.metrics.facts.file, "", 1)
    yield f"schedule     {recipe.schedule or 'none'} ({recipe.timezone})"
    yield f"{recipe.name} is right."


def _is_small(spec: str | NamedModel) -> bool:
    """Whether it is the packaged model; where it is not installed, nothing is known of another."""
    try:
        model = resolve_model(spec)
    except NotInstalled:
        return True
    except UserError:
        return False
    return model.name == Path(PACKAGED).stem


def _prompts(recipe: Recipe, row: pd.DataFrame, seeds: pd.DataFrame) -> Iterator[str]:
    """The prompt of each step. What stands for answers need not suit a later one: then, its template."""
    first = next(iter(recipe.steps))
    for name, step in recipe.steps.items():
        try:
            text = "\n".join(chain.shown(recipe, name, row, seeds))
        except UserError:
            if name == first:
                raise
            text = step.template
        if name != first:
            yield f"             and of {name}, without the answers before it,"
        yield "\n".join(f"    | {line}" for line in text.splitlines())


def _of(recipe: Recipe, step: str) -> str:
    return f" (step {step})" if len(recipe.steps) > 1 else ""


def _model(recipe: Recipe, spec: str | NamedModel) -> str:
    """The model in words; a key that is missing here may be set where the recipe runs."""
    try:
        model = resolve_model(spec)
    except UserError as error:
        return f"{spec} (not ready here: {error})"
    price = model.price
    if recipe.mode == "batch":
        submit.check(model)
        price = price and price.batched()
    costs = f"${price.prompt:g} and ${price.completion:g} a million tokens" if price else "price not known"
    return f"{model.name} at {model.endpoint}, {model.api}, {'free' if price and price.free else costs}"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")


def command(options: argparse.Namespace) -> None:
    for line in check_recipe(recipe_named(options.name)):
        print(line)
