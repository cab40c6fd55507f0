"""The dataset card of an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from synth_assets.core.errors import UserError
from synth_assets.report.one_round import ask
from synth_assets.report.pages import Section, Table, general, in_card, markdown
from synth_assets.resources.gateway.models import resolve_model

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
CARD = "card.json"  # beside README.md: the same as data
DAYS = ("round", "made_in")
SIZES = {"n<1K": 10**3, "1K<n<10K": 10**4, "10K<n<100K": 10**5, "100K<n<1M": 10**6, "1M<n<10M": 10**7}
SYNTHETIC = (
    "**The rows are synthetic**: a language model wrote them, nobody has read all of them. They may be "
    "wrong, carry the model's biases, or repeat what it was trained on, and say nothing about real people "
    "or events. Judge a model on real data, not on these rows."
)


def facts(recipe: Recipe, warehouse: Warehouse, stage: str, round_: str | None, rows: int) -> dict[str, Any]:
    """What the card says, as data."""
    asked = recipe.model_dump(mode="json", include={"conditions", "demonstrations", "rows"})
    return {
        "recipe": recipe.name,
        "stage": stage,
        "round": round_,
        "rows": rows,
        "text": recipe.task.text,
        "label": recipe.task.label if recipe.labels else None,
        "labels": {name: label.definition for name, label in recipe.task.classify.items()},
        "seeds": {"source": recipe.seeds.source, "license": recipe.seeds.license},
        "steps": {
            name: {"models": [_model(m) for m in recipe.models_of(name)], "template": step.template}
            for name, step in recipe.steps.items()
        },
        "annotator": _model(recipe.annotator_model),
        "asked": asked,
        "measured": measured(recipe, warehouse, round_),
    }


def measured(recipe: Recipe, warehouse: Warehouse, round_: str | None) -> dict[str, list[dict[str, Any]]]:
    """Title of SECTIONS -> its rows."""
    return {
        title: ask(warehouse, recipe.name, sql, round=round_ or "9999-12-31") for title, _, sql in SECTIONS
    }


def card(recipe: Recipe, kind: Format, schema: pa.Schema, data: Mapping[str, Any]) -> Iterator[str]:
    """The dataset card, as the Hugging Face hub reads it."""
    labelled = f", with {data['label']}" if data["label"] else ""
    made = f"`{data['stage']}`" + (f", round {data['round']}" if data["round"] else "")
    yield from ("---", _front_matter(recipe, kind, data["rows"], schema).rstrip(), "---", "")
    yield from (f"# {recipe.name}", "", f"{data['rows']:,} rows: {data['text']}{labelled}. {SYNTHETIC}", "")
    yield from (f"Exported from the stage {made} of the recipe `{recipe.name}`.", "")
    if data["labels"]:
        labels = Table(["label", "what it means"], list(data["labels"].items()))
        yield from markdown([Section("labels", "Labels", "", [labels])], "##", in_card)
    yield from _origins(data["seeds"])
    yield from _how(data)
    yield from markdown(
        [_section(title, words, data["measured"][title]) for title, words, _ in SECTIONS], "##", in_card
    )


def _section(title: str, words: str, rows: Sequence[Mapping[str, Any]]) -> Section:
    cells = [[v if isinstance(v, str) else general(v) for v in row.values()] for row in rows]
    return Section("", title, words, [Table(list(rows[0]), cells) if rows else Table(["None."], [])])


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
    """A column as `datasets` names it, so that a column of nulls has its type too. Days in JSON it reads as
    points of time, even where this says text."""
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


def _origins(seeds: Mapping[str, str | None]) -> Iterator[str]:
    """The seeds are somebody's: their licence goes with the rows that come of them."""
    words = "Real rows that the model was shown; in `weighted` their `origin` is `seed`."
    yield from ("## Seeds", "", words, "", f"- source: {seeds['source'] or 'not stated'}")
    yield from (f"- license: {seeds['license'] or 'not stated'}", "")


def _how(data: Mapping[str, Any]) -> Iterator[str]:
    import yaml

    yield from ("## How it was made", "", "What the model was asked, step by step (templates):", "")
    for name, step in data["steps"].items():
        by = " and ".join(step["models"]) or "without a model"
        yield from (f"Step `{name}`, {by}:", "", *_fenced(step["template"]), "")
    yield from (f"Annotator: {data['annotator']}.", "", "Conditions:", "")
    yield from (*_fenced(yaml.safe_dump(data["asked"], sort_keys=False, allow_unicode=True)), "")


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
