"""A stage as a Dagster asset: its key, its partitions, what makes it again, its metadata and its checks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import dagster as dg

from synth_assets.assets import pictures
from synth_assets.assets.failures import PROCESS_TAG, note
from synth_assets.assets.logged_model import LoggedRun
from synth_assets.core.errors import UserError
from synth_assets.partitions import cell_key, cells, columns, previous_round_same_cell, rounds
from synth_assets.recipe.columns import MEANINGS
from synth_assets.recipe.made_from import made_from
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.review import ADDRESS
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.gateway.batches.submit import Pending
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.storage.lake import Lake
from synth_assets.resources.storage.process import this_process
from synth_assets.stages import feedback, tables
from synth_assets.stages.stage import Check, Made, Stage, Table, Verdict, short

LANGUAGE_MODEL_POOL = "language_model"
IO_MANAGER = "synth_io_manager"
PREVIEW_ROWS = 5
COMPLETE = "synth/complete"  # tag of rows that another run would not make better: see `complete`
NO_ENCODER = "without_encoder"  # its value, where something is unknown as long as there is none
FIRST = "conditions"  # what a round begins with, and so comes after the round's plan
PLANNED = dict.fromkeys((FIRST, "grown"), ("plan",))  # what comes after it
Assets = Sequence[dg.AssetsDefinition | dg.AssetSpec]
HIDDEN = ("row_id", "round", "cell", "call_id", "replicate", "demonstration_ids", "vector")  # from previews


def key(recipe: Recipe, stage: str) -> dg.AssetKey:
    """The asset's key: recipe, stage, after the prefix of a project if it has one."""
    return dg.AssetKey([*recipe.key_prefix, recipe.name, stage])


def partitions_of(recipe: Recipe, stage: str) -> dg.PartitionsDefinition | None:
    """What cuts the stage: cells of rounds, rounds, or nothing (None)."""
    match tables.stages(recipe)[stage]:
        case ("round", "cell"):
            return cells(recipe.start, recipe.timezone, recipe.cells)
        case ("round",):
            return rounds(recipe.start, recipe.timezone)
    return None


def partition_of(context: Any) -> dict[str, str]:
    """What this run makes, as the lake's columns: {"round": ..., "cell": ...}; empty for the seeds."""
    return columns(context.partition_key) if context.has_partition_key else {}


def build(
    recipe: Recipe,
    stage: Stage,
    earlier_first: Callable[..., None],
    freshness_policy: dg.FreshnessPolicy | None = None,
) -> dg.AssetsDefinition:
    """The asset of a stage, or of a stage and those that it makes besides. The recipe's sections that it
    rests on are its code version: a change of them makes all of its partitions stale. A stage whose requests
    are with the provider's Batch API ends without rows (see `not_yet`); one that follows other rounds begins
    with those (see `in_order.earlier_first`)."""

    def compute(
        context: dg.AssetExecutionContext,
        synth_language_model: dg.ResourceParam[LanguageModel],
        synth_encoder: dg.ResourceParam[MiniLM],
        synth_lake: dg.ResourceParam[Lake],
        **rows: Table,
    ) -> Iterator[Any]:
        if PROCESS_TAG not in context.run.tags:
            context.instance.add_run_tags(context.run_id, {PROCESS_TAG: this_process()})
        world = synth_language_model, synth_encoder, synth_lake
        run = LoggedRun(context, recipe, stage, partition_of(context), *world)
        if stage.follows and run.round:
            earlier_first(context, run.round, world, make_them=bool(run.cell))
        try:
            with nullcontext() if stage.pays else run.doing("at work"):  # else it says how many are answered
                made = stage.compute(run, **rows)
        except Pending as pending:
            yield from not_yet(context, str(pending), pending.batches)
            return
        except UserError as error:  # what sort of mistake it is, Dagster's log does not say
            note(context.instance, context.run_id, error)
            raise
        run.save_calls()
        synth_lake.note_version(recipe.version(*stage.sections), partial(made_from, recipe, *stage.sections))
        yield from _results(context, recipe, stage, made, run)

    return _decorated(recipe, stage, freshness_policy)(compute)


