"""Assets `generations_<step>` and `generations`: what a model answered or a tool gave, row by row, a
step an asset."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from synth_assets.assets.factory import (
    LANGUAGE_MODEL_POOL,
    asset,
    check_all,
    not_yet,
    partition_of,
    refreshes,
    result,
)
from synth_assets.assets.logged_model import BoundModel
from synth_assets.generation.steps import chain
from synth_assets.recipe.recipe import Recipe
from synth_assets.report import plots
from synth_assets.resources.gateway.batches.submit import Pending
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.sandbox import tools
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages.stage import Table, Verdict, unique_ids
from synth_assets.stages.values import shown_rows

CHECKS = {
    "answered": "Did every request get an answer within the budget, and are enough of them rows "
    "(the recipe's minimum_yield)?"
}


def build(recipe: Recipe, stage: str) -> dg.AssetsDefinition:
    name, stages = recipe.step_stages[stage], list(recipe.step_stages)
    step = recipe.steps[name]

    @asset(
        recipe,
        stage,
        reads=["conditions", *stages[: stages.index(stage)]],
        sections=[f"steps.{name}"],
        checks=CHECKS,
        pool=LANGUAGE_MODEL_POOL if step.asks else None,
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
        """What the step made of each row: what a model answered or a tool gave, or why there is nothing."""
        check_steps(recipe)  # of all steps, before the first is paid
        shown = shown_rows(recipe, lake, partition_of(context)["round"])
        earlier = {s: before[s] for s in stages if s in before}
        models = recipe.models_of(name)
        batched = recipe.mode == "batch"
        model = BoundModel(language_model, recipe, context, models[0], batched) if models else None
        user = model.other(models[-1]) if model else None
        try:
            rows = chain.run(recipe, stage, conditions, shown, model, earlier, tools.run, user)
        except Pending as pending:
            yield from not_yet(context, str(pending), pending.batches)
            return
        if model:
            model.save_calls(lake)
        asked = rows["call_id"].notna()
        rows = rows.assign(model=[model.name if model and one else None for one in asked])
        reasons = rows["reason"].fillna("accepted").value_counts()
        lengths = {
            cell: rows.loc[rows["accepted"], "text"].str.split().str.len() for cell in rows["cell"].unique()
        }
        verdicts = [*(model.verdicts() if model else ()), *_verdicts(recipe, rows)]
        yield result(
            recipe,
            stage,
            rows,
            {
                "outcomes": plots.bars("rows by outcome", reasons.to_dict()),
                "lengths": plots.histogram("words a row", lengths),
                "accepted": int(rows["accepted"].sum()),
                **(model.metadata() if model else {}),
            },
            [check_all(recipe, stage, "answered", *verdicts)],
        )

    return compute


def check_steps(recipe: Recipe) -> None:
    """UserError when a step cannot be done: its template names what it cannot know, its tool has no file."""
    chain.check(recipe)
    for step in recipe.steps.values():
        if step.kind == "tool":
            tools.check(step.tool, step.settings)


def _verdicts(recipe: Recipe, rows: Table) -> list[Verdict]:
    """Of the samples of a question that was voted on, one was asked for."""
    accepted, asked = int(rows["accepted"].sum()), int((rows["reason"] != "outvoted").sum())
    share = accepted / asked if asked else 0.0
    why = ", ".join(f"{n} {reason}" for reason, n in rows["reason"].value_counts().items()) or "none rejected"
    wanted = f"{recipe.minimum_yield:.0%}" if recipe.minimum_yield else "one at least"
    words = f"{accepted} of {asked} rows accepted, the recipe wants {wanted} ({why})."
    return [Verdict(accepted > 0 and share >= recipe.minimum_yield, words), unique_ids(rows)]
