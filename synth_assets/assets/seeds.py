"""Asset `seeds`: the user's own rows, each in a split."""

import dagster as dg

from resources.sources import read_rows
from synth_assets.assets import plots
from synth_assets.assets.stage import asset, result
from synth_assets.recipe import Recipe
from synth_assets.selection.splits import support_set


def build(recipe: Recipe) -> dg.AssetsDefinition:
    @asset(
        recipe, "seeds", sections=["seeds", "seed"], automation_condition=dg.AutomationCondition.on_missing()
    )
    def compute() -> dg.MaterializeResult:
        """Real rows (the support set) with their splits; read-only."""
        rows = support_set(read_rows(recipe.seeds.file), recipe.seeds, recipe.cells, recipe.seed)
        counts = rows.groupby(["split", "label"]).size()
        return result(
            recipe,
            "seeds",
            rows,
            {
                "splits": plots.bars(
                    "rows by split and label", {f"{s} · {y}": n for (s, y), n in counts.items()}
                )
            },
        )

    return compute
