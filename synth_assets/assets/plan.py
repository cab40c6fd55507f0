"""Asset `plan`: what a round would make and pay, to look at before. It asks no model and makes no rows.

It is what a round begins with: the one asset of whole rounds that reads no other, from which Dagster finds
all that belongs to a round when that is materialized by hand. What comes after it never turns stale by it.
Where a backfill begins with it, what would come out as it is is left so (see unchanged.py); whoever selects
stages without their plan has them made again.
"""

from typing import Any

import dagster as dg

from synth_assets.assets.dagster_internals import made_with
from synth_assets.assets.earlier import asked_for
from synth_assets.assets.factory import Assets, key
from synth_assets.assets.states import DATA_VERSION, DagsterStates
from synth_assets.assets.unchanged import Known, Unchanged, leave
from synth_assets.core.text.amounts import count, dollars
from synth_assets.partitions import rounds
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.steering import goes_by_earlier
from synth_assets.report.one_round import place
from synth_assets.report.so_far import why_ended
from synth_assets.report.views import with_views
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages.feedback import as_table

CHANGES_NOTHING = dg.DataVersion("a plan changes no rows")  # the same each time


def note(recipe: Recipe, round_: str, instance: dg.DagsterInstance) -> None:
    """A round that is made from the terminal or by its job has a plan in the UI's eyes too."""
    asset = key(recipe, "plan")
    wanted = dg.AssetRecordsFilter(asset, asset_partitions=[round_])
    if not instance.fetch_materializations(wanted, limit=1).records:
        told = (
            f"The round was made as a whole, without a look at its plan: `synth plan {recipe.name}` has one."
        )
        tags = {DATA_VERSION: CHANGES_NOTHING.value}
        made = dg.AssetMaterialization(asset, told, {"total": told}, partition=round_, tags=tags)
        instance.report_runless_asset_event(made)


def leave_unchanged(context: dg.AssetExecutionContext, recipe: Recipe, unchanged: Unchanged) -> None:
    """Where a backfill makes the round that begins with this plan, what is unchanged of it is left as it is,
    the last stage first: so none is launched while what comes after it is not left yet. Nothing is left of a
    round that goes by earlier ones which that backfill makes as well: what they tell may change."""
    asked, round_ = made_with(context.instance, context.run) - {context.asset_key}, context.partition_key
    if asked and not (goes_by_earlier(recipe) and any(asked_for(context.instance, recipe, round_))):
        found = [e for e in unchanged.whole(place(recipe.name, round_)) if key(recipe, e[0]) in asked]
        left = list(leave(context, recipe, reversed(found)))
        context.log.info(f"{recipe.name} {round_}: {', '.join(left) or 'nothing'} unchanged")


def build(recipe: Recipe, assets: Assets) -> dg.AssetsDefinition:
    """The asset `plan` of a recipe; `assets` are those of its stages."""

    @dg.asset(
        key=key(recipe, "plan"),
        partitions_def=rounds(recipe.start, recipe.timezone),
        group_name=recipe.name,
        description="What the round would make, which calls it would pay, and why. Materialize it to see.",
    )
    def compute(
        context: dg.AssetExecutionContext,
        synth_language_model: dg.ResourceParam[LanguageModel],
        synth_lake: dg.ResourceParam[Lake],
        synth_encoder: dg.ResourceParam[MiniLM],
    ) -> dg.MaterializeResult:
        import pandas as pd

        from synth_assets.planning.plan import asked_of, in_short, plan, totals

        round_ = context.partition_key
        states = DagsterStates(recipe, round_, assets, context.instance, synth_lake, synth_encoder)
        lines = plan(recipe, round_, synth_lake, synth_language_model.call_log, synth_encoder, states)
        shown = pd.DataFrame(
            {
                "stage": [str(line) for line in lines],
                "cell": [line.cell or "" for line in lines],
                "state": [line.state for line in lines],
                "calls": [line.calls if line.calls + line.from_log else "" for line in lines],
                "in the log": [line.from_log if line.calls + line.from_log else "" for line in lines],
                "tokens": [line.tokens.words(count) if line.calls else "" for line in lines],
                "cost": [line.cost.words(dollars) if line.calls else "" for line in lines],
                "why": [line.why for line in lines],
            }
        )
        told = [column for column in shown if shown[column].astype(str).any()]
        table = shown[told].to_markdown(index=False, disable_numparse=True)
        numbers = {name: round(value, 4) for name, value in totals(lines).items() if value is not None}
        log = synth_language_model.call_log
        known = Known(recipe, context.instance, assets, synth_lake, log, synth_encoder)
        leave_unchanged(context, recipe, Unchanged(known, round_))
        ended = why_ended(recipe, synth_lake, with_views(recipe))
        said: dict[str, Any] = {"rounds": ended} if ended else {}
        asked, _ = asked_of(recipe, round_, synth_lake, synth_encoder)
        if asked:
            said["asked"] = dg.MetadataValue.md(as_table(asked, recipe.feedback.rows))
        return dg.MaterializeResult(
            metadata={"total": in_short(lines), "plan": dg.MetadataValue.md(table), **numbers, **said},
            data_version=CHANGES_NOTHING,
        )

    return compute
