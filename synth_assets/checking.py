"""`synth check`: everything about a recipe that can be known without asking a model."""

from __future__ import annotations

from collections.abc import Iterator

from partitions import today
from resources import batches
from resources.language_model import resolve_model
from resources.sources import read_rows
from synth_assets.errors import UserError
from synth_assets.generation import prompts, steps
from synth_assets.generation.conditions import design
from synth_assets.recipe import Recipe
from synth_assets.selection.splits import support_set


def check_recipe(recipe: Recipe) -> Iterator[str]:
    """Read the seeds, draw a row of each cell and render its prompt; yields what a person wants to see.

    Raises UserError at the first thing that is wrong.
    """
    prompts.check(recipe.step.template, steps.fields(recipe.task, list(recipe.attributes)))
    seeds = support_set(read_rows(recipe.seeds.file), recipe.seeds, recipe.cells, recipe.seed)
    counts = seeds["split"].value_counts()
    yield f"seeds        {', '.join(f'{counts[s]:,} {s}' for s in counts.index)}"
    for cell in recipe.cells:
        row = design(recipe, seeds, round_=today(recipe.timezone), cell=cell, rows=1)
        messages = next(steps.messages(recipe.step, recipe.task, row, seeds, "completions"))
        yield f"cell         {cell}: {recipe.rows:,} rows a round; the first prompt is"
        yield "\n".join(f"    | {line}" for m in messages for line in m["content"].splitlines())
    if schema := recipe.step.answer_schema:
        yield f"output       {schema}"
    yield f"model        {_model(recipe)}"
    if recipe.mode == "batch":
        yield "mode         batch: rows go through the Batch API and are collected within a day"
    yield f"filters      {', '.join(f'{n} ({f.threshold()})' for n, f in recipe.filters.items()) or 'none'}"
    yield f"schedule     {recipe.schedule or 'none'} ({recipe.timezone})"
    yield f"{recipe.name} is right."


def _model(recipe: Recipe) -> str:
    """The model in words; a key that is missing here may be set where the recipe runs."""
    try:
        model = resolve_model(recipe.model)
    except UserError as error:
        return f"{recipe.model} (not ready here: {error})"
    price = model.price
    if recipe.mode == "batch":
        batches.check(model)
        price = price and price.batched()
    costs = f"${price.prompt:g} and ${price.completion:g} a million tokens" if price else "price not known"
    return f"{model.name} at {model.endpoint}, {model.api}, {'free' if price and price.free else costs}"
