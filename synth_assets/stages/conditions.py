"""Stage `conditions`: one row a request-to-be."""

from __future__ import annotations

from synth_assets.generation.conditions.table import design, of_texts
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages import feedback
from synth_assets.stages.run import Run
from synth_assets.stages.stage import Made, Stage, Table
from synth_assets.stages.texts import of_round
from synth_assets.stages.values import around

SECTIONS = ["codebook", "conditions", "demonstrations", "rows", "samples", "seed", "feedback"]


def compute(run: Run, seeds: Table) -> Made:
    """One row a request-to-be: values, demonstrations."""
    return Made(drawn(run, seeds, quota(run)))


def first(run: Run, seeds: Table, n: int) -> Table:
    """The first `n` rows of those, or all where there are fewer. Only under `latin` do they depend on how
    many come after them."""
    rows = quota(run)
    return drawn(run, seeds, rows if run.recipe.design == "latin" else min(n, rows)).head(n)


def drawn(run: Run, seeds: Table, rows: int) -> Table:
    """So many rows of the run's cell."""
    looks = around(run, seeds)
    if run.recipe.task.annotate:
        texts = of_round(run, seeds, rows)
        return of_texts(run.recipe, texts, round_=run.round, cell=run.cell, around=looks)
    return design(run.recipe, seeds, round_=run.round, cell=run.cell, rows=rows, around=looks)


def quota(run: Run) -> int:
    """Rows to ask for: the recipe's number, or what the round before asks for."""
    return run.recipe.rows if (asked := feedback.asked(run)) is None else asked.rows[run.cell]


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    after = ["feedback", *(["values"] if recipe.listed else []), *(["grown"] if recipe.growing else [])]
    sections = [*SECTIONS, *(["shows_decided"] if recipe.shows_decided else [])]
    return Stage("conditions", compute, reads=["seeds"], after=after, sections=sections, foretold=True)