def _decorated(
    recipe: Recipe, stage: Stage, freshness_policy: dg.FreshnessPolicy | None
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    common: dict[str, Any] = {
        "ins": {name: dg.AssetIn(key(recipe, name)) for name in stage.reads} | _given(stage),
        "deps": [_after(recipe, name) for name in (*stage.after, *PLANNED.get(stage.name, ()))],
        "partitions_def": partitions_of(recipe, stage.name),
        "check_specs": [_check_spec(recipe, stage.name, *item) for item in stage.checks.items()],
        "pool": LANGUAGE_MODEL_POOL if stage.pays else None,
    }
    each: dict[str, Any] = {
        "group_name": recipe.name,
        "code_version": recipe.version(*stage.sections),
        "kinds": {"parquet"} | ({"llm"} if stage.pays else set()),
        "automation_condition": _automation(recipe, stage),
        "io_manager_key": IO_MANAGER,
    }
    doc = str(stage.compute.__doc__)
    if stage.also:
        told = {stage.name: doc, **stage.also}
        outs = {
            name: dg.AssetOut(
                key=key(recipe, name),
                description=d,
                is_required=False,
                freshness_policy=freshness_policy if name == stage.name else None,
                metadata=_page(recipe, name),
                **each,
            )
            for name, d in told.items()
        }
        # each can be launched alone: of what must go together, Dagster takes equal rounds for different ones
        return dg.multi_asset(name=f"{recipe.name}__{stage.name}", outs=outs, can_subset=True, **common)
    return dg.asset(
        key=key(recipe, stage.name),
        description=doc,
        dagster_type=dg.Any,  # the return annotation would mean "no value"
        output_required=not stage.batches,
        freshness_policy=freshness_policy,
        metadata=_page(recipe, stage.name),
        **common,
        **each,
    )


def _page(recipe: Recipe, stage: str) -> dict[str, Any]:
    """Where people look at the rows: what opens the page, and where it then is."""
    if recipe.review is None or stage not in ("filtered", "reviews"):
        return {}
    return {"review": f"synth review {recipe.name}", "review_page": dg.MetadataValue.url(ADDRESS)}


def others(*recipes: Recipe) -> list[dg.AssetSpec]:
    """The assets of a user's project that recipes read, for a graph that is without that project."""
    keys = {recipe.seeds.asset for recipe in recipes if recipe.seeds.asset}
    return [
        dg.AssetSpec(dg.AssetKey.from_user_string(each)).with_io_manager_key(IO_MANAGER)
        for each in sorted(keys)
    ]


def _given(stage: Stage) -> dict[str, dg.AssetIn]:
    return {"given": dg.AssetIn(dg.AssetKey.from_user_string(stage.given))} if stage.given else {}


def _after(recipe: Recipe, stage: str) -> dg.AssetDep:
    before = previous_round_same_cell() if stage == "feedback" else None
    return dg.AssetDep(key(recipe, stage), partition_mapping=before)


def _automation(recipe: Recipe, stage: Stage) -> dg.AutomationCondition | None:
    """Values are asked again after an edit, as the cells are. The first time costs money as well: only a
    recipe that runs by itself asks by itself."""
    cut = tables.stages(recipe)[stage.name]
    if cut == ("round",):
        return follows(recipe)
    again = refreshes(recipe)
    if stage.given:
        first = once() & ~dg.AutomationCondition.any_deps_missing()
        return first if again is None else first | again
    if not cut and not stage.pays:
        return once()
    if cut or not recipe.schedule:
        return again
    return once() if again is None else once() | again


def once() -> dg.AutomationCondition:
    """Made when there are none yet; later by hand. (Dagster's on_missing takes a first look as handled.)"""
    missing, busy = dg.AutomationCondition.missing(), dg.AutomationCondition.in_progress()
    return (missing & ~busy & ~dg.AutomationCondition.execution_failed()).with_label("once")


def follows(recipe: Recipe) -> dg.AutomationCondition:
    """A stage of a whole round is made when what it reads was made, for whichever round that is. Seeds are
    left out: they belong to every round, and reading them again must not make all rounds again."""
    latest = dg.AutomationCondition.in_latest_time_window()
    seeds = dg.AssetSelection.assets(key(recipe, "seeds"))
    return dg.AutomationCondition.eager().without(latest).ignore(seeds).with_label("follows its round")


def refreshes(recipe: Recipe) -> dg.AutomationCondition | None:
    """A stage of a cell is made again after an edit: when what it says itself has changed, or the data that
    it reads. What was never made is left alone, and so are, by default, all rounds but the latest. What a
    round tells the next is left out: a round that was made keeps the size that it had. So is the plan, which
    changes no rows."""
    if recipe.refresh == "none":
        return None
    beside = dg.AssetSelection.assets(key(recipe, "feedback"), key(recipe, "plan"))
    is_ = dg.AutomationCondition
    changed: Any = is_.code_version_changed() | is_.any_deps_match(is_.data_version_changed()).ignore(beside)
    busy = is_.in_progress() | is_.any_deps_in_progress().ignore(beside)
    condition = changed.since_last_handled() & ~is_.missing() & ~busy
    if recipe.refresh == "latest":
        condition &= is_.in_latest_time_window()
    return condition.with_label("follows an edit")


def _check_spec(recipe: Recipe, stage: str, name: str, check: Check) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name,
        asset=key(recipe, stage),
        description=check.asks,
        blocking=check.stops,
        partitions_def=partitions_of(recipe, stage),
    )


