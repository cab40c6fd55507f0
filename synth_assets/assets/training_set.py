"""Asset `training_set`: what there is to train on, of the latest round. It has no partitions and keeps no
rows of its own; whatever trains depends on it in one line."""

import dagster as dg

from synth_assets.assets.factory import IO_MANAGER, key
from synth_assets.core.errors import UserError
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage.lake import Lake
from synth_assets.resources.storage.warehouse import plain
from synth_assets.stages import tables

NAME, STAGE = "training_set", "weighted"


def build(recipe: Recipe) -> dg.AssetsDefinition:
    """The asset `training_set` of a recipe."""

    @dg.asset(
        key=key(recipe, NAME),
        deps=[key(recipe, STAGE)],
        group_name=recipe.name,
        kinds={"parquet"},
        description="The rows to train on, with weights and real ones: `weighted` of the latest round.",
        io_manager_key=IO_MANAGER,
        automation_condition=follows_any(),
    )
    def compute(synth_lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        place = latest(recipe, synth_lake)
        table = synth_lake.table(recipe.name, STAGE, place)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(tables.version_made(table)),
            metadata={
                "round": place["round"],
                "dagster/row_count": table.num_rows,
                "path": dg.MetadataValue.path(synth_lake.place(recipe.name, STAGE, place)),
                "sql": f"select * from {plain(recipe.name)}.{STAGE} where round = '{place['round']}'",
            },
        )

    return compute


def follows_any() -> dg.AutomationCondition:
    """Made when the rows of any round were; rounds that there are none of are no reason to wait."""
    missing = dg.AutomationCondition.any_deps_missing()
    return dg.AutomationCondition.eager().without(~missing).with_label("follows the latest round")


def latest(recipe: Recipe, lake: Lake) -> dict[str, str]:
    """The latest round that has rows to train on. UserError where there is none."""
    cut = tables.stages(recipe)[STAGE]
    for place in reversed(lake.partitions(recipe.name, STAGE, cut)):
        if lake.table(recipe.name, STAGE, place, ["row_id"]).num_rows:
            return place
    raise UserError(f"{recipe.name} has no rows to train on yet: make a round first, with its job.")
