"""`synth sample`: rows for people to label, or pairs for people to compare, as a CSV file to fill in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets import tables
from synth_assets.assets.metrics import last_measured
from synth_assets.errors import UserError
from synth_assets.evaluation.faithfulness import drawn_for_people
from synth_assets.evaluation.measure import drawn_pairs
from synth_assets.people import BETTER, pairs_to_judge

if TYPE_CHECKING:
    import pandas as pd

    from resources.lake import Lake
    from synth_assets.recipe import Recipe


def latest(recipe: Recipe, lake: Lake) -> str:
    """The last round that kept rows."""
    rounds = [p["round"] for p in lake.partitions(recipe.name, "filtered", tables.STAGES["filtered"])]
    if not rounds:
        raise UserError(f"{recipe.name} has no rows yet: run `synth run {recipe.name}` first.")
    return max(rounds)


def sample_rows(recipe: Recipe, lake: Lake, round_: str, n: int, to: Path) -> Iterator[str]:
    """Writes `n` of the round's rows (all, where there are fewer), drawn at random; what to do with them."""
    rows = _kept(recipe, lake, round_)
    drawn = rows.set_index("row_id").loc[drawn_for_people(list(rows["row_id"]), n, recipe.seed), ["text"]]
    drawn.assign(label="").to_csv(to)
    yield f"{len(drawn):,} of {len(rows):,} rows of {round_} are in {to}. Fill in their labels, and"
    yield f"add to the recipe:\n    labelled: {{human: {to}}}"
    yield "They override all other labels, and correct what the metrics say of the rest."


def sample_pairs(recipe: Recipe, lake: Lake, round_: str, n: int, to: Path) -> Iterator[str]:
    """The same of the pairs that the judge compares: rows of the round and of the one measured before it."""
    judge = recipe.metrics.judge
    if judge is None:
        raise UserError(f"{recipe.name} has no judge: write `metrics: {{judge: {{}}}}` into the recipe.")
    last = last_measured(recipe, lake, round_)
    if last is None:
        raise UserError(f"{recipe.name} has no round before {round_} that was measured: nothing to compare.")
    pairs = drawn_pairs(_kept(recipe, lake, round_), _kept(recipe, lake, last), judge.rows)
    drawn = pairs_to_judge(pairs, n)
    drawn.to_csv(to, index=False)
    yield f"{len(drawn):,} of {len(pairs):,} pairs of rows of {round_} and {last} are in {to}. Fill in"
    yield f"`better` ({', '.join(BETTER)}), and add to the recipe:\n    metrics: {{judge: {{people: {to}}}}}"
    yield "They tell how far the judge says what people say, and correct its win rate."


def _kept(recipe: Recipe, lake: Lake, round_: str) -> pd.DataFrame:
    return lake.read(recipe.name, "filtered", [{"round": round_}], tables.schema(recipe, "filtered"))
