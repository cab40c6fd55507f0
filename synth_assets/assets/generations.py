"""Asset `generations`: what the model answered, row by row."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from resources.batches import Pending
from resources.lake import Lake
from resources.language_model import LanguageModel
from synth_assets.assets import plots
from synth_assets.assets.model import CHECKS as MODEL_CHECKS
from synth_assets.assets.model import BoundModel
from synth_assets.assets.stage import (
    LANGUAGE_MODEL_POOL,
    Table,
    asset,
    check,
    not_yet,
    result,
    schema_check,
)
from synth_assets.generation.steps import run
from synth_assets.recipe import Recipe

CHECKS = {
    "rows_present": "Did any condition get an accepted row?",
    "schema": "Are the row ids unique?",
    "minimum_yield": "Is the share of accepted rows at least the recipe's minimum_yield?",
}


def build(recipe: Recipe) -> dg.AssetsDefinition:
    @asset(
        recipe,
        "generations",
        reads=["conditions", "seeds"],
        sections=["task", "steps", "model"],
        checks={**CHECKS, **MODEL_CHECKS},
        pool=LANGUAGE_MODEL_POOL,
        required=recipe.mode == "online",
    )
    def compute(
        context: dg.AssetExecutionContext,
        language_model: dg.ResourceParam[LanguageModel],
        lake: dg.ResourceParam[Lake],
        conditions: Table,
        seeds: Table,
    ) -> Iterator[Any]:
        """What the model answered, or why it did not."""
        model = BoundModel(language_model, recipe, context, batched=recipe.mode == "batch")
        try:
            rows = run(recipe.step, recipe.task, conditions, seeds, model)
        except Pending as pending:
            yield from not_yet(context, str(pending), pending.batches)
            return
        model.save_calls(lake)
        rows = rows.assign(model=model.name, accepted=rows["reason"].isna())
        reasons = rows["reason"].fillna("accepted").value_counts()
        lengths = {
            cell: rows.loc[rows["accepted"], "text"].str.split().str.len() for cell in rows["cell"].unique()
        }
        yield result(
            recipe,
            "generations",
            rows,
            {
                "outcomes": plots.bars("rows by outcome", reasons.to_dict()),
                "lengths": plots.histogram("words a row", lengths),
                "accepted": int(rows["accepted"].sum()),
                **model.metadata(),
            },
            [*_checks(recipe, rows), *model.checks("generations")],
        )

    return compute


def _checks(recipe: Recipe, rows: Table) -> list[dg.AssetCheckResult]:
    accepted, asked = int(rows["accepted"].sum()), len(rows)
    share = accepted / asked if asked else 0.0
    why = ", ".join(f"{n} {reason}" for reason, n in rows["reason"].value_counts().items()) or "none rejected"
    return [
        check(
            recipe,
            "generations",
            "rows_present",
            accepted > 0,
            f"{accepted} of {asked} rows accepted ({why}).",
        ),
        schema_check(recipe, "generations", rows),
        check(
            recipe,
            "generations",
            "minimum_yield",
            share >= recipe.minimum_yield,
            f"{share:.0%} of the rows accepted, the recipe wants {recipe.minimum_yield:.0%} ({why}).",
            share=round(share, 4),
        ),
    ]
