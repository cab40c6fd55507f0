"""All that a recipe may say here, as one page made from the code: sections, methods, models, errors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from synth_assets.contracts.filter import Filter
from synth_assets.core.described import described, summary
from synth_assets.core.errors import CODES, UserError
from synth_assets.core.registry import (
    FILTERS,
    LABELS,
    METRICS,
    SIGNALS,
    STEPS,
    TOOLS,
    VALUES,
    WEIGHTS,
    Registry,
)
from synth_assets.generation.steps.tool import SETTINGS
from synth_assets.recipe.schema import KINDS, OWN_WORDS, schema
from synth_assets.recipe.sections import Task
from synth_assets.resources.gateway.models import OPENAI, address, models_file, named_models
from synth_assets.resources.home import recipes
from synth_assets.resources.packages import PARTS

BASES = {registry.kind: base for registry, base in KINDS}
GALLERY = Path(__file__).parents[1] / "gallery"
Part = Mapping[str, Any]


def page(commands: Mapping[str, str]) -> Iterator[str]:
    """The lines of the page, in Markdown; `commands`: name -> what it does."""
    yield from of_recipes()
    yield from ("", "## Models", "", *_models())
    yield from (
        "",
        "## Recipes here",
        "",
        ", ".join(sorted(p.stem for p in recipes().glob("*.yaml"))) or "none",
    )
    yield from ("", "## Gallery", "", "Published systems as recipes: `synth new NAME --like SYSTEM`.", "")
    yield from (f"- `{path.stem}`: {first_words(path)}" for path in sorted(GALLERY.glob("*.yaml")))
    yield from ("", "## Commands", "", *(f"- `synth {name}`: {does}" for name, does in commands.items()))
    yield from (
        "",
        "## Errors",
        "",
        "With --json: `errors`, each with code, message, file, line, field, fix.",
        "",
    )
    yield from (f"- `{code}`: {what}" for code, what in CODES.items())


def of_recipes() -> Iterator[str]:
    """What of it is about recipes, and the same wherever one is written."""
    whole = schema()
    yield from ("# synth-assets: what a recipe may say here", "")
    yield "A recipe is a YAML file, `recipes/NAME.yaml`: `synth new NAME` writes one to start from."
    yield from ("", "## Sections", "", *_fields(whole, whole))
    yield from ("", "## Templates", "", "Prompts are Jinja; an unknown field is an error. They know:", "")
    words = [*Task().fields(), "label", "definition", "verbalizer", "demonstrations (each: text, label)"]
    yield f"{', '.join(words)}, each condition, each step before: `{{{{ step }}}}`, `{{{{ step.field }}}}`."
    yield from _filters(whole)
    for registry, title, how in WORDS:
        common = (f"- `{name}`: {words}" for name, words in described(BASES[registry.kind]).items())
        yield from ("", f"## {title}", "", how, "", *common, *_methods(registry, whole))
    yield from ("", "## Tools", "", 'In a step `{tool: NAME, input: "{{ step }}"}`.', "", *_functions(TOOLS))
    told = "For the next rounds: `{rows: {from: validation, by: NAME}}`. A score of kept rows is one."
    yield from ("", "## Signals", "", told, "", *_functions(SIGNALS))


WORDS = (
    (VALUES, "Sources of values", "Of a condition: `name: {SOURCE: ...}`, or a list, or value: weight."),
    (STEPS, "Steps", "A text is short for `{prompt: text}`; the last step is called text."),
    (LABELS, "Ways to label", "`labelled: {by: NAME}`."),
    (WEIGHTS, "Ways to weigh", "`weights: {by: NAME}`."),
    (METRICS, "Metrics", "Built in: fields of `metrics`, above; of plug-ins: `metrics: {NAME: {}}`."),
)

MORE_THAN_FUNCTIONS = {  # tools with settings
    "function": "What a function of your own makes of the text.",
    "python": "What the text prints as a program, in a sandbox.",
    "retrieve": "The passages of a file that fit the text best (BM25).",
    "sql": "The rows that the text asks a data base for, as JSON; it only reads.",
}


def _fields(part: Part, whole: Part, indent: str = "", told: set[str] | None = None) -> Iterator[str]:
    """A line a field, those of the section that it holds below it; `told`: sections shown before."""
    told = set() if told is None else told
    for name, about in part["properties"].items():
        kind, needed = _kind(about, whole), ", needed" if name in part.get("required", ()) else ""
        default = f", default {json.dumps(about['default'], ensure_ascii=False)}" if _says(about) else ""
        yield f"{indent}- `{name}` ({kind}{needed}{default}): {about.get('description', '')}"
        places = [place for place in _sections(about) if place not in told]
        for place in places:
            told.add(place)
            inside, deeper = whole["$defs"][place], f"{indent}  "
            if len(places) > 1:
                yield f"{deeper}- either: {inside['description']}"
                deeper += "  "
            yield from _fields(inside, whole, deeper, told)


def _says(about: Part) -> bool:
    """Whether the default tells anything on a line."""
    default = about.get("default")
    return default not in (None, "", []) and not isinstance(default, dict) and len(str(default)) < 60


def _sections(about: Part) -> list[str]:
    """The section that a field holds, alone or under names, or those of which it is one, by their places in
    the definitions."""
    inner = about.get("additionalProperties")
    within = [inner, *inner.get("anyOf", ())] if isinstance(inner, dict) else []
    items = [about["items"]] if isinstance(about.get("items"), dict) else []
    forms = [about, *about.get("anyOf", ()), *within, *items]
    found = list(dict.fromkeys(form["$ref"].rpartition("/")[2] for form in forms if "$ref" in form))
    own = about.get("anyOf", ())
    one_of = bool(own) and all("$ref" in form or form == {"type": "null"} for form in own)
    return found if len(found) == 1 or one_of else []


def _kind(about: Part, whole: Part) -> str:
    """What may stand there, in words."""
    if "const" in about:
        return json.dumps(about["const"])
    if "enum" in about:
        return " | ".join(map(str, about["enum"]))
    if "anyOf" in about:
        return " or ".join(dict.fromkeys(_kind(f, whole) for f in about["anyOf"] if f.get("type") != "null"))
    if "$ref" in about:
        return "section"
    kind = about.get("type", "section")
    if kind == "array":
        return "list"
    if kind == "object":
        return "name: value" if "additionalProperties" in about else "section"
    limits = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"))
    return " ".join([str(kind), *(f"{words} {about[key]:g}" for key, words in limits if key in about)])


def _filters(whole: Part) -> Iterator[str]:
    yield from ("", "## Filters", "", "`filters: {NAME: {}}`; one of your own name: `NAME: {filter: judge}`.")
    yield "Each has these fields and `between: [low, high]`; a limit that you write replaces all defaults."
    said = described(Filter)
    limits: dict[str, Part] = {name: {"type": "number", "description": said[name]} for name in said}
    for name, kind in {"top": "integer", "lowest": "boolean"}.items():
        limits[name] = {**limits[name], "type": kind}
    limits["per"] = {**limits["per"], "enum": ["label", "cell", "all"]}
    yield from ("", *_fields({"properties": limits}, whole), "", *_methods(FILTERS, whole))


def _methods(registry: Registry, whole: Part) -> Iterator[str]:
    """A line a method: what it is, where it comes from, and its fields."""
    shared = {*OWN_WORDS, *(BASES[registry.kind].model_fields if registry is not STEPS else ())}
    told: dict[str, str] = {"NamedModel": ""}  # -> the word under which its fields stand
    for word, entry in sorted(registry.known.items()):
        origin = f" ({entry.package})" if entry.package else ""
        try:
            kind = registry.find(word, BASES[registry.kind])
        except UserError as error:
            yield f"- `{word}`{origin}: cannot be loaded: {error}"
            continue
        limits = _limits(kind) if registry is FILTERS else ""
        place = whole["x-methods"][registry.kind][word]
        fields = f" It has the fields of `{told[place]}`." if place in told else ""
        yield f"- `{word}`{origin}: {summary(kind)}{limits}{fields}"
        if place in told or (registry is METRICS and not entry.package):
            continue
        part, shown = whole["$defs"][place], set(told)
        own = {name: about for name, about in part["properties"].items() if name not in shared}
        yield from _fields({**part, "properties": own}, whole, "  ", shown)
        told |= {place: word}


def _limits(kind: type[Filter]) -> str:
    limits = {n: kind.model_fields[n].default for n in ("at_least", "at_most", "top", "share")}
    known = [f"{name} {value:g}" for name, value in limits.items() if value is not None]
    low, high = (f"{limit:g}" if isfinite(limit) else "" for limit in kind.within)
    can_be = {(True, True): f"from {low} to {high}", (True, False): f"{low} or more"}
    told = [can_be.get((bool(low), bool(high)), f"{high} or less") if low or high else ""]
    told.append(f"{kind.better} is better" if kind.better else "")
    score = f" The score: {', '.join(filter(None, told))}." if any(told) else ""
    return f"{score} Default: {', '.join(known)}." if known else score


def _functions(registry: Registry) -> Iterator[str]:
    for word, entry in sorted(registry.known.items()):
        origin = f" ({entry.package})" if entry.package else ""
        if registry is TOOLS and word in SETTINGS:
            yield f"- `{word}`: {MORE_THAN_FUNCTIONS[word]} With {', '.join(SETTINGS[word])}: see `tool`."
        else:
            try:
                yield f"- `{word}`{origin}: {summary(registry.find(word))}"
            except UserError as error:
                yield f"- `{word}`{origin}: cannot be loaded: {error}"


def _models() -> Iterator[str]:
    """Whom a recipe may ask here, and whether the key is there: its variable's name, never the key."""
    for name, part in PARTS.items():
        yield f"- `{name}` ({part.what}): {part.missing() or 'installed'}"
    key = "set" if os.environ.get("OPENAI_API_KEY") else "not set"
    usual = os.environ.get("OPENAI_BASE_URL") or OPENAI
    yield f"- a model's name: at {address(usual)}, key in OPENAI_API_KEY, which is {key}"
    for alias, model in named_models(models_file()).items():
        key = "set" if os.environ.get(model.key_env) else "not set"
        where = address(model.base_url or usual)
        yield f"- `{alias}`: {model.name} at {where}, {model.api}, key in {model.key_env}, which is {key}"


def first_words(path: Path) -> str:
    """What the comment at the top of a file begins with."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        head.append(line.lstrip("# "))
    words = " ".join(head)
    return words.partition("). ")[0] + ")" if "). " in words else words
