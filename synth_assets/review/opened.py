"""The desk of a recipe, over the rows and decisions of this home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_assets.core.errors import UserError
from synth_assets.report.one_round import latest_round
from synth_assets.resources import home
from synth_assets.review.desk import Desk
from synth_assets.review.rows import Pairs, Rows
from synth_assets.stages.metrics import last_measured
from synth_assets.stages.run import Run

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe


def opened(recipe: Recipe, asked: str | None = None) -> Desk:
    """The round that is asked for, or the latest one that has rows. UserError where people are asked nothing,
    or there is nothing to ask about."""
    if recipe.review is None:
        raise UserError(f"{recipe.name} asks people nothing: write `review: {{}}` into its recipe.")
    round_, lake = latest_round(recipe, "filtered", asked), home.lake()
    if recipe.review.ask == "pair":
        run = Run(recipe, lake, home.encoder(), round_)
        rows: Rows = Pairs(recipe, lake, round_, last_measured(run))
    else:
        rows = Rows(recipe, lake, round_)
    home.made()
    return Desk(recipe, rows, home.decisions())
