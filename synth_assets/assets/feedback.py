"""Asset `feedback`: what a round tells the next one. External to the graph, so that the loop over rounds
is no cycle: the metrics step writes it and reports it, the next round's conditions read it."""

import dagster as dg

from synth_assets.assets.factory import partitions_of
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.stage import key


def build(recipe: Recipe) -> dg.AssetSpec:
    return dg.AssetSpec(
        key(recipe, "feedback"),
        partitions_def=partitions_of(recipe, "feedback"),
        group_name=recipe.name,
        kinds={"parquet"},
        description="Rows that the next round asks for; written by metrics.",
    )
