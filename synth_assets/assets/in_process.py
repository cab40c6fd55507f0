"""`synth run`: one round of a recipe in this process, on the same Dagster instance that the UI shows."""

import logging
import os
import shutil
import sys
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets.code_location import build, stage_assets
from synth_assets.assets.dagster_internals import CheckFailed
from synth_assets.assets.factory import key
from synth_assets.assets.nightly import made_by_cell
from synth_assets.assets.states import DagsterStates
from synth_assets.core.errors import Mistake
from synth_assets.partitions import cell_key
from synth_assets.planning.estimates import Line
from synth_assets.planning.plan import plan
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.batches.collect import collect
from synth_assets.resources.gateway.batches.submit import check
from synth_assets.resources.gateway.models import resolve_model
from synth_assets.resources.home import call_log, encoder, home
from synth_assets.resources.storage.lake import Lake
from synth_assets.resources.storage.process import is_gone, this_process
from synth_assets.stages.graph import cut_by

BY_ROUND = ("filtered", "rejected", "labelled", "weighted", "metrics", "report")
PROCESS_TAG = "synth/process"
POLL_S = 60.0  # between two looks at what is with the provider


# in a notebook, whose own loop is running, Dagster leaves this out on purpose, and Python says so
warnings.filterwarnings("ignore", r"coroutine '\S*shutdown_asyncgens' was never awaited", RuntimeWarning)


class RoundFailed(Exception):
    """A blocking check said no; the message has the reasons."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it."""
        return [f"stopped by a check:\n{self}"]


def prepare_home() -> Path:
    """The data home with Dagster's settings in it; the environment points Dagster to it."""
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(folder)
    settings = folder / "dagster.yaml"
    if not settings.exists():
        own = Path("dagster.yaml")
        shutil.copyfile(own if own.exists() else Path(__file__).with_name("dagster.yaml"), settings)
    return folder


@contextmanager
def dagster_instance() -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of the data home; runs of processes that are gone are ended first."""
    prepare_home()
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
        yield instance


def run_round(
    recipe: Recipe, round_: str, instance: dg.DagsterInstance, wait: bool = False, quiet: bool = False
) -> list[str]:
    """Materialize all stages of one round. Raises UserError for the user's mistakes, RoundFailed when a
    blocking check fails; what was made until then is kept, and paid calls are never paid again.

    With `mode: batch` it says which requests are with the provider, a line a cell, and leaves the stages of
    the round for another time; with `wait` it returns when all is made. With `quiet` it prints warnings and
    nothing else.
    """
    if recipe.mode == "batch":
        for step in recipe.steps:
            for model in recipe.models_of(step):
                check(resolve_model(model))
    defs = dg.Definitions.merge(
        build({recipe.name: recipe}), dg.Definitions(loggers={"console": terminal(quiet)})
    )
    job = defs.resolve_implicit_global_asset_job_def()
    _execute(job, instance, [key(recipe, stage.name) for stage in cut_by(recipe)], None)
    cells, pending = list(recipe.cells), dict[str, str]()
    while cells:
        for cell in cells:
            pending[cell] = _execute(job, instance, made_by_cell(recipe), cell_key(round_, cell))
        pending = {cell: why for cell, why in pending.items() if why}
        cells = _wait_for_one(recipe, round_, list(pending)) if pending and wait else []
    if not pending:
        _execute(job, instance, [key(recipe, stage) for stage in BY_ROUND], round_)
    return [f"{cell}: {why}" for cell, why in pending.items()]


def planned(
    recipe: Recipe, round_: str, instance: dg.DagsterInstance, lake: Lake, log: CallLog
) -> list[Line]:
    """What `run_round` would make and pay."""
    states = DagsterStates(recipe, round_, stage_assets(recipe), instance, lake)
    return plan(recipe, round_, lake, log, encoder(), states)


def _wait_for_one(recipe: Recipe, round_: str, cells: list[str]) -> list[str]:
    """The first of these cells whose batches have ended."""
    log, said = call_log(), set[str]()
    while True:
        time.sleep(POLL_S)
        waiting = set[str]()
        for stage in recipe.step_stages:
            found = collect(log, key(recipe, stage).to_user_string())
            waiting |= {partition for partition, latest in found.partitions.items() if latest is None}
            news = [words for words in (*found.ended, *found.problems) if words not in said]
            said.update(news)
            for words in news:
                print(f"{time.strftime('%H:%M:%S')}  {words}", file=sys.stderr)
        ended = [cell for cell in cells if cell_key(round_, cell) not in waiting]
        if ended:
            return ended


def _execute(
    job: dg.JobDefinition, instance: dg.DagsterInstance, assets: list[dg.AssetKey], partition: str | None
) -> str:
    """One in-process run; an error inside a stage comes out as it was raised. Returns what is with the
    provider, if that is why a stage was not made."""
    run_id = str(uuid.uuid4())
    try:
        done = job.execute_in_process(
            instance=instance,
            asset_selection=assets,
            partition_key=partition,
            run_id=run_id,
            tags={PROCESS_TAG: this_process()},
            run_config={"loggers": {"console": {}}},
        )
    except CheckFailed:
        raise RoundFailed(list(_failed_checks(instance, run_id))) from None
    observed = [e.asset_observation_data.asset_observation for e in done.get_asset_observation_events()]
    return "; ".join(str(o.description) for o in observed if o.asset_key in assets)


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> Iterator[Mistake]:
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        evaluation = entry.get_dagster_event().asset_check_evaluation_data
        if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
            asset, name = ".".join(evaluation.asset_key.path), evaluation.check_name
            words = f"{asset} {evaluation.partition or ''}: check {name}: {evaluation.description}"
            yield Mistake(words, "check_failed")


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Runs of `synth run` whose process was killed are ended: they would look busy for ever."""
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    for run in instance.get_runs(filters=unfinished):
        process = run.tags.get(PROCESS_TAG)
        if process and is_gone(process):
            instance.report_run_failed(
                run, "The process ended before the run did; what was paid is in the call log."
            )


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
