"""Asset `seeds`: the user's own rows, each in a split."""

import dagster as dg

from resources.sources import read_rows
from synth_assets.assets import plots
from synth_assets.assets.stage import Table, asset, result
from synth_assets.recipe import Recipe
from synth_assets.selection.splits import support_set


def once() -> dg.AutomationCondition:
    """Made when there are none yet; later by hand. (Dagster's on_missing takes a first look as handled.)"""
    missing, busy = dg.AutomationCondition.missing(), dg.AutomationCondition.in_progress()
    return (missing & ~busy & ~dg.AutomationCondition.execution_failed()).with_label("once")


def seed_rows(recipe: Recipe) -> Table:
    """The support set; without a file there are no rows in it."""
    given = recipe.seeds.file
    return support_set(read_rows(given) if given else None, recipe.seeds, recipe.labels, recipe.seed)


def build(recipe: Recipe) -> dg.AssetsDefinition:
    @asset(recipe, "seeds", sections=["labels", "seeds", "seed"], automation_condition=once())
    def compute() -> dg.MaterializeResult:
        """Real rows (the support set) with their splits; read-only."""
        rows = seed_rows(recipe)
        counts = rows.groupby(["split", "label"], dropna=False).size()
        return result(
            recipe,
            "seeds",
            rows,
            {
                "splits": plots.bars(
                    "rows by split and label",
                    {f"{s} · {y}" if recipe.labels else s: n for (s, y), n in counts.items()},
                )
            },
        )

    return compute
