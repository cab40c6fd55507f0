"""Asset `weighted`: the training set so far."""

from typing import Any

import dagster as dg

from resources.lake import Lake
from synth_assets import tables
from synth_assets.assets import plots
from synth_assets.assets.stage import Table, asset, check, follows, partition_of, result
from synth_assets.curation.weights import effective_size, weigh
from synth_assets.recipe import Recipe

CHECKS = {"rows_present": "Is there anything to train on?"}


def build(recipe: Recipe) -> dg.AssetsDefinition:
    @asset(
        recipe,
        "weighted",
        reads=["labelled", "seeds"],
        sections=["weights"],
        checks=CHECKS,
        automation_condition=follows(recipe),
    )
    def compute(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], labelled: Table, seeds: Table
    ) -> dg.MaterializeResult:
        """The training set: kept rows so far, and seeds, with weights."""
        import pandas as pd

        now = partition_of(context)["round"]
        before = [p for p in lake.partitions(recipe.name, "labelled", ["round"]) if p["round"] < now]
        earlier = lake.read(recipe.name, "labelled", before, tables.schema(recipe, "labelled"))
        rows = pd.concat([earlier, labelled], ignore_index=True) if len(earlier) else labelled
        shown = seeds[seeds["split"] == "demonstration"]
        spec = recipe.weights
        training = weigh(rows, shown, by=spec.by, power=spec.power, seed_share=spec.seeds)
        training = training.assign(made_in=training["round"], round=now)
        return result(recipe, "weighted", training, _metadata(training), [_check(training)])

    return compute


def _metadata(training: Table) -> dict[str, Any]:
    weights = {origin: list(group["weight"]) for origin, group in training.groupby("origin")}
    return {
        "weights": plots.histogram("weights", weights),
        "labels": plots.bars("rows by label", training["label"].value_counts().to_dict()),
        "effective_sample_size": round(effective_size(training["weight"]), 1),
        "largest_weight": round(float(training["weight"].max()), 4) if len(training) else None,
    }


def _check(training: Table) -> dg.AssetCheckResult:
    counts = training["origin"].value_counts()
    words = ", ".join(f"{n} {origin} rows" for origin, n in counts.items()) or "no rows"
    return check("rows_present", len(training) > 0, f"the training set has {words}.")
