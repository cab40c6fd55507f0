"""`synth export`: a stage of one round as a data set of its own, with the card that says how it was made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from resources.models import resolve_model
from resources.process import is_gone, this_process
from resources.warehouse import identifier
from synth_assets import tables
from synth_assets.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from resources.lake import Lake
    from resources.models import NamedModel
    from resources.warehouse import Warehouse
    from synth_assets.recipe import Recipe

Format = Literal["parquet", "jsonl", "hf"]
FILES: Mapping[str, str] = {
    "parquet": "train.parquet",
    "jsonl": "train.jsonl",
    "hf": "train/train-00000-of-00001.parquet",
}
DAYS = ("round", "made_in")
SIZES = {"n<1K": 10**3, "1K<n<10K": 10**4, "10K<n<100K": 10**5, "100K<n<1M": 10**6, "1M<n<10M": 10**7}
SYNTHETIC = (
    "**The rows are synthetic**: a language model wrote them, nobody has read all of them. They may be "
    "wrong, carry the model's biases, or repeat what it was trained on, and say nothing about real people "
    "or events. Judge a model on real data, not on these rows."
)


def export(
    recipe: Recipe, lake: Lake, warehouse: Warehouse, to: Path, kind: Format, stage: str, round_: str | None
) -> int:
    """Write the data set into the folder `to`, whole or not at all; returns its rows.

    UserError when there is something in the folder already, or nothing to export.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError(f"--to {to}: there is something already: remove it, or name another folder.")
    round_, places = _places(recipe, lake, stage, round_)
    schema = tables.schema(recipe, stage)
    rows = (part for p in places for part in lake.stream(recipe.name, stage, p, schema))
    to.parent.mkdir(parents=True, exist_ok=True)
    for left in to.parent.glob(f".{to.name}.*"):  # of exports that were killed here
        if is_gone(left.name.removeprefix(f".{to.name}.")):
            shutil.rmtree(left, ignore_errors=True)
    beside = to.with_name(f".{to.name}.{this_process()}")
    try:
        file = beside / FILES[kind]
        file.parent.mkdir(parents=True)
        written = _write(file, (_of_today(recipe, part) for part in rows), schema, kind)
        _save(beside / "README.md", "\n".join(card(recipe, warehouse, kind, stage, round_, written, schema)))
        beside.replace(to)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return written


def _places(
    recipe: Recipe, lake: Lake, stage: str, round_: str | None
) -> tuple[str | None, list[dict[str, str]]]:
    """The round, by default the latest one, and its partitions."""
    cut = tables.stages(recipe)[stage]
    found = [
        p for p in lake.partitions(recipe.name, stage, cut) if p.get("cell", "all") in (*recipe.cells, "all")
    ]
    if "round" in cut:
        rounds = sorted({p["round"] for p in found})
        round_ = round_ or (rounds[-1] if rounds else None)
        found = [p for p in found if p["round"] == round_]
        if not found:
            known = ", ".join(rounds[-5:]) or "none"
            raise UserError(
                f"{recipe.name}.{stage} has no round {round_ or ''}: the latest are {known}. "
                f"`synth run {recipe.name}` makes one."
            )
        return round_, found
    return None, found or [{}]


