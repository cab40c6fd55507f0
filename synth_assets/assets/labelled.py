"""Asset `labelled`: whose label each row carries on, and how sure it is."""

import dagster as dg

from synth_assets.assets import plots
from synth_assets.assets.stage import Table, asset, follows, result
from synth_assets.curation.labels import enhance
from synth_assets.recipe import Recipe


def build(recipe: Recipe) -> dg.AssetsDefinition:
    @asset(
        recipe,
        "labelled",
        reads=["filtered"],
        sections=["labelled"],
        automation_condition=follows(recipe),
    )
    def compute(filtered: Table) -> dg.MaterializeResult:
        """Labels with source, former value and confidence."""
        rows = enhance(filtered, recipe.labelled.by)
        changed = int((rows["label"] != rows["former_label"]).sum())
        confidence = {label: list(group["confidence"]) for label, group in rows.groupby("label")}
        return result(
            recipe,
            "labelled",
            rows,
            {"confidence": plots.histogram("confidence", confidence), "changed_labels": changed},
        )

    return compute