def _results(
    context: dg.AssetExecutionContext, recipe: Recipe, stage: Stage, made: Made, run: LoggedRun
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    chosen = context.selected_asset_keys
    if "feedback" in made.beside and key(recipe, stage.name) in chosen:
        report_feedback(recipe, run.lake, context, made.beside["feedback"])
    verdicts = {name: list(made.verdicts.get(name, ())) for name in stage.checks}
    if "answered" in verdicts:
        verdicts["answered"] = [*run.verdicts(), *verdicts["answered"]]
    checks = [check(recipe, stage, name, *looked_at) for name, looked_at in verdicts.items()]
    stopping = [checked for checked in checks if stage.checks[str(checked.check_name)].stops]
    tags = complete(stopping, run.encoder.missing)
    if key(recipe, stage.name) in chosen:
        with run.doing("at work"):
            told = result(recipe, stage.name, made, run.numbers(), checks, tags)
        yield told
    else:
        alone = {checked.name for checked in context.selected_asset_check_keys}
        yield from (each for each in checks if each.check_name in alone)
    for name in stage.also:
        if key(recipe, name) in chosen:
            yield result(recipe, name, made.beside[name], tags=tags)


def complete(checks: Sequence[dg.AssetCheckResult], no_encoder: bool) -> dict[str, str]:
    """The tag of rows that another run would not make better: nothing stops what comes after, and every
    request has its answer. Any other warning stays as it is, however often the stage is made."""
    stops = dg.AssetCheckSeverity.ERROR
    if any(not each.passed and (each.severity == stops or each.check_name == "answered") for each in checks):
        return {}
    return {COMPLETE: NO_ENCODER if no_encoder else "true"}


def check(recipe: Recipe, stage: Stage, name: str, *verdicts: Verdict) -> dg.AssetCheckResult:
    """One check of several things: it says what is wrong and what helps, or how all is well; it stops what
    comes after, or only warns. A stage of cells has one check and no more: for a page of it, Dagster's web
    server goes through each partition of each check (300 rounds of 100 cells: 7 s a check)."""
    wrong = [verdict for verdict in verdicts if not verdict.fine]
    stops = any(verdict.blocks for verdict in wrong or verdicts)
    words = [verdict.words for verdict in wrong or verdicts]
    return dg.AssetCheckResult(
        asset_key=key(recipe, stage.name),
        check_name=name,
        passed=not wrong,
        description=" ".join([*words, stage.checks[name].advice(recipe.name)] if wrong else words),
        severity=dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN,
        metadata={name: value for verdict in verdicts for name, value in verdict.numbers.items()},
    )


def result(
    recipe: Recipe,
    stage: str,
    made: Made,
    numbers: Mapping[str, Any] | None = None,
    checks: Sequence[dg.AssetCheckResult] = (),
    tags: Mapping[str, str] | None = None,
) -> dg.MaterializeResult:
    """Rows as a materialization: an Arrow table whose hash is the data version of the partition."""
    table = tables.to_arrow(recipe, stage, made.rows)
    return dg.MaterializeResult(
        asset_key=key(recipe, stage),
        value=table,
        data_version=dg.DataVersion(tables.content_hash(table)),
        metadata={
            "dagster/row_count": len(table),
            "dagster/column_schema": column_schema(recipe, stage),
            "preview": preview(made.rows[table.schema.names]),
            **pictures.metadata(made.numbers),
            **(numbers or {}),
        },
        check_results=checks,
        tags=tags,
    )


def report_feedback(recipe: Recipe, lake: Lake, context: dg.AssetExecutionContext, made: Made) -> None:
    """Write what a round tells the next one, and tell Dagster."""
    for row in made.rows.to_dict("records"):
        told = made.rows[made.rows["cell"] == row["cell"]]
        table = tables.to_arrow(recipe, "feedback", told)
        place = {"round": row["round"], "cell": row["cell"]}
        lake.write(recipe.name, "feedback", place, table, context.run_id)
        version = feedback.version(recipe, told, tables.content_hash(table))
        for event in feedback_events(recipe, row, version, pictures.metadata(made.numbers)):
            context.log_event(event)


def feedback_events(
    recipe: Recipe, row: Mapping[str, Any], version: str, more: Mapping[str, Any]
) -> Iterator[dg.AssetObservation | dg.AssetMaterialization]:
    """What Dagster is told of a row of `feedback`, twice: versions of what is external are looked up in
    observations, and the UI shows materializations."""
    share = None if row["yield"] != row["yield"] or row["yield"] is None else round(row["yield"], 4)
    for event in (dg.AssetObservation, dg.AssetMaterialization):
        yield event(
            key(recipe, "feedback"),
            partition=cell_key(row["round"], row["cell"]),
            metadata={"cell": row["cell"], "yield": share, "rows": row["rows"], **more},
            tags={"dagster/data_version": version},
        )


def feedback_spec(recipe: Recipe) -> dg.AssetSpec:
    """`feedback` is external to the graph, so that the loop over rounds is no cycle: the metrics step writes
    it and reports it, the next round's conditions read it."""
    return dg.AssetSpec(
        key(recipe, "feedback"),
        partitions_def=partitions_of(recipe, "feedback"),
        group_name=recipe.name,
        kinds={"parquet"},
        description="Rows that the next round asks for; written by metrics.",
    )


def not_yet(context: Any, why: str, metadata: Mapping[str, Any]) -> Iterator[Any]:
    """What a stage yields in the place of a result: its run ends well, the partition stays as it was, checks
    are not evaluated, and what reads it is skipped."""
    context.log.info(f"{' '.join([*context.asset_key.path, *partition_of(context).values()])}: {why}")
    yield dg.AssetObservation(context.asset_key, why, partition=context.partition_key, metadata=metadata)
    for spec in context.assets_def.check_specs:  # Dagster wants their outputs, though not their verdicts
        yield dg.Output(None, output_name=spec.get_python_identifier())


def column_schema(recipe: Recipe, stage: str) -> dg.TableSchema:
    """The columns of a stage with their types and meanings, as the UI lists them; what the recipe's own
    columns mean, it knows itself."""
    own = {*recipe.attributes, *(getattr(recipe.steps["text"], "output", None) or ())} - {"text"}
    known = MEANINGS if stage == "reviews" else {n: m for n, m in MEANINGS.items() if n not in own}
    return dg.TableSchema(
        [dg.TableColumn(n, t, known.get(n)) for n, t in tables.columns(recipe, stage).items()]
    )


def preview(rows: Table) -> dg.MarkdownMetadataValue:
    """The first rows as a table, the text in front; ids stay in the lake, an unknown value is empty."""
    names = [c for c in rows if c not in HIDDEN]
    names = [*(c for c in names if c == "text"), *(c for c in names if c != "text")]
    shown = rows[names].head(PREVIEW_ROWS).astype(object).map(short)
    return dg.MetadataValue.md(
        shown.to_markdown(index=False, disable_numparse=True) if len(shown) else "no rows"
    )
