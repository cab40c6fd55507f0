"""The columns of every stage: what is written to Parquet, what the views show, what the UI lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from synth_assets.core.content import content_hash
from synth_assets.core.errors import UserError
from synth_assets.recipe.columns import COLUMNS, STAGES

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from synth_assets.recipe.recipe import Recipe

ONLY: dict[str, Callable[[Recipe], object]] = {  # stage -> whether a recipe has it
    "values": lambda recipe: recipe.listed,
    "grown": lambda recipe: recipe.growing,
    "reviews": lambda recipe: recipe.review,
    "vectors": lambda recipe: recipe.vectors,
    "signals": lambda recipe: recipe.signals,
}
DRAWN = {"human_draw": "string", "human_probability": "double"}
MARK = b"synth"  # in the metadata of a file whose rows are not as they were made: see `marked`


def stages(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """STAGES of a recipe: each step of its chain is one."""
    found: dict[str, tuple[str, ...]] = {}
    for stage, cut in STAGES.items():
        if stage not in ONLY or ONLY[stage](recipe):
            found |= dict.fromkeys(recipe.step_stages if stage == "generations" else [stage], cut)
    return found


def columns(recipe: Recipe, stage: str) -> dict[str, str]:
    """Column -> type of a stage. `labels` is a struct with one double a label."""
    stars = {
        "*field": recipe.seeds.columns,
        "*condition": {"label": "string", **recipe.condition_columns},
        "*output": recipe.steps[recipe.step_stages.get(stage, "text")].columns_of(recipe),
        "*chain": {"stage": "string"} if len(recipe.steps) > 1 else {},
        "*task": recipe.task.columns,
        "*raw": {c: t for f in recipe.filters.values() for c, t in f.raw.items()},
        "*annotated": {"entropy": "double"} if recipe.task.annotate else {},
        "*drawn": DRAWN if recipe.labelled.human or recipe.by_people else {},
        "*over": {"machine_label": "string"} if recipe.by_people and recipe.labels else {},
        "*steered": {"value": "double", "weights": "string"} if recipe.feedback.signals else {},
        "*weighed": dict.fromkeys(recipe.weights.columns_needed(), "double"),
        "*calls": {f"{name}_calls": "list<string>" for name, f in recipe.filters.items() if f.asks},
        "*scored": {c: t for f in recipe.filters.values() for c, t in f.columns.items()},
    }
    found: dict[str, str] = {}
    earlier = stage != "generations" and stage in recipe.step_stages
    for name, kind in COLUMNS["generations_*" if earlier else stage].items():
        if kind != "labels" or recipe.labels:
            found |= stars.get(name, {name: kind})
    return found


def schema(recipe: Recipe, stage: str) -> pa.Schema:
    """The Arrow schema of a stage."""
    import pyarrow as pa

    types = {kind: pa.type_for_alias(kind) for kind in ("string", "int64", "float", "double", "bool")}
    types |= {f"list<{kind}>": pa.list_(of) for kind, of in types.items()}
    types["labels"] = pa.struct([(label, pa.float64()) for label in recipe.labels])
    return pa.schema([(name, types[kind]) for name, kind in columns(recipe, stage).items()])


def to_arrow(recipe: Recipe, stage: str, rows: pd.DataFrame) -> pa.Table:
    """Rows as the stage's Arrow table. UserError when a column is missing or a value does not fit."""
    import pyarrow as pa

    wanted = schema(recipe, stage)
    missing = [name for name in wanted.names if name not in rows]
    if missing:
        raise UserError(f"{recipe.name}.{stage}: column {', '.join(missing)} is missing.")
    try:
        table = pa.Table.from_pandas(rows[wanted.names], schema=wanted, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(f"{recipe.name}.{stage}: {error}") from error
    return table.replace_schema_metadata(None).combine_chunks()


def marked(table: pa.Table, version: str) -> pa.Table:
    """A table that was changed on purpose after it was made, when its data version was `version`."""
    return table.replace_schema_metadata({MARK: json.dumps({"made": version, "now": content_hash(table)})})


def version_made(table: pa.Table) -> str:
    """The data version that a table from the lake was made with; `marked` or not."""
    version, mark = content_hash(table), json.loads((table.schema.metadata or {}).get(MARK, "{}"))
    return mark["made"] if mark.get("now") == version else version


def schemas(recipe: Recipe) -> dict[str, pa.Schema]:
    """Stage -> its Arrow schema."""
    return {stage: schema(recipe, stage) for stage in stages(recipe)}
