"""Asset `feedback`: what a round tells the next one. External to the graph, so that the loop over rounds
is no cycle: the metrics step writes it and reports it, the next round's conditions read it."""

from collections.abc import Mapping

import dagster as dg

from partitions import cell_key
from resources.lake import Lake
from synth_assets import tables
from synth_assets.assets.stage import key, partitions_of
from synth_assets.generation.conditions import quotas
from synth_assets.recipe import Recipe


def build(recipe: Recipe) -> dg.AssetSpec:
    return dg.AssetSpec(
        key(recipe, "feedback"),
        partitions_def=partitions_of(recipe, "feedback"),
        group_name=recipe.name,
        kinds={"parquet"},
        description="Rows that the next round asks for; written by metrics.",
    )


def report(
    recipe: Recipe,
    lake: Lake,
    context: dg.AssetExecutionContext,
    round_: str,
    yields: Mapping[str, float | None],
) -> None:
    """Write the round's feedback and tell Dagster, one observation a cell."""
    import pandas as pd

    for cell, rows in quotas(yields, recipe.rows).items():
        share = yields[cell]
        table = tables.to_arrow(
            recipe,
            "feedback",
            pd.DataFrame([{"round": round_, "cell": cell, "yield": share, "rows": rows}]),
        )
        lake.write(recipe.name, "feedback", {"round": round_, "cell": cell}, table)
        context.log_event(
            dg.AssetObservation(
                key(recipe, "feedback"),
                partition=cell_key(round_, cell),
                metadata={"cell": cell, "yield": None if share is None else round(share, 4), "rows": rows},
                tags={"dagster/data_version": tables.content_hash(table)},
            )
        )