def _of_today(recipe: Recipe, rows: pa.Table) -> pa.Table:
    """Without rows of cells that the recipe no longer has; a training set has labels in their place."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = ("cell", "label") if recipe.labels else ("cell",)
    place = next((name for name in places if name in rows.column_names), None)
    return rows if place is None else rows.filter(pc.is_in(rows[place], pa.array([*recipe.cells, "all"])))


def _write(file: Path, parts: Iterator[pa.Table], schema: pa.Schema, kind: Format) -> int:
    import pyarrow.parquet as pq

    written = 0
    with file.open("wb") as out:
        if kind == "jsonl":
            for part in parts:
                written += len(part)
                for row in part.to_pylist():
                    out.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
        else:
            with pq.ParquetWriter(out, schema, compression="zstd") as writer:
                for part in parts:
                    written += len(part)
                    writer.write_table(part)
        out.flush()
        os.fsync(out.fileno())
    return written


def _save(file: Path, text: str) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def card(
    recipe: Recipe,
    warehouse: Warehouse,
    kind: Format,
    stage: str,
    round_: str | None,
    rows: int,
    schema: pa.Schema,
) -> Iterator[str]:
    """The dataset card, as the Hugging Face hub reads it."""
    labelled = f", with {recipe.task.label}" if recipe.labels else ""
    yield from ["---", _front_matter(recipe, kind, rows, schema).rstrip(), "---", ""]
    yield from [
        f"# {recipe.name}",
        "",
        f"{rows:,} rows: {recipe.task.text}{labelled}. {SYNTHETIC}",
        "",
    ]
    made = f"`{stage}`" + (f", round {round_}" if round_ else "")
    yield from [f"Exported from the stage {made} of the recipe `{recipe.name}`.", ""]
    yield from _labels(recipe)
    yield from _origins(recipe)
    yield from _how(recipe)

    def ask(sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        relation = warehouse.query(
            sql.replace("{recipe}", identifier(recipe.name)), {"round": round_ or "9999-12-31"}
        )
        return relation.columns, relation.fetchall()

    for title, words, sql in SECTIONS:
        columns, found = ask(sql)
        yield from [f"## {title}", "", words, "", *(_table(columns, found) if found else ["None."]), ""]


SECTIONS = (
    (
        "Models and cost",
        "Calls, tokens and US dollars of all rounds up to this one.",
        """select used_by as stage, model, endpoint, count(*) as calls, sum(prompt_tokens) as prompt_tokens,
          sum(completion_tokens) as completion_tokens,
          if(bool_and(cost is not null or outcome in ('rate_limited', 'provider_error', 'timed_out')),
            sum(cost), null) as dollars
        from (select distinct on (call_id) * from {recipe}.calls where round <= $round
          order by call_id, round, used_by) group by all order by all""",
    ),
    (
        "Rounds",
        "Rows that were asked for and kept.",
        """select round, count(*) as generated, count(*) filter (where accepted) as accepted,
          (select count(*) from {recipe}.filtered as f where f.round = g.round) as kept
        from {recipe}.generations as g where round <= $round group by round order by round""",
    ),
    (
        "Filters",
        "What was dropped, and by which rule.",
        """select stage, scorer as filter, threshold as wanted, count(*) as dropped from {recipe}.rejected
        where round <= $round group by all order by dropped desc, filter""",
    ),
    (
        "Metrics",
        "With 95 % intervals where there are some; n is the number of rows measured.",
        """select name, slice, value, low, high, n from {recipe}.metrics where round = $round order by all""",
    ),
)


def _front_matter(recipe: Recipe, kind: Format, rows: int, schema: pa.Schema) -> str:
    import yaml

    language = recipe.filters.get("language")
    size = next((name for name, limit in SIZES.items() if rows < limit), "n>10M")
    files = [{"split": "train", "path": FILES[kind]}]
    front = {
        **({"language": [getattr(language, "language", "en")]} if language else {}),  # not known otherwise
        "task_categories": ["text-classification"],
        "size_categories": [size],
        "tags": ["synthetic"],
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {"features": [_feature(field, kind) for field in schema]},
    }
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True)


def _feature(field: pa.Field, kind: Format) -> dict[str, Any]:
    """A column in the words of `datasets`, so that one which is all null has its type too. Days in JSON are
    read as points of time, whatever is said here of text."""
    if kind == "jsonl" and field.name in DAYS:
        return {"name": field.name, "dtype": "date32"}
    return {"name": field.name, **_type(field.type)}


def _type(kind: pa.DataType) -> dict[str, Any]:
    import pyarrow as pa

    if pa.types.is_list(kind):
        inner = _type(kind.value_type)
        return {"list": inner.get("dtype", inner)}
    if pa.types.is_struct(kind):
        return {"struct": [{"name": field.name, **_type(field.type)} for field in kind]}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind))}


def _labels(recipe: Recipe) -> Iterator[str]:
    found = [(name, label.definition) for name, label in recipe.task.classify.items()]
    if found:
        yield from ["## Labels", "", *_table(["label", "what it means"], found), ""]


def _origins(recipe: Recipe) -> Iterator[str]:
    """The seeds are somebody's: their licence goes with the rows that come of them."""
    yield from [
        "## Seeds",
        "",
        "Real rows that the model was shown; in `weighted` their `origin` is `seed`.",
        "",
    ]
    yield f"- source: {recipe.seeds.source or 'not stated'}"
    yield from [f"- license: {recipe.seeds.license or 'not stated'}", ""]


def _how(recipe: Recipe) -> Iterator[str]:
    import yaml

    yield from ["## How it was made", "", "What the model was asked, step by step (templates):", ""]
    for name, step in recipe.steps.items():
        by = " and ".join(map(_model, recipe.models_of(name))) or "without a model"
        yield from [f"Step `{name}`, {by}:", "", *_fenced(step.template), ""]
    yield from [f"Annotator: {_model(recipe.annotator_model)}.", "", "Conditions:", ""]
    said = recipe.model_dump(mode="json", include={"conditions", "demonstrations", "rows"})
    yield from [*_fenced(yaml.safe_dump(said, sort_keys=False, allow_unicode=True)), ""]


def _model(spec: str | NamedModel) -> str:
    """Name, endpoint and today's price."""
    try:
        model = resolve_model(spec)
    except UserError:  # a key that is not set on this machine is no reason to have no card
        return f"model {spec if isinstance(spec, str) else spec.name}"
    price = "price not stated"
    if model.price is not None:
        price = (
            "free"
            if model.price.free
            else (
                f"{model.price.prompt:g} and {model.price.completion:g} US dollars "
                "a million prompt and completion tokens"
            )
        )
    return f"model {model.name} at {model.endpoint}, {price}"


def _fenced(text: str) -> list[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    return [fence, *text.rstrip().splitlines(), fence]


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(value: Any) -> str:
    if value is None:
        return "unknown"
    text = f"{value:,.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.split()).replace("|", "\\|")
