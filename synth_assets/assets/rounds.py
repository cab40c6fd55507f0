"""One round of a recipe, made in this process: what has nothing to do is left as it is, and said."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg

from synth_assets.assets import plan, training_set
from synth_assets.assets.dagster_internals import CheckFailed, Interrupted, seen_from, will_make
from synth_assets.assets.factory import LANGUAGE_MODEL_POOL, Assets, key
from synth_assets.assets.failures import WITHIN, RoundFailed, end_dead_runs, heard_of, lives_here, note
from synth_assets.assets.keeper import Keeper
from synth_assets.assets.morning import note as note_nights
from synth_assets.assets.unchanged import Known, Unchanged
from synth_assets.core.errors import Mistake, UserError
from synth_assets.partitions import cell_key, rounds
from synth_assets.recipe.recipe import Recipe
from synth_assets.report.one_round import place
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.gateway.batches.collect import collect
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages.graph import cut_by
from synth_assets.stages.stage import asset_name

BESIDE = ("report", training_set.NAME)  # what is made after the stages of a whole round
POLL_S = 60.0  # between two looks at what is with the provider
MAKING = ContextVar["World | None"]("MAKING", default=None)  # with what this process makes a round
Cut = tuple[str, ...]
Part = tuple[Sequence[dg.AssetKey], str | None]  # assets, and which partition of them


@dataclass(frozen=True)
class World:
    """What a round is made with: the Dagster instance, a job of all assets, those of the recipe's stages, the
    rows, the models, the encoder, the code location that runs are shown under, and who is told what."""

    instance: dg.DagsterInstance
    job: Callable[[], dg.JobDefinition]
    assets: Assets
    lake: Lake
    language_model: LanguageModel
    encoder: MiniLM
    location: str
    say: Callable[[str], None]
    config: Mapping[str, Any] | None = None  # of each run
    within: str = ""  # the run that makes the whole round, if one does
    tags: Mapping[str, str] = field(default_factory=dict)  # of each run, besides
    execute: "Execute" = field(default_factory=lambda: in_this_process)  # who makes its runs


Execute = Callable[[World, dg.JobDefinition, Mapping[str, Part]], dict[str, str]]


def make(recipe: Recipe, round_: str, world: World, wait: bool = False, again: bool = False) -> list[str]:
    """Materialize the stages of a round that would come out otherwise (`again`: all), and say which those are
    that do not. Raises UserError for the user's mistakes, RoundFailed when a blocking check fails; what was
    made until then is kept, and paid calls are never paid again.

    With `mode: batch` it returns which requests are with the provider, a line a cell, and leaves the stages
    of the round for another time; with `wait` it returns when all is made.
    """
    made, within = _Round(recipe, round_, world, again), MAKING.get()
    before = MAKING.set(world)
    try:
        with nullcontext() if within else seen_from(world.instance, world.location):
            pending = made.all(wait)
    except Exception:
        made.look()
        raise
    finally:
        MAKING.reset(before)
    made.look(is_made=not pending)
    return [f"{cell}: {why}" for cell, why in pending.items()]


class _Round:
    """A round while it is made, the partitions of one cut after those of another."""

    def __init__(self, recipe: Recipe, round_: str, world: World, again: bool) -> None:
        self._recipe, self._round, self._world, self._again = recipe, round_, world, again
        self._log = world.language_model.call_log

    @cached_property
    def _job(self) -> dg.JobDefinition:
        return self._world.job()

    @cached_property
    def _unchanged(self) -> Unchanged:
        return Unchanged(self._known, self._round)

    @property
    def _known(self) -> Known:
        world = self._world
        return Known(self._recipe, world.instance, world.assets, world.lake, self._log, world.encoder)

    def all(self, wait: bool) -> dict[str, str]:
        """Make what is to be made; cell -> what of it is with the provider."""
        pending = dict[str, str]()
        plan.note(self._recipe, self._round, self._world.instance)
        self.make(())
        cells = list(self._recipe.cells)
        while cells:
            pending |= self.make(("round", "cell"), cells)
            pending = {cell: why for cell, why in pending.items() if why}
            cells = self.wait_for_one(list(pending)) if pending and wait else []
        if not pending:
            self.make(("round",))
            self.hand_over()
        return pending

    def look(self, is_made: bool = False) -> None:
        """Note how far the round is now: one that `is_made` is whole, also while an automation looks at it.
        Where that cannot be, because the disk is full, say, the round is none the worse for it."""
        world = self._world
        with suppress(OSError, UserError):
            end_dead_runs(world.instance)  # of a container, say, whose silence was too short at the start
            note_nights(
                self._recipe,
                world.lake,
                Keeper(self._known, run=world.within, alone=is_made).nights([self._round]),
            )

    def make(self, cut: Cut, cells: Sequence[str] = ("",)) -> dict[str, str]:
        """Cell (empty: what no cell owns) -> why it is not made yet, or empty."""
        round_ = self._round if cut else None
        left = self._left(cut, cells)
        parts = {
            cell: self._part(stages, cell_key(self._round, cell) if cell else round_)
            for cell, stages in left.items()
            if stages
        }
        return dict.fromkeys(left, "") | (self._execute(parts) if parts else {})

    def hand_over(self) -> None:
        """The training set, where it is not that of the latest round already."""
        if training_set.NAME in BESIDE:
            latest = training_set.latest(self._recipe, self._world.lake)["round"]
            if self._again or not self._unchanged.has_training_set(latest):
                self._execute({"": self._part([training_set.NAME], None)})

    def _part(self, stages: Sequence[str], partition: str | None) -> Part:
        return [key(self._recipe, stage) for stage in stages], partition

    def _execute(self, parts: Mapping[str, Part]) -> dict[str, str]:
        return self._world.execute(self._world, self._job, parts)

    def _left(self, cut: Cut, cells: Sequence[str]) -> dict[str, list[str]]:
        """Cell -> the stages to make. Says which are left as they are."""
        names = [name for stage in cut_by(self._recipe, *cut) for name in (stage.name, *stage.also)]
        left = dict.fromkeys(cells, names) if self._again else self._unchanged.left(cut, cells)
        for cell, stages in left.items():
            same = [name for name in names if name not in stages]
            if same:
                where = " ".join(filter(None, [self._recipe.name, self._round if cut else "", cell]))
                self._world.say(f"{where}: {', '.join(same)} unchanged")
        if cut == ("round",):
            page = place(self._recipe.name, self._round)
            if left[""] or not self._unchanged.has_report(page):
                left[""] = [*left[""], *(name for name in BESIDE if name != training_set.NAME)]
        return left

    def wait_for_one(self, cells: list[str]) -> list[str]:
        """Those of these cells whose batches have ended, as soon as there is one."""
        said = set[str]()
        while True:
            time.sleep(POLL_S)
            waiting = set[str]()
            for stage in self._recipe.step_stages:
                found = collect(self._log, asset_name(self._recipe, stage))
                waiting |= {partition for partition, latest in found.partitions.items() if latest is None}
                news = [words for words in (*found.ended, *found.problems) if words not in said]
                said.update(news)
                for words in news:
                    self._world.say(words)
            ended = [cell for cell in cells if cell_key(self._round, cell) not in waiting]
            if ended:
                return ended


def in_this_process(world: World, job: dg.JobDefinition, parts: Mapping[str, Part]) -> dict[str, str]:
    """One run a part, one after the other; an error inside a stage comes out as it was raised. Returns what
    of each is with the provider, if that is why it was not made."""
    return {cell: _execute(world, job, *part) for cell, part in parts.items()}


def _execute(
    world: World, job: dg.JobDefinition, assets: Sequence[dg.AssetKey], partition: str | None
) -> str:
    run_id, instance = str(uuid.uuid4()), world.instance
    within = {WITHIN: world.within} if world.within else {}
    try:
        with heard_of(instance, run_id):
            job.execute_in_process(
                instance=instance,
                asset_selection=assets,
                partition_key=partition,
                run_id=run_id,
                tags={**lives_here(), **within, **world.tags},
                run_config=world.config,
            )
    except CheckFailed:
        stopped = RoundFailed(list(failed_checks(instance, run_id)))
        note(instance, run_id, stopped)
        raise stopped from None
    except Interrupted:
        note(instance, run_id, KeyboardInterrupt("stopped from outside"))
        raise KeyboardInterrupt from None
    except Exception as error:
        note(instance, run_id, error)
        raise
    return observed(instance, run_id, assets)


def observed(instance: dg.DagsterInstance, run_id: str, assets: Sequence[dg.AssetKey]) -> str:
    """What a run says of assets that it did not make, which are with the provider."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_OBSERVATION)
    found = [entry.get_dagster_event().asset_observation_data.asset_observation for entry in entries]
    return "; ".join(str(each.description) for each in found if each.asset_key in assets)


