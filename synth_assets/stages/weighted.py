"""Asset `weighted`: the training set so far."""

from typing import Any

import dagster as dg

from synth_assets.assets.factory import asset, check, follows, partition_of, result
from synth_assets.curation.weights.weigh import effective_size, weigh
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.sections import GOLD
from synth_assets.report import plots
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages.stage import Table, rounds_before

CHECKS = {
    "rows_present": "Is there anything to train on?",
    "weights_spread": "Has each label synthetic rows, and are its rows worth a tenth of their number?",
}
WORTH = 0.1


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
            rows,
            shown,
            by=spec.by,
            power=spec.power,
            seed_share=spec.seeds,
            encode=encoder.encode,
            gold=_gold(seeds),
        )
        training = training.assign(made_in=training["round"], round=now)
        present, spread = _checks(recipe, training)
        if not spread.passed:
            context.log.warning(f"{recipe.name} weighted {now}: {spread.description}")
        return result(recipe, "weighted", training, _metadata(training), [present, spread])

    return compute


def _metadata(training: Table) -> dict[str, Any]:
    weights = {origin: list(group["weight"]) for origin, group in training.groupby("origin")}
    return {
        "weights": plots.histogram("weights", weights),
        "labels": plots.bars("rows by label", training["label"].value_counts().to_dict()),
        "effective_sample_size": round(effective_size(training["weight"]), 1),
        "largest_weight": round(float(training["weight"].max()), 4) if len(training) else None,
    }


def _gold(seeds: Table) -> Table:
    """Rows that weights are learned from: the first split of GOLD that has some."""
    found = [rows for split in GOLD if len(rows := seeds[seeds["split"] == split])]
    return found[0] if found else seeds.iloc[:0]


def _checks(recipe: Recipe, training: Table) -> list[dg.AssetCheckResult]:
    counts = training["origin"].value_counts()
    there = ", ".join(f"{n} {origin} rows" for origin, n in counts.items()) or "no rows"
    worth = {
        str(label): effective_size(rows["weight"]) / len(rows)
        for label, rows in training.groupby(training["label"].fillna("no label"))
    }
    thin = [label for label, share in worth.items() if not share >= WORTH]
    absent = sorted(set(recipe.labels) - set(training["label"][training["origin"] == "synthetic"]))
    told = ", ".join(f"{label} {share:.0%}" for label, share in worth.items()) or "no rows"
    words = f"effective sample size over rows: {told}." + " A few rows weigh nearly all." * bool(thin)
    return [
        check(recipe, "weighted", "rows_present", len(training) > 0, f"the training set has {there}."),
        check(
            recipe,
            "weighted",
            "weights_spread",
            not thin and not absent,
            words + f" No synthetic row is labelled {', '.join(absent)}." * bool(absent),
            blocks=False,
        ),
    ]
