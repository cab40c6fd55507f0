"""Assets `generations_<step>` and `generations`: what the model answered, row by row, a step an asset."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from resources.batches import Pending
from resources.lake import Lake
from resources.language_model import LanguageModel
from synth_assets import tables
from synth_assets.assets import plots
from synth_assets.assets.model import BoundModel
from synth_assets.assets.stage import (
    LANGUAGE_MODEL_POOL,
    Table,
    Verdict,
    asset,
    check_all,
    not_yet,
    refreshes,
    result,
    unique_ids,
)
from synth_assets.generation import chain
from synth_assets.recipe import Recipe

CHECKS = {
    "answered": "Did every request get an answer within the budget, and are enough of them rows "
    "(the recipe's minimum_yield)?"
}


def build(recipe: Recipe, stage: str) -> dg.AssetsDefinition:
    name, stages = recipe.step_stages[stage], list(recipe.step_stages)

    @asset(
        recipe,
        stage,
        # The seeds are read and not declared: the conditions name the ones that are shown by what they say,
        # so that a seed row which nobody is shown makes nothing stale.
        reads=["conditions", *stages[: stages.index(stage)]],
        sections=[f"steps.{name}"],
        checks=CHECKS,
        pool=LANGUAGE_MODEL_POOL,
        automation_condition=refreshes(recipe),
        required=recipe.mode == "online",
    )
    def compute(
        context: dg.AssetExecutionContext,
        language_model: dg.ResourceParam[LanguageModel],
        lake: dg.ResourceParam[Lake],
        conditions: Table,
        **before: Table,
    ) -> Iterator[Any]:
        """What the model answered, or why it did not."""
        chain.check(recipe)  # of all steps, before the first is paid
        seeds = lake.read(recipe.name, "seeds", [{}], tables.schema(recipe, "seeds"))
        batched = recipe.mode == "batch"
        model = BoundModel(language_model, recipe, context, recipe.model_of(name), batched)
        earlier = {s: before[s] for s in stages if s in before}
        try:
            rows = chain.run(recipe, stage, conditions, seeds, model, earlier)
        except Pending as pending:
            yield from not_yet(context, str(pending), pending.batches)
            return
        model.save_calls(lake)
        rows = rows.assign(model=[model.name if asked else None for asked in rows["call_id"].notna()])
        reasons = rows["reason"].fillna("accepted").value_counts()
        lengths = {
            cell: rows.loc[rows["accepted"], "text"].str.split().str.len() for cell in rows["cell"].unique()
        }
        yield result(
            recipe,
            stage,
            rows,
            {
                "outcomes": plots.bars("rows by outcome", reasons.to_dict()),
                "lengths": plots.histogram("words a row", lengths),
                "accepted": int(rows["accepted"].sum()),
                **model.metadata(),
            },
            [check_all(recipe, stage, "answered", *model.verdicts(), *_verdicts(recipe, rows))],
        )

    return compute


def _verdicts(recipe: Recipe, rows: Table) -> list[Verdict]:
    accepted, asked = int(rows["accepted"].sum()), len(rows)
    share = accepted / asked if asked else 0.0
    why = ", ".join(f"{n} {reason}" for reason, n in rows["reason"].value_counts().items()) or "none rejected"
    wanted = f"{recipe.minimum_yield:.0%}" if recipe.minimum_yield else "one at least"
    words = f"{accepted} of {asked} rows accepted, the recipe wants {wanted} ({why})."
    return [Verdict(accepted > 0 and share >= recipe.minimum_yield, words), unique_ids(rows)]
