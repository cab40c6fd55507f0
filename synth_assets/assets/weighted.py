"""Asset `weighted`: the training set so far."""

from typing import Any

import dagster as dg

from resources.encoder import MiniLM
from resources.lake import Lake
from synth_assets.assets import plots
from synth_assets.assets.stage import Table, asset, check, follows, partition_of, result, rounds_before
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
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        encoder: dg.ResourceParam[MiniLM],
        labelled: Table,
        seeds: Table,
    ) -> dg.MaterializeResult:
        """The training set so far, with weights."""
        import pandas as pd

        now = partition_of(context)["round"]
        rows = pd.concat([rounds_before(recipe, lake, "labelled", now), labelled], ignore_index=True)
        shown = seeds[seeds["split"] == "demonstration"]
        spec = recipe.weights
        training = weigh(
            rows, shown, by=spec.by, power=spec.power, seed_share=spec.seeds, encode=encoder.encode
        )
        training = training.assign(made_in=training["round"], round=now)
        return result(recipe, "weighted", training, _metadata(training), [_check(recipe, training)])

    return compute


def _metadata(training: Table) -> dict[str, Any]:
    weights = {origin: list(group["weight"]) for origin, group in training.groupby("origin")}
    return {
        "weights": plots.histogram("weights", weights),
        "labels": plots.bars("rows by label", training["label"].value_counts().to_dict()),
        "effective_sample_size": round(effective_size(training["weight"]), 1),
        "largest_weight": round(float(training["weight"].max()), 4) if len(training) else None,
    }


def _check(recipe: Recipe, training: Table) -> dg.AssetCheckResult:
    counts = training["origin"].value_counts()
    words = ", ".join(f"{n} {origin} rows" for origin, n in counts.items()) or "no rows"
    return check(recipe, "weighted", "rows_present", len(training) > 0, f"the training set has {words}.")
