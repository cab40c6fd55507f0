"""The recipe as a JSON Schema, for editors and for programs that write recipes.

It is made of the sections and of all methods that are known here, those of plug-ins too. What only a look at
several sections, a file or an expression can tell is left to `synth check`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from synth_assets.contracts.filter import Filter
from synth_assets.contracts.labelling import Labelling
from synth_assets.contracts.measure import Metric
from synth_assets.contracts.provider import Provider
from synth_assets.contracts.section import NAME
from synth_assets.contracts.step import StepBase
from synth_assets.contracts.weighing import Weighing
from synth_assets.core.answer_schema import TYPES
from synth_assets.core.errors import UserError
from synth_assets.core.registry import FILTERS, LABELS, METRICS, STEPS, TOOLS, VALUES, WEIGHTS, Registry
from synth_assets.recipe.columns import RESERVED
from synth_assets.recipe.measuring import Metrics
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage.files import write

Schema = dict[str, Any]
FILE = "recipe.schema.json"  # beside the recipes
LINE = f"# yaml-language-server: $schema={FILE}\n"  # the first of a recipe that an editor is to check
DRAFT = "https://json-schema.org/draft/2020-12/schema"
KINDS: tuple[tuple[Registry, type[BaseModel]], ...] = (
    *((FILTERS, Filter), (VALUES, Provider), (STEPS, StepBase)),
    *((LABELS, Labelling), (WEIGHTS, Weighing), (METRICS, Metric)),
)
PLACE = {"type": "string", "pattern": "^[^:]+:[^:]+$"}  # package.module:Class
OWN_WORDS = ("between", "filter", "source", "step")  # of sections of several kinds: said where they stand
WRITTEN = ("steps", "rows")  # what only a recipe that annotates may leave out
NAMED = f"^{NAME.pattern}$"
SCALAR = {"type": ["string", "number", "boolean"]}


def save(folder: Path) -> Path:
    """Write it beside the recipes, where their first line looks for it."""
    write(folder / FILE, json.dumps(schema(), indent=1, ensure_ascii=False) + "\n")
    return folder / FILE


def schema() -> Schema:
    """A JSON Schema that right recipes fit."""
    found = dict(_methods())
    wanted = dict.fromkeys([Recipe, *found.values()])
    places, made = models_json_schema([(kind, "validation") for kind in wanted])
    parts = {key: places[kind, "validation"] for key, kind in found.items()}
    defs = made["$defs"]
    for part in defs.values():
        _untitled(part)
    of = {r.kind: {w: parts[r.kind, w] for w in r.known if (r.kind, w) in parts} for r, _ in KINDS}
    whole = defs.pop(places[Recipe, "validation"]["$ref"].rpartition("/")[2])
    fields = whole["properties"]
    del fields["name"]
    left_out = {"name", *WRITTEN}
    whole["required"] = [name for name in whole["required"] if name not in left_out]
    whole |= {"if": {"not": {"properties": {"task": {"required": ["annotate"]}}}}}
    whole |= {"then": {"required": [*WRITTEN]}}
    for name in ("filters", "conditions", "steps"):
        fields[name]["type"] = "object"
    fields["filters"] |= _filters(of["filters"], defs)
    fields["conditions"] |= _conditions(of["values"], defs)
    fields["steps"] |= _steps(of["steps"], defs)
    for name, default in (("labelled", "condition"), ("weights", "none")):
        words = fields[name].get("description")
        fields[name] = {"description": words, **_by(of["labels" if name == "labelled" else name], default)}
    _metrics(_definition(fields["metrics"], defs), of["metrics"])
    head: Schema = {"$schema": DRAFT, "title": "A recipe of synth-assets"}
    whole = head | whole
    named = {
        kind: {w: ref["$ref"].rpartition("/")[2] for w, ref in refs.items()} for kind, refs in of.items()
    }
    return {
        **whole,
        "x-methods": named,
        "$defs": {name: defs[name] for name in sorted(_reached(whole, defs))},
    }


def _methods() -> Iterator[tuple[tuple[str, str], Any]]:
    """All methods. One of a plug-in that cannot be loaded is as unknown to an editor as to a recipe."""
    for registry, base in KINDS:
        for word in registry.known:
            with suppress(UserError):
                yield (registry.kind, word), registry.find(word, base)


def _reached(part: Schema, defs: Schema) -> set[str]:
    """Definitions that something refers to."""
    found: set[str] = set()
    left = [part]
    while left:
        names = {each["$ref"].rpartition("/")[2] for each in _parts(left.pop()) if "$ref" in each}
        left += [defs[name] for name in names - found]
        found |= names
    return found


def _filters(words: Mapping[str, Schema], defs: Schema) -> Schema:
    """By their names; under a name of its own, a section says which filter it is."""
    for ref in words.values():
        own = _definition(ref, defs)
        limits = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
        own["properties"]["between"] = limits | {"description": "Short for at_least and at_most."}
        own["properties"]["filter"] = {"type": "string", "description": "Which filter it is."}
        own["not"] = {"required": ["top", "share"]}
    choice = _chosen("filter", words)
    return {
        "propertyNames": {"anyOf": [{"pattern": NAMED}, PLACE]},
        "properties": {word: {"anyOf": [ref, {"type": "null"}]} for word, ref in words.items()},
        "patternProperties": {":": {"type": ["object", "null"]}},
        "additionalProperties": {**choice, "required": ["filter"]},
    }


def _conditions(words: Mapping[str, Schema], defs: Schema) -> Schema:
    """A list, values with weights, or a source."""
    for word, ref in words.items():
        own = _definition(ref, defs)
        own["properties"]["source"] = {"const": word, "description": "Which source of values it is."}
        own["required"] = sorted({*own.get("required", []), *({word} & set(own["properties"]))})
    weighed: Schema = {"type": "object", "minProperties": 1}
    weighed["additionalProperties"] = {"type": "number", "exclusiveMinimum": 0}
    forms = [
        {"const": "labels"},
        {"type": "array", "items": SCALAR, "minItems": 1, "uniqueItems": True},
        weighed,
        *words.values(),
        {"type": "object", "required": ["source"], "properties": {"source": PLACE}},
    ]
    names = {"pattern": NAMED, "not": {"enum": sorted(RESERVED)}}
    label = {"const": "labels"}
    return {"propertyNames": names, "properties": {"label": label}, "additionalProperties": {"anyOf": forms}}


def _steps(words: Mapping[str, Schema], defs: Schema) -> Schema:
    """A prompt, or a section with the word of its kind."""
    of: dict[str, list[str]] = {}
    for word, ref in words.items():
        of.setdefault(ref["$ref"], []).append(word)
    forms: list[Schema] = [{"type": "string"}]
    for place, own_words in of.items():
        own = _definition({"$ref": place}, defs)
        own["properties"]["step"] = {"enum": own_words, "description": "Which kind of step it is."}
        for word in {*own_words} & {*own["properties"]}:
            own["properties"][word] = _without_null(own["properties"][word])
        named = [{"required": [word]} for word in own_words if word in own["properties"]]
        forms.append({"$ref": place, **({"oneOf": named} if named else {})})
        if "tool" in own_words:
            own["properties"]["tool"] |= {"anyOf": [{"enum": sorted(TOOLS.known)}, PLACE]}
        if output := own["properties"].get("output"):
            kind = {"anyOf": [{"enum": sorted(TYPES)}, {"type": "array", "items": {"type": "string"}}]}
            output["anyOf"] = [{"type": "object", "additionalProperties": kind}, {"type": "null"}]
            del output["default"]
    forms.append({"type": "object", "required": ["step"], "properties": {"step": PLACE}})
    return {
        "required": ["text"],
        "propertyNames": {"pattern": NAMED},
        "additionalProperties": {"anyOf": forms},
    }


def _by(words: Mapping[str, Schema], default: str) -> Schema:
    """A section of the class that its `by` names."""
    without = {"if": {"not": {"required": ["by"]}}, "then": words[default]}
    choice = _chosen("by", words)
    return {**choice, "allOf": [without, *choice["allOf"]]}


def _metrics(section: Schema, words: Mapping[str, Schema]) -> None:
    """Those of plug-ins stand beside the fields."""
    for word, ref in words.items():
        if word not in section["properties"] and word not in Metrics.model_fields:
            section["properties"][word] = {"anyOf": [ref, {"const": True}, {"type": "null"}]}
    section["patternProperties"] = {":": {"type": ["object", "boolean", "null"]}}
    section["additionalProperties"] = False


def _chosen(field: str, words: Mapping[str, Schema]) -> Schema:
    """A section whose field says by which of these it is to be read."""
    is_ = ({"properties": {field: {"const": word}}, "required": [field]} for word in words)
    choice = [{"if": each, "then": ref} for each, ref in zip(is_, words.values(), strict=True)]
    known = {"anyOf": [{"enum": list(words)}, PLACE]}
    return {"type": "object", "properties": {field: known}, "allOf": choice}


def _definition(ref: Schema, defs: Schema) -> Schema:
    found: Schema = defs[ref["$ref"].rpartition("/")[2]]
    return found


def _without_null(field: Schema) -> Schema:
    """The word of a step is not left empty."""
    forms = [form for form in field.get("anyOf", []) if form != {"type": "null"}]
    if not forms:
        return field
    return {**{k: v for k, v in field.items() if k not in ("anyOf", "default")}, "anyOf": forms}


def _untitled(part: Any) -> None:
    """Titles repeat the names of the fields."""
    for each in _parts(part):
        if isinstance(each.get("title"), str):
            del each["title"]


def _parts(part: Any) -> Iterator[Schema]:
    if isinstance(part, dict):
        yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _parts(each)
