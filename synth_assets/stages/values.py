"""Asset `values`: condition values that a model lists, in files that a person may edit."""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from synth_assets.assets.factory import LANGUAGE_MODEL_POOL, asset, check_all, refreshes, result
from synth_assets.assets.logged_model import CHECKS, BoundModel
from synth_assets.contracts.provider import Around
from synth_assets.generation.conditions.asking import answers, questions
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.review_files import read_review, review_file, was_edited, write_review
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages import tables
from synth_assets.stages.seeds import once
from synth_assets.stages.stage import Table, rounds_before


def _automation(recipe: Recipe) -> dg.AutomationCondition | None:
    """Asked again after an edit, as the cells are. The first time costs money as well: only a recipe that
    runs by itself asks by itself."""
    follows = refreshes(recipe)
    if not recipe.schedule:
        return follows
    return once() if follows is None else once() | follows


def build(recipe: Recipe) -> dg.AssetsDefinition:
    @asset(
        recipe,
        "values",
        sections=["values"],
        checks=CHECKS,
        pool=LANGUAGE_MODEL_POOL,
        automation_condition=_automation(recipe),
    )
    def compute(
        context: dg.AssetExecutionContext,
        language_model: dg.ResourceParam[LanguageModel],
        lake: dg.ResourceParam[Lake],
    ) -> dg.MaterializeResult:
        """Condition values that the model lists; to be edited in their review files."""
        import pandas as pd

        model = BoundModel(language_model, recipe, context)
        rows, files = [], []
        for name, section, given, question in questions(recipe):
            file = review_file(recipe.reviews, name, given)
            if not was_edited(file):
                write_review(file, question, answers(name, section, given, question, model))
            rows += [(name, given, value) for value in read_review(file)]
            files.append(str(file))
        model.save_calls(lake)
        table = pd.DataFrame(rows, columns=["attribute", "given", "value"])
        checks = [check_all(recipe, "values", "answered", *model.verdicts())]
        return result(recipe, "values", table, {"review": files, **model.metadata()}, checks)

    return compute


def shown_rows(recipe: Recipe, lake: Lake, round_: str) -> Table:
    """What a prompt may show: the seeds, and the rows that were kept before. Read, and not declared: the
    conditions name the ones that are shown by what they say, so that a row which nobody is shown makes
    nothing stale."""
    import pandas as pd

    seeds = lake.read(recipe.name, "seeds", [{}], tables.schema(recipe, "seeds"))
    if not recipe.shows_kept:
        return seeds
    return pd.concat([seeds, rounds_before(recipe, lake, "filtered", round_)], ignore_index=True)


def around(
    recipe: Recipe, lake: Lake, round_: str, seeds: Table, encode: Callable[..., Any] | None = None
) -> Around:
    """What the conditions of a round may look at: seeds, rows that were kept before, listed values."""
    rows = {"seeds": seeds}
    if recipe.shows_kept:
        rows["kept"] = rounds_before(recipe, lake, "filtered", round_)
    found: dict[tuple[str, str], list[str]] = {}
    if recipe.listed and lake.path(recipe.name, "values", {}).exists():
        table = lake.read(recipe.name, "values", [{}], tables.schema(recipe, "values"))
        for name, given, value in table.itertuples(index=False, name=None):
            found.setdefault((name, given), []).append(value)

    def asked(name: str, given: str) -> Sequence[str]:
        return found.get((name, given), ())

    return Around(rows, encode, asked)
