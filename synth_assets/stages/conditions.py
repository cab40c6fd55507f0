"""Stage `conditions`: one row a request-to-be."""

from __future__ import annotations

from datetime import date, timedelta

from synth_assets.core.errors import UserError
from synth_assets.generation.conditions.table import design, of_texts
from synth_assets.recipe.recipe import Recipe
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
    """Rows to ask for: the recipe's number, or what the round before fed back."""
    if run.recipe.feedback.rows == "fixed":
        return run.recipe.rows
    day = (date.fromisoformat(run.round) - timedelta(days=1)).isoformat()
    before = {"round": day, "cell": run.cell}
    if run.there("feedback", before):
        return int(run.read("feedback", before)["rows"].iloc[0])
    if run.there("conditions", before) and run.there("metrics", {"round": day}):
        raise UserError(
            f"{run.recipe.name}: round {day} was measured, but what it tells the next one of "
            f"{run.cell!r} is lost. Run it again: synth run {run.recipe.name} --round {day}"
        )
    return run.recipe.rows


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    after = ["feedback", *(["values"] if recipe.listed else []), *(["grown"] if recipe.growing else [])]
    sections = [*SECTIONS, *(["shows_decided"] if recipe.shows_decided else [])]
    return Stage("conditions", compute, reads=["seeds"], after=after, sections=sections, foretold=True)
