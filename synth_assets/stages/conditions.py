"""Stage `conditions`: one row a request-to-be."""

from __future__ import annotations

from typing import Any

from synth_assets.generation.conditions.table import design, of_texts
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.steering import goes_by_earlier
from synth_assets.stages import accepted, feedback
from synth_assets.stages.run import Run
from synth_assets.stages.stage import ANSWERED, Made, Stage, Table
from synth_assets.stages.texts import of_round
from synth_assets.stages.values import around

SECTIONS = ["codebook", "conditions", "demonstrations", "rows", "samples", "seed", "feedback"]


def compute(run: Run, seeds: Table) -> Made:
    """One row a request-to-be: values, demonstrations."""
    return Made(drawn(run, seeds, quota(run)))


def until_accepted(run: Run, seeds: Table) -> Made:
    """Requests until enough of their rows pass the filters that look at a row alone."""
    return accepted.compute(run, seeds, _drawing(run, seeds))


def may_be_asked(run: Run, seeds: Table) -> Table:
    """Of a plan: the requests that there are, or may be, until enough rows pass."""
    return accepted.foreseen(run, seeds, _drawing(run, seeds))


def _drawing(run: Run, seeds: Table) -> accepted.Draw:
    """The first so many rows of the run's cell, as often as is wanted."""
    looks = around(run, seeds)
    return lambda rows: design(run.recipe, seeds, round_=run.round, cell=run.cell, rows=rows, around=looks)


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
    return run.recipe.most_rows if (asked := feedback.asked(run)) is None else asked.rows[run.cell]


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    after = ["feedback", *(["values"] if recipe.listed else []), *(["grown"] if recipe.growing else [])]
    sections = [*SECTIONS, *(["shows_decided"] if recipe.shows_decided else [])]
    common: dict[str, Any] = {"reads": ["seeds"], "after": after, "follows": goes_by_earlier(recipe)}
    if isinstance(recipe.rows, int):
        return Stage("conditions", compute, sections=sections, foretold=True, **common)
    return Stage(
        "conditions",
        until_accepted,
        sections=[*sections, *accepted.sections(recipe)],
        checks={**ANSWERED, **accepted.CHECKS},
        asks=may_be_asked,
        model=recipe.model,
        pays=True,
        ahead=True,
        **common,
    )
