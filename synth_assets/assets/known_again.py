"""What the lake has and Dagster does not know: its index was lost, or the lake is that of another home."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from synth_assets.assets.factory import COMPLETE, key
from synth_assets.assets.failures import unanswered
from synth_assets.assets.states import CODE_VERSION, DATA_VERSION, UNKNOWN, DagsterInstance, versions
from synth_assets.core.errors import UserError
from synth_assets.partitions import cell_key
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage.lake import Lake, Partition
from synth_assets.stages import tables
from synth_assets.stages.graph import graph

FIRST, PARTS = "conditions", ("round", "cell")
TOLD = "The rows were in the lake, and nothing said when they were made."


def know_again(recipe: Recipe, lake: Lake, instance: DagsterInstance) -> int:
    """Tell Dagster of the recipe's rounds in the lake of which it knows nothing at all, and how many those
    are. By which version of the recipe they were made is not known: `synth run` of one makes it again."""
    known = {place["round"] for place, _ in versions(recipe, FIRST, instance)}
    rounds = {place["round"] for place in lake.partitions(recipe.name, FIRST, PARTS)} - known
    if rounds:
        whole = {round_ for round_ in rounds if not _lacks_answers(lake, recipe, round_)}
        for stage, place in _there(recipe, lake, instance):
            if place.get("round", "") in {*rounds, ""}:
                tags = {COMPLETE: "true"} if place.get("round", "") in {*whole, ""} else {}
                _tell(recipe, stage, place, tags, lake, instance)
    return len(rounds)


def remember(recipe: Recipe, lake: Lake, instance: DagsterInstance) -> None:
    """The same where Dagster knows of no round at all, which is quick to see."""
    if not instance.has_asset_key(key(recipe, FIRST)):
        know_again(recipe, lake, instance)


def _lacks_answers(lake: Lake, recipe: Recipe, round_: str) -> bool:
    try:
        return bool(unanswered(lake, recipe, round_))
    except UserError:  # a file is damaged
        return True


def _there(recipe: Recipe, lake: Lake, instance: DagsterInstance) -> Iterator[tuple[str, Partition]]:
    """Stages and their partitions on disk, each after those that it reads."""
    cuts = tables.stages(recipe)
    for stage in (*(name for each in graph(recipe) for name in (each.name, *each.also)), "feedback"):
        if cuts[stage] or not versions(recipe, stage, instance):
            for place in lake.partitions(recipe.name, stage, cuts[stage]):
                if place.get("cell", recipe.cells[0]) in recipe.cells:
                    yield stage, place


def _tell(
    recipe: Recipe, stage: str, place: Partition, tags: dict[str, str], lake: Lake, instance: DagsterInstance
) -> None:
    """A file that is not as it was written is left out: `synth verify` names it."""
    try:
        made = tables.version_made(lake.table(recipe.name, stage, place))
        written = dg.MetadataValue.timestamp(lake.modified(recipe.name, stage, place))
    except UserError:
        return
    if not lake.is_as_written(recipe.name, stage, place):
        return
    tags = {**tags, DATA_VERSION: made, CODE_VERSION: UNKNOWN}
    partition = cell_key(place["round"], place["cell"]) if "cell" in place else place.get("round")
    kinds = (
        (dg.AssetObservation, dg.AssetMaterialization) if stage == "feedback" else (dg.AssetMaterialization,)
    )
    for kind in kinds:
        said = kind(
            key(recipe, stage),
            description=TOLD,
            metadata={"written": written},
            partition=partition,
            tags=tags,
        )
        instance.report_runless_asset_event(said)