def failed_checks(instance: dg.DagsterInstance, run_id: str) -> Iterator[Mistake]:
    """What the blocking checks of a run said no to."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        evaluation = entry.get_dagster_event().asset_check_evaluation_data
        stops = evaluation.blocking and evaluation.severity == dg.AssetCheckSeverity.ERROR
        if stops and not evaluation.passed:
            asset, name = ".".join(evaluation.asset_key.path), evaluation.check_name
            words = f"{asset} {evaluation.partition or ''}: check {name}: {evaluation.description}"
            yield Mistake(words, "over_budget" if "not_sent" in evaluation.metadata else "check_failed")


def world_of(
    context: Any,
    assets: Assets,
    model: LanguageModel,
    encoder: MiniLM,
    lake: Lake,
    tags: Mapping[str, str] | None = None,
) -> World:
    """What a run makes whole rounds with. `tags`: of the runs that it makes."""
    definitions, origin = context.repository_def, context.run.remote_job_origin
    return World(
        context.instance,
        definitions.get_implicit_global_asset_job_def,
        assets,
        lake,
        model,
        encoder,
        origin.location_name if origin else "",
        context.log.info,
        within=context.run_id,
        tags=tags or {},
    )


def job(recipe: Recipe, assets: Assets) -> dg.JobDefinition:
    """All stages of one round, as `synth run` makes them: Dagster's asset jobs take one kind of partition. A
    run of it holds the place of a run that asks a language model, and so rounds are made one by one."""

    @dg.op(name=f"{recipe.name}__round", out=dg.Out(dg.Nothing), pool=LANGUAGE_MODEL_POOL)
    def make_round(
        context: dg.OpExecutionContext,
        synth_language_model: dg.ResourceParam[LanguageModel],
        synth_encoder: dg.ResourceParam[MiniLM],
        synth_lake: dg.ResourceParam[Lake],
    ) -> None:
        world = world_of(context, assets, synth_language_model, synth_encoder, synth_lake)
        context.instance.add_run_tags(context.run_id, lives_here())
        will_make(context.instance, context.run, context.op.name, key(recipe, training_set.NAME))
        try:
            with heard_of(context.instance, context.run_id):
                left = make(recipe, context.partition_key, world)
            for words in left:
                context.log.info(words)
        except (Exception, KeyboardInterrupt) as error:
            note(context.instance, context.run_id, error)
            if isinstance(error, KeyboardInterrupt):  # as Dagster knows it
                raise Interrupted from None
            raise

    @dg.job(
        name=f"{recipe.name}_round",
        partitions_def=rounds(recipe.start, recipe.timezone),
        executor_def=dg.in_process_executor,
        description="Make one round, as far as it would come out otherwise. Its runs are shown beside it.",
    )
    def whole_round() -> None:
        make_round()

    return whole_round
