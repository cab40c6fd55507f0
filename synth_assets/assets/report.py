"""Asset `report`: the round as one HTML page, and its tables for the Dagster UI. It makes no rows."""

import dagster as dg

from synth_assets.assets.factory import follows, key
from synth_assets.partitions import rounds
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.home import shared


def build(recipe: Recipe) -> dg.AssetsDefinition:
    """The asset `report` of a recipe."""

    @dg.asset(
        key=key(recipe, "report"),
        deps=[key(recipe, "metrics")],
        partitions_def=rounds(recipe.start, recipe.timezone),
        group_name=recipe.name,
        description="What the round made, at which cost, and what it is worth: one HTML page.",
        kinds={"html"},
        automation_condition=follows(recipe),
    )
    def compute(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from synth_assets.report.one_round import Round, place
        from synth_assets.report.pages import inert, markdown
        from synth_assets.report.round import write
        from synth_assets.report.views import with_views

        round_ = context.partition_key
        path = place(recipe.name, round_)
        warehouse = with_views(recipe)
        found = write(recipe, warehouse, round_, path)
        shared(path.parent, path.name, changed=True)
        verdict = Round(recipe, warehouse, round_).verdict()
        return dg.MaterializeResult(
            metadata={
                "verdict": verdict,
                "report": dg.MetadataValue.md("\n".join([inert(verdict), "", *markdown(found)])),
                "page": dg.MetadataValue.path(str(path)),
                "open": f"synth report {recipe.name} --round {round_} --open",
            }
        )

    return compute
