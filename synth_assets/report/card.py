"""The dataset card of an export."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Literal

import pyarrow as pa
import yaml

from synth_assets.contracts.model_spec import NamedModel
from synth_assets.core.errors import UserError
from synth_assets.recipe.recipe import Recipe
from synth_assets.report.one_round import ask, latest_verdict, query
from synth_assets.report.pages import Section, Table, general, in_card, markdown
from synth_assets.resources.gateway.models import resolve_model
from synth_assets.resources.storage.warehouse import Warehouse

Format = Literal["parquet", "jsonl", "hf", "conll"]
FILES = {
    "parquet": "train.parquet",
    "jsonl": "train.jsonl",
    "hf": "train/train-00000-of-00001.parquet",
    "conll": "train.conll",
}
FEW = 10  # rounds whose commands are written one by one
CARD = "card.json"  # beside README.md: the same as data
DAYS = ("round", "made_in")
ADDRESS = re.compile(r"""(\bbase_url["']?\s*:\s*)(?:"[^"]*"|'[^']*'|[^\s,}]+)""")  # in a recipe
CATEGORY = "text-classification"  # on the Hugging Face hub, where numbers are among them
CATEGORIES = {"spans": "token-classification"}
SIZES = {"n<1K": 10**3, "1K<n<10K": 10**4, "10K<n<100K": 10**5, "100K<n<1M": 10**6, "1M<n<10M": 10**7}
SECTIONS = {  # title -> what it says; report/queries/card_* ask for their rows
    "Models and cost": "Calls, tokens and US dollars of all rounds up to this one.",
    "Rounds": "Rows that were asked for and kept.",
    "Filters": "What was dropped, and by which rule.",
    "Metrics": "With 95 % intervals where there are some; n is the number of rows measured.",
}
SYNTHETIC = (
    "**Synthetic rows** were written by a language model, nobody has read all of them. They may be "
    "wrong, carry the model's biases, or repeat what it was trained on, and say nothing about real people "
    "or events. Judge a model on real data, not on these rows."
)


ANNOTATED = (
    "**The texts are real**, and a language model said what they are: what it said may be wrong. They may "
    "name people, and belong to somebody: find out whether they are free to use before this set goes on."
)
NO_LICENCE = (
    "The licence of the seeds is not stated. What comes of them may not be free to use: find out before this "
    "set goes on to others, and write seeds.license into the recipe."
)


def of_seeds(recipe: Recipe, rows: Mapping[str, int]) -> str:
    """How many rows are whose."""
    made = "texts of the user's own, annotated by a model" if recipe.task.annotate else "synthetic"
    return f"{rows['synthetic']:,} {made}, {rows['seed']:,} of the user's own seeds"


def facts(
    recipe: Recipe, warehouse: Warehouse, stage: str, round_: str | None, rows: Counter[str]
) -> dict[str, Any]:
    """What the card says, as data; `rows` by whose they are."""
    found = measured(recipe, warehouse, round_)
    return {
        "recipe": recipe.name,
        "stage": stage,
        "round": round_,
        "rows": rows.total(),
        "origins": {name: rows[name] for name in ("synthetic", "seed")},
        "verdict": latest_verdict(recipe, warehouse, round_),
        "text": recipe.task.text,
        "label": recipe.task.label if recipe.labels else None,
        "labels": recipe.task.definitions,
        "seeds": {"source": recipe.seeds.source, "license": recipe.seeds.license},
        "steps": {
            name: {"models": [_model(m) for m in recipe.models_of(name)], "template": step.template}
            for name, step in recipe.steps.items()
        },
        "annotator": _model(recipe.annotator_model),
        "made_by": {
            "recipe": ADDRESS.sub(r"\1(left out)", recipe.as_written),
            "commands": _commands(recipe.name, found["Rounds"]),
        },
        "measured": found,
    }


def _commands(name: str, rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """What makes these rounds; many of them as a range, whose other days it would make too."""
    days = [str(row["round"]) for row in rounds]
    if len(days) > FEW:
        return [f"synth run {name} --rounds {days[0]}..{days[-1]}"]
    return [f"synth run {name} --round {day}" for day in days]


def measured(recipe: Recipe, warehouse: Warehouse, round_: str | None) -> dict[str, list[dict[str, Any]]]:
    """Title of SECTIONS -> its rows."""
    queries = {title: query(f"card_{title.lower().replace(' ', '_')}") for title in SECTIONS}
    return {
        title: ask(warehouse, recipe.name, sql, round=round_ or "9999-12-31")
        for title, sql in queries.items()
    }


def card(recipe: Recipe, kind: Format, schema: pa.Schema, data: Mapping[str, Any]) -> Iterator[str]:
    """The dataset card, as the Hugging Face hub reads it."""
    labelled = f", with {data['label']}" if data["label"] else ""
    made = f"`{data['stage']}`" + (f", round {data['round']}" if data["round"] else "")
    yield from ("---", _front_matter(recipe, kind, data["rows"], schema).rstrip(), "---", "")
    yield from (f"# {recipe.name}", "", in_card(data["verdict"]), "")
    whose, told = of_seeds(recipe, data["origins"]), ANNOTATED if recipe.task.annotate else SYNTHETIC
    yield from (f"{data['rows']:,} rows: {data['text']}{labelled}; {whose}. {told}", "")
    yield from (f"Exported from the stage {made} of the recipe `{recipe.name}`.", "")
    if "people" in data:
        yield from (data["people"], "")
    if data["labels"]:
        labels = Table(["label", "what it means"], list(data["labels"].items()))
        yield from markdown([Section("labels", "Labels", "", [labels])], "##", in_card)
    # the seeds are somebody's: their licence goes with the rows that come of them
    among = "their `origin` is `seed`" if data["origins"]["seed"] else "none of them is in this set"
    yield from ("## Seeds", "", f"Real rows that the model was shown; {among}.", "")
    yield from (f"- {name}: {data['seeds'][name] or 'not stated'}" for name in ("source", "license"))
    if recipe.seeds.splits and not data["seeds"]["license"]:
        yield from ("", f"**Warning.** {NO_LICENCE}")
    yield from ("", *_how(data))
    for title, words in SECTIONS.items():
        rows = data["measured"][title]
        cells = [[v if isinstance(v, str) else general(v) for v in row.values()] for row in rows]
        table = Table(list(rows[0]), cells) if rows else Table(["None."], [])
        yield from markdown([Section("", title, words, [table])], "##", in_card)


def _front_matter(recipe: Recipe, kind: Format, rows: int, schema: pa.Schema) -> str:
    language = recipe.filters.get("language")
    size = next((name for name, limit in SIZES.items() if rows < limit), "n>10M")
    files = [{"split": "train", "path": FILES[kind]}]
    front = {
        **({"language": [getattr(language, "language", "en")]} if language else {}),  # not known otherwise
        "task_categories": [
            CATEGORIES.get(recipe.task.predict.word if recipe.task.predict else "", CATEGORY)
        ],
        "size_categories": [size],
        **(
            {"annotations_creators": ["machine-generated"]}
            if recipe.task.annotate
            else {"tags": ["synthetic"]}
        ),
        # which the hub loads; CoNLL it does not
        **({} if kind == "conll" else {"configs": [{"config_name": "default", "data_files": files}]}),
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
    if pa.types.is_list(kind):
        inner = _type(kind.value_type)
        return {"list": inner.get("dtype", inner)}
    if pa.types.is_struct(kind):
        return {"struct": [{"name": field.name, **_type(field.type)} for field in kind]}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind))}


def _how(data: Mapping[str, Any]) -> Iterator[str]:
    yield from ("## How it was made", "", "What the model was asked, step by step (templates):", "")
    for name, step in data["steps"].items():
        by = " and ".join(step["models"]) or "without a model"
        yield from (f"Step `{name}`, {by}:", "", *_fenced(step["template"]), "")
    yield from (f"Annotator: {data['annotator']}.", "", f"The recipe, `recipes/{data['recipe']}.yaml`:", "")
    yield from (*_fenced(data["made_by"]["recipe"]), "")
    yield "What makes the set again. Calls that are in the call log are not paid again; without it, a model "
    yield from ("is asked anew, and may answer otherwise:", "")
    yield from (*_fenced("\n".join(data["made_by"]["commands"])), "")


def _model(spec: str | NamedModel) -> str:
    """Name and today's price. Where it is, is nobody's business: an address may be one inside a company."""
    try:
        model = resolve_model(spec)
    except UserError:  # a key that is not set on this machine is no reason to have no card
        return f"model {spec if isinstance(spec, str) else spec.name}"
    costs, price = "price not stated", model.price
    if price is not None:
        paid = f"{price.prompt:g} and {price.completion:g} US dollars a million prompt and completion tokens"
        costs = "free" if price.free else paid
    return f"model {model.name}, {costs}"


def _fenced(text: str) -> list[str]:
    fence = next(ticks for n in count(3) if (ticks := "`" * n) not in text)
    return [fence, *text.rstrip().splitlines(), fence]
