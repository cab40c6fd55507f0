"""`synth run`: one round of a recipe in this process, on the same Dagster instance that the UI shows."""

import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets import records
from synth_assets.assets.code_location import recipe_definitions, stage_assets, with_resources
from synth_assets.assets.dagster_internals import hold, note_input
from synth_assets.assets.factory import FIRST, LANGUAGE_MODEL_POOL
from synth_assets.assets.failures import PROCESS_TAG, UNFINISHED, end_dead_runs
from synth_assets.assets.known_again import remember
from synth_assets.assets.launched import launched
from synth_assets.assets.rounds import World, in_this_process, make
from synth_assets.assets.states import DagsterStates
from synth_assets.core.errors import UserError
from synth_assets.planning.estimates import Line
from synth_assets.planning.plan import plan
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import home
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.batches.submit import check
from synth_assets.resources.gateway.models import resolve_model
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages.seeds import not_here

# in a notebook, whose own loop is running, Dagster leaves this out on purpose, and Python says so
warnings.filterwarnings("ignore", r"coroutine '\S*shutdown_asyncgens' was never awaited", RuntimeWarning)

LOCATION = "synth_assets"  # the code location of workspace.yaml


def prepare_home(reads: bool = False) -> Path:
    """The data home with Dagster's settings in it; the environment points Dagster to it. UserError where it
    cannot be written; for who only `reads` there is then a folder aside, with a copy of Dagster's records."""
    folder = home.aside() if reads else home.made()
    os.environ["DAGSTER_HOME"] = str(home.as_address(folder))
    settings = folder / "dagster.yaml"
    if not settings.exists() or not settings.stat().st_size:
        own = Path("dagster.yaml")
        shutil.copyfile(own if own.exists() else Path(__file__).with_name("dagster.yaml"), settings)
    return folder


@contextmanager
def dagster_instance(reads: bool = False) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of the data home; runs of processes that are gone are ended first. `reads`: see
    `prepare_home`."""
    with records.readable(prepare_home(reads)) as instance:
        hold(instance, LANGUAGE_MODEL_POOL)
        end_dead_runs(instance)
        yield instance


def run_round(
    recipe: Recipe,
    round_: str,
    instance: dg.DagsterInstance,
    wait: bool = False,
    quiet: bool = False,
    again: bool = False,
    launch: bool = False,
) -> list[str]:
    """Make one round with what is in the data home: see `rounds.make`. With `quiet` it prints warnings and
    nothing else; with `launch` its runs are made by whom the instance gives them to."""
    if recipe.seeds.asset:
        raise UserError(not_here(recipe))
    if recipe.mode == "batch":
        for step in recipe.steps:
            for model in recipe.models_of(step):
                check(resolve_model(model))

    stages = stage_assets(recipe)

    remember(recipe, home.lake(), instance)

    def job() -> dg.JobDefinition:
        made = recipe_definitions(recipe, stages=stages)
        told = dg.Definitions(loggers={"console": terminal(quiet)})
        return with_resources({recipe.name: recipe}, made, told).resolve_implicit_global_asset_job_def()

    world = World(
        instance,
        job,
        stages,
        home.lake(),
        home.language_model(),
        home.encoder(),
        LOCATION,
        say=_nothing if quiet else _say,
        config={"loggers": {"console": {}}},
        execute=launched if launch else in_this_process,
    )
    return make(recipe, round_, world, wait, again)


def planned(
    recipe: Recipe, round_: str, instance: dg.DagsterInstance, lake: Lake, log: CallLog
) -> list[Line]:
    """What `run_round` would make and pay."""
    encoder = home.encoder()
    states = DagsterStates(recipe, round_, stage_assets(recipe), instance, lake, encoder)
    return plan(recipe, round_, lake, log, encoder, states)


def note_plans(instance: dg.DagsterInstance) -> None:
    """Rounds that were made before a plan was what a round begins with are as those made since."""
    for asset in instance.all_asset_keys():
        if asset.path[-1] == FIRST:
            note_input(instance, asset, dg.AssetKey([*asset.path[:-1], "plan"]))


def end_runs_of_the_ui(instance: dg.DagsterInstance) -> None:
    """Runs that `synth ui` had started, once all of its processes are gone."""
    for run in instance.get_runs(filters=UNFINISHED):
        if PROCESS_TAG not in run.tags:
            instance.report_run_failed(run, "`synth ui` was stopped; what was paid is in the call log.")


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {words}", file=sys.stderr)


def _nothing(words: str) -> None:
    """Said to nobody."""


class _Lines(logging.Formatter):
    """What a stage says of itself, one line each; errors are printed once, by the command line."""

    def format(self, record: logging.LogRecord) -> str:
        meta: Mapping[str, Any] = getattr(record, "dagster_meta", {})
        return f"{time.strftime('%H:%M:%S')}  {meta.get('orig_message') or record.getMessage()}"


def terminal(quiet: bool) -> dg.LoggerDefinition:
    """Progress for a person at a terminal, or warnings alone."""
    return dg.LoggerDefinition(lambda _: _terminal(logging.WARNING if quiet else logging.INFO))


def _terminal(level: int) -> logging.Logger:
    logger = logging.getLogger("synth_assets.terminal")
    logger.setLevel(level)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    handler.addFilter(lambda record: record.levelno in (logging.INFO, logging.WARNING))
    logger.handlers = [handler]  # one, however many runs this process makes
    return logger
