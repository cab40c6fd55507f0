"""The dataset card of an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from synth_assets.core.errors import UserError
from synth_assets.resources.gateway.models import resolve_model
from synth_assets.resources.storage.warehouse import identifier

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_assets.contracts.model_spec import NamedModel
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.resources.storage.warehouse import Warehouse

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
