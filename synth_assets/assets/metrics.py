"""Asset `metrics`: what the set is worth, beside baselines, with intervals."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from resources.encoder import MiniLM
from resources.lake import Lake
from resources.language_model import LanguageModel
from synth_assets.annotation import annotators
from synth_assets.assets import feedback, plots
from synth_assets.assets.model import CHECKS, BoundModel
from synth_assets.assets.nightly import freshness
from synth_assets.assets.stage import (
    LANGUAGE_MODEL_POOL,
    Table,
    asset,
    check_all,
    follows,
    partition_of,
    result,
    rounds_before,
)
from synth_assets.evaluation import measure
from synth_assets.evaluation.usefulness import compare
from synth_assets.recipe import Recipe

SECTIONS = ["labels", "metrics", "annotator", "feedback", "seed"]
PLOTTED = ("accuracy", "yield")  # over the rounds
DIVERSITY = ("vocabulary", "distinct_1", "distinct_2", "self_bleu_4", "average_pairwise_similarity")


def build(recipe: Recipe) -> dg.AssetsDefinition:
    @asset(
        recipe,
        "metrics",
        reads=["generations", "filtered", "weighted", "seeds"],
        sections=SECTIONS,
        checks=CHECKS,
        pool=LANGUAGE_MODEL_POOL,
        automation_condition=follows(recipe),
        freshness_policy=freshness(recipe),
    )
    def compute(
        context: dg.AssetExecutionContext,
        language_model: dg.ResourceParam[LanguageModel],
        encoder: dg.ResourceParam[MiniLM],
        lake: dg.ResourceParam[Lake],
        generations: Table,
        filtered: Table,
        weighted: Table,
        seeds: Table,
    ) -> dg.MaterializeResult:
        """Accuracy, diversity, yield, with intervals."""
        import pandas as pd

        round_ = partition_of(context)["round"]
        model = BoundModel(language_model, recipe, context, recipe.annotator_model)
        # `weighted` has the rows of all rounds so far, so what it is compared with has them too
        all_generations = pd.concat([rounds_before(recipe, lake, "generations", round_), generations])
        all_filtered = pd.concat([rounds_before(recipe, lake, "filtered", round_), filtered])
        sets = measure.training_sets(all_generations, all_filtered, weighted, seeds, recipe.seed)
        shown = annotators.demonstrations(seeds, recipe.annotator.k, recipe.seed)
        parts = _accuracy(
            recipe,
            sets,
            seeds[seeds["split"] == "test"].reset_index(drop=True),
            encoder,
            lambda texts: annotators.label_logprobs(texts, recipe.task, shown, model),
        )
        if recipe.metrics.diversity:
            parts.append(measure.diversities(sets, encoder.encode))
        model.save_calls(lake)
        yields = measure.yields(generations, filtered)
        rows = pd.concat([*parts, yields], ignore_index=True).assign(round=round_)
        by_cell = yields.set_index("slice")["value"].to_dict()
        feedback.report(recipe, lake, context, round_, {cell: by_cell[cell] for cell in recipe.cells})
        return result(
            recipe,
            "metrics",
            rows,
            {**_metadata(rows), **model.metadata()},
            [check_all(recipe, "metrics", "answered", *model.verdicts())],
        )

    return compute


def _accuracy(
    recipe: Recipe, sets: dict[str, Table], test: Table, encoder: MiniLM, annotate: Callable[..., Any]
) -> list[Table]:
    """Students and baselines, as far as the recipe wants them and there are test rows with labels."""
    if test.empty or not recipe.labels:
        return []
    wanted, hits = recipe.metrics, dict[str, Any]()
    if wanted.student:
        hits |= measure.student_hits(sets, test, encoder.encode)
    if wanted.word_list:
        hits["word list"] = measure.word_list_hits(test, wanted.word_list)
    parts = [compare(hits, len(test), "seeds")]
    if wanted.model_alone:
        parts.append(measure.model_alone(test, wanted.model_alone, annotate, hits.get("seeds"), recipe.seed))
    return parts


def _metadata(rows: Table) -> dict[str, Any]:
    """Pictures of this round, and numbers that Dagster plots over rounds."""
    known = rows[rows["value"].notna()]
    table = known[known["name"].isin(DIVERSITY)].pivot_table(index="name", columns="slice", values="value")
    numbers = known[known["name"].isin(PLOTTED)]
    return {
        "accuracy": plots.intervals(
            "accuracy on real test rows (95 % interval)", rows[rows["name"] == "accuracy"]
        ),
        "diversity": dg.MetadataValue.md(table.round(3).to_markdown() if len(table) else "not measured"),
        **{
            f"{name}/{part}": round(float(value), 4)
            for name, part, value in zip(numbers["name"], numbers["slice"], numbers["value"], strict=True)
        },
    }
