"""Asset `scores`: what depends on a row alone, scored once, whatever the thresholds are."""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from synth_assets.annotation import annotators
from synth_assets.assets.factory import LANGUAGE_MODEL_POOL, asset, check_all, refreshes, result
from synth_assets.assets.logged_model import CHECKS, BoundModel
from synth_assets.contracts.filter import Context
from synth_assets.core import templates
from synth_assets.core.asking import Completes, Encode, LabelLogprobs
from synth_assets.recipe.recipe import Recipe
from synth_assets.report import plots
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages.stage import Table

JUDGING = {"temperature": 0.0, "max_tokens": 256}


def build(recipe: Recipe) -> dg.AssetsDefinition:
    asks = any(rule.asks for rule in recipe.filters.values())

    @asset(
        recipe,
        "scores",
        reads=["generations", "seeds"],
        sections=["labels", "scorers", "annotator", "seed"],
        checks=CHECKS,
        pool=LANGUAGE_MODEL_POOL if asks else None,
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
        looks = scoring(recipe, seeds, encoder.encode, lambda spec: model.other(spec) if spec else model)
        rows = generations[generations["accepted"]].reset_index(drop=True)
        for rule in recipe.filters.values():
            rows = rows.assign(**rule.measure(rows, looks))
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


def scoring(
    recipe: Recipe, seeds: Table, encode: Encode, model_of: Callable[[str | None], Completes]
) -> Context:
    """What the scorers of a row look at; `model_of` gives the model of a name (None: the annotator's)."""

    def annotate(
        texts: Sequence[str], model: str | None = None, k: int | None = None
    ) -> list[LabelLogprobs | None]:
        shown = annotators.demonstrations(seeds, recipe.annotator.k if k is None else k, recipe.seed)
        return annotators.label_logprobs(texts, recipe.task, shown, model_of(model))

    def ask(template: str, rows: Table, told: Mapping[str, str], model: str | None) -> list[str | None]:
        common = {**recipe.task.fields(), **told}
        fields = ({**common, **recipe.task.of_label(row["label"]), **row} for row in rows.to_dict("records"))
        questions = (templates.chat(templates.render(template, row), "") for row in fields)
        answers = model_of(model).complete(questions, JUDGING, ["judge"] * len(rows))
        return [answer.text if answer.outcome in ("ok", "truncated") else None for answer in answers]

    return Context(
        verbalizers=recipe.task.verbalizers(),
        demonstrations=list(seeds.loc[seeds["split"] == "demonstration", "text"]),
        held_out=list(seeds.loc[seeds["split"].isin(["validation", "test"]), "text"]),
        encode=encode,
        annotate=annotate,
        ask=ask,
    )
