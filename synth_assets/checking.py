"""`synth check`: everything about a recipe that can be known without asking a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from partitions import today
from resources import batches
from resources.language_model import resolve_model
from resources.sources import read_rows
from synth_assets.errors import UserError
from synth_assets.generation import chain, steps
from synth_assets.generation.conditions import design
from synth_assets.recipe import Recipe
from synth_assets.selection.splits import support_set

if TYPE_CHECKING:
    import pandas as pd


def check_recipe(recipe: Recipe) -> Iterator[str]:
    """Read the seeds, draw a row of each cell and render its prompts; yields what a person wants to see.

    Raises UserError at the first thing that is wrong.
    """
    chain.check(recipe)
    seeds = support_set(read_rows(recipe.seeds.file), recipe.seeds, recipe.cells, recipe.seed)
    counts = seeds["split"].value_counts()
    yield f"seeds        {', '.join(f'{counts[s]:,} {s}' for s in counts.index)}"
    for cell in recipe.cells:
        row = design(recipe, seeds, round_=today(recipe.timezone), cell=cell, rows=1)
        yield f"cell         {cell}: {recipe.rows:,} rows a round; the first prompt is"
        yield from _prompts(recipe, row, seeds)
    for name, step in recipe.steps.items():
        if step.answer_schema:
            yield f"output       {step.answer_schema}" + _of(recipe, name)
    for name in recipe.steps:
        yield f"model        {_model(recipe, name)}" + _of(recipe, name)
    if recipe.mode == "batch":
        each = " a step" if len(recipe.steps) > 1 else ""
        yield f"mode         batch: rows go through the Batch API and are collected within a day{each}"
    yield f"filters      {', '.join(f'{n} ({f.threshold()})' for n, f in recipe.filters.items()) or 'none'}"
    yield f"schedule     {recipe.schedule or 'none'} ({recipe.timezone})"
    yield f"{recipe.name} is right."


def _prompts(recipe: Recipe, row: pd.DataFrame, seeds: pd.DataFrame) -> Iterator[str]:
    """The prompt of each step. What stands for answers need not suit a later one: then, its template."""
    said, first = chain.placeholders(recipe, row), next(iter(recipe.steps))
    for name, step in recipe.steps.items():
        try:
            messages = next(steps.messages(step, recipe.task, row, seeds, "completions", said))
            text = "\n".join(message["content"] for message in messages)
        except UserError:
            if name == first:
                raise
            text = step.template
        if name != first:
            yield f"             and of {name}, without the answers before it,"
        yield "\n".join(f"    | {line}" for line in text.splitlines())


def _of(recipe: Recipe, step: str) -> str:
    return f" (step {step})" if len(recipe.steps) > 1 else ""


def _model(recipe: Recipe, step: str) -> str:
    """The model in words; a key that is missing here may be set where the recipe runs."""
    try:
        model = resolve_model(recipe.model_of(step))
    except UserError as error:
        return f"{recipe.model_of(step)} (not ready here: {error})"
    price = model.price
    if recipe.mode == "batch":
        batches.check(model)
        price = price and price.batched()
    costs = f"${price.prompt:g} and ${price.completion:g} a million tokens" if price else "price not known"
    return f"{model.name} at {model.endpoint}, {model.api}, {'free' if price and price.free else costs}"
