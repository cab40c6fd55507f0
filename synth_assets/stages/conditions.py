"""Asset `conditions`: one row a request-to-be."""

import dagster as dg

from synth_assets.assets.factory import asset, partition_of, refreshes, result
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions.table import design
from synth_assets.partitions import previous_round, previous_round_same_cell
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages import tables
from synth_assets.stages.stage import Table, key
from synth_assets.stages.values import around

SECTIONS = ["codebook", "conditions", "demonstrations", "rows", "samples", "seed", "feedback"]


def build(recipe: Recipe) -> dg.AssetsDefinition:
    deps = [dg.AssetDep(key(recipe, "feedback"), partition_mapping=previous_round_same_cell())]
    if recipe.listed:
        deps.append(dg.AssetDep(key(recipe, "values")))

    @asset(
        recipe,
        "conditions",
        reads=["seeds"],
        deps=deps,
        sections=SECTIONS,
        automation_condition=refreshes(recipe),
    )
    def compute(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        encoder: dg.ResourceParam[MiniLM],
        seeds: Table,
    ) -> dg.MaterializeResult:
        """One row a request-to-be: values, demonstrations."""
        partition = partition_of(context)
        rows = design(
            recipe,
            seeds,
            round_=partition["round"],
            cell=partition["cell"],
            rows=quota(recipe, lake, partition),
            around=around(recipe, lake, partition["round"], seeds, encoder.encode),
        )
        return result(recipe, "conditions", rows)

    return compute


def quota(recipe: Recipe, lake: Lake, partition: dict[str, str]) -> int:
    """Rows to ask for: the recipe's number, or what the round before fed back."""
    before = {"round": previous_round(partition["round"]), "cell": partition["cell"]}
    if recipe.feedback.rows == "fixed":
        return recipe.rows
    if not lake.path(recipe.name, "feedback", before).exists():
        if lake.path(recipe.name, "conditions", before).exists() and _was_measured(recipe, lake, before):
            raise UserError(
                f"{recipe.name}: round {before['round']} was measured, but what it tells the next one of "
                f"{before['cell']!r} is lost. Run it again: synth run {recipe.name} --round {before['round']}"
            )
        return recipe.rows
    return int(
        lake.read(recipe.name, "feedback", [before], tables.schema(recipe, "feedback"))["rows"].iloc[0]
    )


def _was_measured(recipe: Recipe, lake: Lake, partition: dict[str, str]) -> bool:
    return lake.path(recipe.name, "metrics", {"round": partition["round"]}).exists()
