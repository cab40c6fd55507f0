"""The columns of every stage: what is written to Parquet, what the views show, what the UI lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from synth_assets.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from synth_assets.recipe import Recipe

# stage -> what cuts it into partitions
STAGES: Mapping[str, tuple[str, ...]] = {
    "seeds": (),
    "values": (),
    "conditions": ("round", "cell"),
    "generations": ("round", "cell"),
    "scores": ("round", "cell"),
    "filtered": ("round",),
    "rejected": ("round",),
    "labelled": ("round",),
    "weighted": ("round",),
    "metrics": ("round",),
    "feedback": ("round", "cell"),
    "calls": ("used_by", "round", "cell"),
}

MEANINGS: Mapping[str, str] = {
    "row_id": "hash of what decides the row",
    "round": "day of the batch",
    "cell": "slice of the round that is made and made again on its own: a label",
    "replicate": "number of the row in its cell",
    "label": "label of the task",
    "attribute": "condition that has the value",
    "given": "values of other conditions that it is for",
    "definition": "what the label means",
    "verbalizer": "the word that stands for the label",
    "split": "demonstration, validation, test or unlabeled",
    "demonstration_set": "which of the round's sets the prompt shows",
    "demonstration_ids": "seed rows that the prompt shows",
    "accepted": "whether the answer is a row",
    "reason": "why it is not",
    "error": "what went wrong, in words",
    "call_id": "identity of the request in the call log",
    "stage": "stage that dropped the row",
    "scorer": "filter or outcome that dropped it",
    "votes": "samples of the question with the same result",
    "turns": "what was said, the user first",
    "value": "the score, the metric, or what a condition may be",
    "threshold": "what the recipe wanted",
    "label_logprobs": "log-probability of each label's verbalizer",
    "annotator_labels": "label that each annotator gives, null where its answer names none",
    "label_probabilities": "probability of each label, by who gave it; the annotator's, calibrated",
    "former_label": "label before enhancement",
    "label_source": "who gave the label: condition, label_agreement, student, annotators or human",
    "confidence": "probability of the label, null if unknown",
    "origin": "synthetic or seed",
    "made_in": "round that made the row, null for seeds",
    "weight": "what training gives the row",
    "slice": "what was measured",
    "low": "lower end of the 95 % interval",
    "high": "upper end of the 95 % interval",
    "n": "rows measured",
    "yield": "kept rows over rows asked for",
    "used_by": "stage whose rows rest on the call",
    "messages": "JSON: what was asked",
    "parameters": "JSON: api, sampling, schema, seed, replicate",
    "outcome": "ok, refused, truncated, invalid, rate_limited, provider_error or timed_out",
    "logprobs": "JSON: token, log-probability, those of its alternatives",
    "tokens_from": "who counted the tokens: provider, or estimated",
    "cost": "US dollars, null if unknown",
    "rows": "rows that the next round asks for",
}


PLACE = {"row_id": "string", "round": "string", "cell": "string"}
# stage -> column -> type; names with a star stand for columns that the recipe decides
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "seeds": {"row_id": "string", "text": "string", "label": "string", "split": "string", "*field": ""},
    "values": {"attribute": "string", "given": "string", "value": "string"},
    "conditions": {
        **PLACE,
        "replicate": "int64",
        "*condition": "",
        "definition": "string",
        "verbalizer": "string",
        "demonstration_set": "int64",
        "demonstration_ids": "list<string>",
    },
    "generations": {
        **PLACE,
        "*condition": "",
        "text": "string",
        "*output": "",
        "accepted": "bool",
        "reason": "string",
        "error": "string",
        "*chain": "",
        "call_id": "string",
        "model": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
    },
    "generations_*": {  # of a step before the last
        **PLACE,
        "text": "string",
        "*output": "",
        "accepted": "bool",
        "reason": "string",
        "error": "string",
        "stage": "string",
        "call_id": "string",
        "model": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
    },
    "scores": {**PLACE, "*raw": ""},
    "filtered": {
        **PLACE,
        "*condition": "",
        "text": "string",
        "*output": "",
        "call_id": "string",
        "*scored": "",
    },
    "rejected": {
        **PLACE,
        "label": "string",
        "text": "string",
        "stage": "string",
        "scorer": "string",
        "value": "double",
        "threshold": "string",
        "reason": "string",
    },
    "labelled": {
        **PLACE,
        "text": "string",
        "label": "string",
        "former_label": "string",
        "label_source": "string",
        "confidence": "double",
        "label_probabilities": "labels",
    },
    "weighted": {
        "row_id": "string",
        "round": "string",
        "origin": "string",
        "made_in": "string",
        "text": "string",
        "label": "string",
        "weight": "double",
        "label_probabilities": "labels",
    },
    "metrics": {
        "round": "string",
        "name": "string",
        "slice": "string",
        "value": "double",
        "low": "double",
        "high": "double",
        "n": "int64",
        "reason": "string",
    },
    "feedback": {"round": "string", "cell": "string", "yield": "double", "rows": "int64"},
    "calls": {
        "used_by": "string",
        "round": "string",
        "cell": "string",
        "call_id": "string",
        "messages": "string",
        "parameters": "string",
        "model": "string",
        "endpoint": "string",
        "outcome": "string",
        "text": "string",
        "finish_reason": "string",
        "logprobs": "string",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "tokens_from": "string",
        "cost": "double",
        "latency_s": "double",
        "attempts": "int64",
        "error": "string",
        "run_id": "string",
        "time": "string",
    },
}


def stages(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """STAGES of a recipe: each step of its chain is one."""
    found: dict[str, tuple[str, ...]] = {}
    for stage, cut in STAGES.items():
        if stage == "values" and not recipe.listed:  # only of a recipe that asks for some
            continue
        found |= dict.fromkeys(recipe.step_stages if stage == "generations" else [stage], cut)
    return found


def columns(recipe: Recipe, stage: str) -> dict[str, str]:
    """Column -> type of a stage. `labels` is a struct with one double a label."""
    stars = {
        "*field": dict.fromkeys(recipe.seeds.fields, "string"),
        "*condition": {"label": "string", **dict.fromkeys(recipe.attributes, "string")},
        "*output": recipe.columns_of(recipe.step_stages.get(stage, "text")),
        "*chain": {"stage": "string"} if len(recipe.steps) > 1 else {},
        "*raw": {c: t for f in recipe.filters.values() for c, t in f.raw.items()},
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

    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "bool": pa.bool_(),
        "list<string>": pa.list_(pa.string()),
        "list<int64>": pa.list_(pa.int64()),
        "list<double>": pa.list_(pa.float64()),
        "list<bool>": pa.list_(pa.bool_()),
        "labels": pa.struct([(label, pa.float64()) for label in recipe.labels]),
    }
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


def content_hash(table: pa.Table) -> str:
    """Hash of names, types and values, in memory as on disk: the partition's data version.

    The bytes of a table would not do: Arrow leaves open what stands in the place of a null.
    """
    import hashlib

    digest = hashlib.sha256()
    for name in table.column_names:
        digest.update(f"{name}\n".encode())
        _digest(table[name].combine_chunks(), digest.update)
    return digest.hexdigest()[:32]


def _digest(array: pa.Array, update: Callable[[bytes], None]) -> None:
    """Type, nulls, and the values that are not null; of lists and structs those of their parts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    update(array.is_null().to_numpy(zero_copy_only=False).tobytes())
    values = array.drop_null()
    if pa.types.is_struct(values.type):
        for field, part in zip(values.type, values.flatten(), strict=True):
            update(f"struct {field.name}\n".encode())
            _digest(part, update)
    elif pa.types.is_list(values.type):
        update(b"list\n" + pc.list_value_length(values).to_numpy(zero_copy_only=False).tobytes())
        _digest(values.flatten(), update)
    elif pa.types.is_string(values.type):
        update(b"string\n" + pc.binary_length(values).to_numpy(zero_copy_only=False).tobytes())
        update("".join(values.to_pylist()).encode())
    else:
        update(f"{values.type}\n".encode() + values.to_numpy(zero_copy_only=False).tobytes())


def schemas(recipe: Recipe) -> dict[str, pa.Schema]:
    return {stage: schema(recipe, stage) for stage in stages(recipe)}
