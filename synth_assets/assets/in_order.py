"""Rounds that are launched together come in order: a stage that looks at the rounds before begins when those
of them are there that are being made as well. Dagster does not know of it: an edge from what a round tells to
the next one would be a cycle of assets, and one to the same stage of the day before would make all later
rounds stale whenever a round is made again."""

import time

import dagster as dg

from synth_assets.assets.earlier import asked_for, at_work
from synth_assets.assets.edited import edited
from synth_assets.assets.factory import Assets, partition_of
from synth_assets.assets.failures import end_dead_runs
from synth_assets.assets.rounds import MAKING, make, world_of
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages.feedback import told_by
from synth_assets.stages.run import Run

BACKFILL = "dagster/backfill"  # tag of the runs of a backfill: it asks no more for what they made
POLL_S, SAY_S = 0.5, 5.0


def earlier_first(
    recipe: Recipe,
    assets: Assets,
    context: dg.AssetExecutionContext,
    round_: str,
    world: tuple[LanguageModel, MiniLM, Lake],
    make_them: bool,
) -> None:
    """Wait for the runs that are at earlier rounds; `make_them`: then make what was asked for of these rounds
    and is not begun. Raises what `rounds.make` does."""
    _wait(context, recipe, round_)
    if make_them and (earlier := max(asked_for(context.instance, recipe, round_), default=None)):
        context.log.info(f"{recipe.name} {round_}: {earlier} was asked for too, and comes first")
        tags = {name: of for name, of in context.run.tags.items() if name == BACKFILL}
        make(recipe, earlier, MAKING.get() or world_of(context, assets, *world, tags))
    if make_them:  # what earlier rounds told was looked up before this, and a person may have edited it
        run = Run(recipe, world[2], world[1], round_, partition_of(context)["cell"])
        for event in edited(run, told_by(run), [run.cell], context.instance):
            context.instance.report_runless_asset_event(event)
        context.get_step_execution_context().fetch_external_input_asset_version_info()


def _wait(context: dg.AssetExecutionContext, recipe: Recipe, round_: str) -> None:
    """Until no run is at work on an earlier round, but for those of which nothing is heard."""
    said = 0.0
    while rounds := sorted({*at_work(context.instance, recipe, round_)}):
        if time.monotonic() - said >= SAY_S:
            said = time.monotonic()
            context.log.info(f"{recipe.name} {round_}: waits for {', '.join(rounds)}, which is being made")
        time.sleep(POLL_S)
        end_dead_runs(context.instance)
