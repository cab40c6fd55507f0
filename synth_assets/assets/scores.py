"""Asset `scores`: what depends on a row alone, scored once, whatever the thresholds are."""

import dagster as dg

from resources.encoder import MiniLM
from resources.lake import Lake
from resources.language_model import LanguageModel
from synth_assets.annotation import annotators
from synth_assets.assets import plots
from synth_assets.assets.model import CHECKS, BoundModel
from synth_assets.assets.stage import LANGUAGE_MODEL_POOL, Table, asset, check_all, refreshes, result
from synth_assets.curation.filters import Context
from synth_assets.recipe import Recipe


def build(recipe: Recipe) -> dg.AssetsDefinition:
    @asset(
        recipe,
        "scores",
        reads=["generations", "seeds"],
        sections=["labels", "scorers", "annotator", "seed"],
        checks=CHECKS,
        pool=LANGUAGE_MODEL_POOL,
        automation_condition=refreshes(recipe),
    )
    def compute(
        context: dg.AssetExecutionContext,
        language_model: dg.ResourceParam[LanguageModel],
        encoder: dg.ResourceParam[MiniLM],
        lake: dg.ResourceParam[Lake],
        generations: Table,
        seeds: Table,
    ) -> dg.MaterializeResult:
        """Scores of each row by itself, whatever the thresholds."""
        model = BoundModel(language_model, recipe, context, recipe.annotator_model)
        shown = annotators.demonstrations(seeds, recipe.annotator.k, recipe.seed)
        scoring = Context(
            verbalizers=recipe.task.verbalizers(),
            demonstrations=list(seeds.loc[seeds["split"] == "demonstration", "text"]),
            encode=encoder.encode,
            annotate=lambda texts: annotators.label_logprobs(texts, recipe.task, shown, model),
        )
        rows = generations[generations["accepted"]].reset_index(drop=True)
        for rule in recipe.filters.values():
            rows = rows.assign(**rule.measure(rows, scoring))
        model.save_calls(lake)
        numbers = [n for f in recipe.filters.values() for n, kind in f.raw.items() if kind == "double"]
        histograms = plots.panels("rows by score", {n: rows[n] for n in numbers})
        return result(
            recipe,
            "scores",
            rows,
            {"histograms": histograms, **model.metadata()},
            [check_all(recipe, "scores", "answered", *model.verdicts())],
        )

    return compute
