"""Recipes as Dagster definitions: their graphs, and the resources that they share."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets import (
    collect,
    edited,
    factory,
    in_order,
    nightly,
    plan,
    report,
    rounds,
    training_set,
)
from synth_assets.assets.dagster_internals import named
from synth_assets.assets.io import LakeIOManager
from synth_assets.core.errors import UserError
from synth_assets.recipe.load import inline, load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import home
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.machine import prepare
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages.graph import graph

Named = str | Path  # a recipe's name, its file, or a folder of recipes
Given = Named | Recipe | Iterable[Named | Recipe] | Mapping[str, Mapping[str, Any]]  # or name -> recipe


def definitions(
    recipes: Given | None = None,
    data_home: str | Path | None = None,
    key_prefix: str | Sequence[str] = (),
    group: str | None = None,
    automation: bool = True,
) -> dg.Definitions:
    """What `synth_assets.definitions` returns; see there."""
    if data_home is not None:
        os.environ["SYNTH_HOME"] = str(Path(data_home).absolute())  # one of a process and of those it starts
    prefix = [key_prefix] if isinstance(key_prefix, str) else key_prefix
    given = home.recipes() if recipes is None else recipes
    found = [recipe.under(prefix) for recipe in loaded(given)]
    twice = {recipe.name for recipe in found if [r.name for r in found].count(recipe.name) > 1}
    if twice:
        raise UserError(f"recipes: {', '.join(sorted(twice))} is there twice: name each recipe once.")
    scheduled = nightly.switched_on() if automation and any(recipe.schedule for recipe in found) else ()
    made = build({recipe.name: recipe for recipe in found}, scheduled, automation)
    if group is None and automation:
        return made
    changed: dict[str, Any] = {"group_name": group} if group else {}
    changed |= {} if automation else {"automation_condition": None}
    return made.map_asset_specs(func=lambda spec: spec.replace_attributes(**changed))


def loaded(given: Given) -> list[Recipe]:
    """The recipes that are named, or that stand there. UserError for what is no recipe."""
    if isinstance(given, Mapping):
        return [inline(content, name) for name, content in given.items()]
    if isinstance(given, Recipe):
        return [given]
    if not isinstance(given, Named):
        return [recipe for each in given for recipe in loaded(each)]
    path, named_so = Path(given), home.recipes() / f"{given}.yaml"
    if path.is_dir() and not named_so.exists():
        return [load(file) for file in sorted(path.glob("*.yaml"))]
    is_file = isinstance(given, Path) or path.suffix in (".yaml", ".yml")
    return [load(path if is_file else named_so)]


def stage_assets(recipe: Recipe, scheduled: Collection[str] = ()) -> factory.Assets:
    """The assets of a recipe's stages, and what a round tells the next. `scheduled`: names of the schedules
    that are switched on; only where rounds come by themselves, one can be late."""
    late = nightly.freshness(recipe) if nightly.name(recipe) in scheduled else None
    stages = list[dg.AssetsDefinition | dg.AssetSpec]()
    first = partial(in_order.earlier_first, recipe, stages)
    for stage in graph(recipe):
        stages.append(factory.build(recipe, stage, first, late if stage.name == "metrics" else None))
    stages.append(factory.feedback_spec(recipe))
    return stages


def recipe_definitions(
    recipe: Recipe,
    scheduled: Collection[str] = (),
    automation: bool = True,
    stages: factory.Assets | None = None,
) -> dg.Definitions:
    """The asset graph of one recipe and its jobs; with `automation` its nightly schedule and its sensors.
    `stages`: see `stage_assets`."""
    stages, job = stages or stage_assets(recipe, scheduled), nightly.cells_job(recipe)
    whole = rounds.job(recipe, stages)
    assets = [*stages, training_set.build(recipe), plan.build(recipe, stages), report.build(recipe)]
    schedules: list[dg.ScheduleDefinition] = []
    sensors: list[dg.SensorDefinition] = []
    if automation:
        keys = {
            key for each in assets for key in ([each.key] if isinstance(each, dg.AssetSpec) else each.keys)
        }
        sensors.append(nightly.follow(recipe, keys))
        if recipe.feedback.rows != "fixed":
            sensors.append(edited.sensor(recipe))
        if recipe.mode == "batch":
            sensors.append(collect.sensor(recipe, job, stages))
        if recipe.schedule:
            schedules.append(nightly.schedule(recipe, whole, stages))
            sensors.append(nightly.keeps(recipe, whole, stages))
    return dg.Definitions(assets=assets, jobs=[job, whole], schedules=schedules, sensors=sensors)


def build(
    found: Mapping[str, Recipe], scheduled: Collection[str] = (), automation: bool = True
) -> dg.Definitions:
    """Definitions of these recipes, on the data home of this process. `scheduled`: see `stage_assets`."""
    each = [recipe_definitions(recipe, scheduled, automation) for recipe in found.values()]
    return with_resources(found, *each)


def with_resources(found: Mapping[str, Recipe], *made: dg.Definitions) -> dg.Definitions:
    """Definitions of these recipes, with what they share in this process."""
    prepare(home.home())
    shared, known = _shared(home.home(), home.place_of_calls())
    known |= found
    return dg.Definitions.merge(dg.Definitions(resources=shared), *made)


@cache  # what is merged must have the same resources, and not only such that are alike
def _shared(folder: Path, calls: Path | str) -> tuple[Mapping[str, dg.ResourceDefinition], dict[str, Recipe]]:
    """The resources of a data home, and the recipes that its IO manager knows."""
    lake, known = home.lake(), dict[str, Recipe]()
    warehouse = home.warehouse(reads=False)
    resources = {
        factory.IO_MANAGER: named(
            lambda: LakeIOManager(lake, warehouse, known),
            LakeIOManager,
            f"Writes rows to the lake, and shows them in {warehouse.path}.",
        ),
        "synth_lake": named(lambda: lake, Lake, f"The rows that were made: Parquet files in {lake}."),
        "synth_language_model": named(
            lambda: LanguageModel(home.mended(calls, lake), folder / "server"),
            LanguageModel,
            "All models. What its log holds is free.",
        ),
        "synth_encoder": named(
            home.encoder, MiniLM, "Texts to vectors, for what is alike and what is varied."
        ),
    }
    return resources, known
