"""What every stage shares: its key, its partitions, its place in the lake, its metadata and checks."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from synth_assets.partitions import cells, columns, rounds
from synth_assets.recipe import columns as recipe_columns
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages import tables
from synth_assets.stages.stage import Table, Verdict, key

LANGUAGE_MODEL_POOL = "language_model"
PREVIEW_ROWS = 5
HIDDEN = ("row_id", "round", "cell", "call_id", "replicate", "demonstration_ids")  # from previews


def partitions_of(recipe: Recipe, stage: str) -> dg.PartitionsDefinition | None:
    match tables.stages(recipe)[stage]:
        case ("round", "cell"):
            return cells(recipe.start, recipe.timezone, recipe.cells)
        case ("round",):
            return rounds(recipe.start, recipe.timezone)
    return None


def partition_of(context: Any) -> dict[str, str]:
    """What this run makes, as the lake's columns: {"round": ..., "cell": ...}; empty for the seeds."""
    return columns(context.partition_key) if context.has_partition_key else {}


def asset(
    recipe: Recipe,
    stage: str,
    *,
    reads: Sequence[str] = (),
    deps: Sequence[Any] = (),
    sections: Sequence[str] = (),
    checks: Mapping[str, str] | None = None,
    pool: str | None = None,
    automation_condition: dg.AutomationCondition | None = None,
    freshness_policy: dg.FreshnessPolicy | None = None,
    required: bool = True,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` for one stage of a recipe. `sections` of the recipe are its code version: a change of
    them makes all of its partitions stale. `checks` (name -> what it asks) block what comes after. What is
    not `required` may end without rows (see `not_yet`)."""

    def decorate(compute: Callable[..., Any]) -> dg.AssetsDefinition:
        return dg.asset(
            key=key(recipe, stage),
            ins={name: dg.AssetIn(key(recipe, name)) for name in reads},
            deps=deps,
            partitions_def=partitions_of(recipe, stage),
            group_name=recipe.name,
            description=compute.__doc__,
            dagster_type=dg.Any,  # the return annotation, a MaterializeResult, would mean "no value"
            code_version=recipe.version(*sections),
            check_specs=[check_spec(recipe, stage, *check) for check in (checks or {}).items()],
            kinds={"parquet"} | ({"llm"} if pool else set()),
            pool=pool,
            automation_condition=automation_condition,
            freshness_policy=freshness_policy,
            output_required=required,
        )(compute)

    return decorate


def follows(recipe: Recipe) -> dg.AutomationCondition:
    """A stage of a whole round is made when what it reads was made, for whichever round that is. Seeds are
    left out: they belong to every round, and reading them again must not make all rounds again."""
    latest = dg.AutomationCondition.in_latest_time_window()
    seeds = dg.AssetSelection.assets(key(recipe, "seeds"))
    return dg.AutomationCondition.eager().without(latest).ignore(seeds).with_label("follows its round")


def refreshes(recipe: Recipe) -> dg.AutomationCondition | None:
    """A stage of a cell is made again after an edit: when what it says itself has changed, or the data that
    it reads. What was never made is left alone, and so are, by default, all rounds but the latest. What a
    round tells the next is left out: a round that was made keeps the size that it had."""
    if recipe.refresh == "none":
        return None
    feedback = dg.AssetSelection.assets(key(recipe, "feedback"))
    is_ = dg.AutomationCondition
    changed: Any = is_.code_version_changed() | is_.any_deps_match(is_.data_version_changed()).ignore(
        feedback
    )
    busy = is_.in_progress() | is_.any_deps_in_progress().ignore(feedback)
    condition = changed.since_last_handled() & ~is_.missing() & ~busy
    if recipe.refresh == "latest":
        condition &= is_.in_latest_time_window()
    return condition.with_label("follows an edit")


def check_spec(recipe: Recipe, stage: str, name: str, asks: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name,
        asset=key(recipe, stage),
        description=asks,
        blocking=True,
        partitions_def=partitions_of(recipe, stage),
    )


def check(
    recipe: Recipe, stage: str, name: str, passed: bool, reason: str, blocks: bool = True, **metadata: Any
) -> dg.AssetCheckResult:
    """One check's verdict, with its reason in words; it stops what comes after, or only warns."""
    return dg.AssetCheckResult(
        asset_key=key(recipe, stage),
        check_name=name,
        passed=bool(passed),
        description=reason,
        severity=dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def check_all(recipe: Recipe, stage: str, name: str, *verdicts: Verdict) -> dg.AssetCheckResult:
    """One check of several things: it says what is wrong, or how all is well. A stage of cells has one
    check and no more: for a page of it, Dagster's web server goes through each partition of each check
    (300 rounds of 100 cells: 7 s a check)."""
    wrong = [verdict for verdict in verdicts if not verdict.fine]
    words = " ".join(verdict.words for verdict in wrong or verdicts)
    return check(recipe, stage, name, not wrong, words, blocks=any(verdict.blocks for verdict in wrong))


def result(
    recipe: Recipe,
    stage: str,
    rows: Table,
    metadata: Mapping[str, Any] | None = None,
    checks: Sequence[dg.AssetCheckResult] = (),
) -> dg.MaterializeResult:
    """Rows as a materialization: an Arrow table whose hash is the data version of the partition."""
    table = tables.to_arrow(recipe, stage, rows)
    return dg.MaterializeResult(
        asset_key=key(recipe, stage),
        value=table,
        data_version=dg.DataVersion(tables.content_hash(table)),
        metadata={
            "dagster/row_count": len(table),
            "dagster/column_schema": column_schema(recipe, stage),
            "preview": preview(rows[table.schema.names]),
            **(metadata or {}),
        },
        check_results=checks,
    )


def not_yet(context: Any, why: str, metadata: Mapping[str, Any]) -> Iterator[Any]:
    """What a stage yields in the place of a result: its run ends well, the partition stays as it was, checks
    are not evaluated, and what reads it is skipped."""
    context.log.info(f"{' '.join([*context.asset_key.path, *partition_of(context).values()])}: {why}")
    yield dg.AssetObservation(context.asset_key, why, partition=context.partition_key, metadata=metadata)
    for spec in context.assets_def.check_specs:  # Dagster wants their outputs, though not their verdicts
        yield dg.Output(None, output_name=spec.get_python_identifier())


def column_schema(recipe: Recipe, stage: str) -> dg.TableSchema:
    typed = tables.columns(recipe, stage).items()
    return dg.TableSchema([dg.TableColumn(n, t, recipe_columns.MEANINGS.get(n)) for n, t in typed])


def preview(rows: Table) -> dg.MarkdownMetadataValue:
    """The first rows as a table, the text in front; ids stay in the lake, an unknown value is empty."""
    names = [c for c in rows if c not in HIDDEN]
    names = [*(c for c in names if c == "text"), *(c for c in names if c != "text")]
    shown = rows[names].head(PREVIEW_ROWS).astype(object).map(cell)
    return dg.MetadataValue.md(
        shown.to_markdown(index=False, disable_numparse=True) if len(shown) else "no rows"
    )


def cell(value: Any) -> str:
    """A value as one short line that cannot break out of its cell."""
    if isinstance(value, dict):
        return ", ".join(f"{cell(k)} {cell(v)}" for k, v in value.items())
    if isinstance(value, Collection) and not isinstance(value, str):  # a list, or an array from the lake
        return ", ".join(map(cell, value))
    if value is None or value != value:
        return ""
    text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    text = " ".join(text.split()).replace("|", "&#124;").replace("<", "&lt;").replace("![", "! [")
    return text if len(text) <= 120 else text[:119] + "…"
