"""The JSON Schema of a recipe: what is right fits, what is wrong does not, and every field is described."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from synth_assets.core.described import described
from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.recipe.schema import KINDS, schema
from tests.test_docs import examples

ROOT = Path(__file__).parents[2]
SHIPPED = [
    *sorted((ROOT / "docs" / "gallery").glob("*.yaml")),
    *sorted((ROOT / "recipes").glob("*.yaml")),
]


class Editor(yaml.SafeLoader):
    """Reads YAML as editors do: a day is a text, and a key too."""

    yaml_implicit_resolvers: ClassVar = {
        sign: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
        for sign, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        return {str(key.value): self.construct_object(value, deep=True) for key, value in node.value}


Editor.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node))


@cache
def validator() -> Draft202012Validator:
    made = schema()
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made, format_checker=FormatChecker())


def wrong(text: str) -> list[str]:
    return [error.message for error in validator().iter_errors(yaml.load(text, Editor))]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_fit(path: Path) -> None:
    assert wrong(path.read_text(encoding="utf-8")) == []


def test_recipes_of_the_guide_fit() -> None:
    whole = [text for text in examples("yaml", "docs/recipes.md", "docs/evaluation.md") if "rows:" in text]
    whole = [text for text in whole if re.search(r"^task:", text, re.M) and re.search(r"^rows:", text, re.M)]
    assert len(whole) >= 2
    for text in whole:
        assert wrong(text) == []


RIGHT = """\
task: {classify: {bad: it was bad, good: it was good}, text: review}
seeds: {file: seeds.csv, splits: {demonstration: 4, test: 4}}
conditions: {label: labels, tone: [angry, calm], age: {number: [1, 9]}}
design: product
demonstrations: {k: 2, by: random}
steps:
  facts: {prompt: "Three facts.", output: {text: text, rating: integer}, temperature: 0.5}
  text: "Write about {{ facts.text }}."
rows: 6
model: {name: gpt, api: chat}
filters:
  words: {between: [2, 40]}
  duplicate: {}
  helpful: {filter: judge, at_least: 4}
labelled: {by: condition}
weights: {by: none, power: 2}
student: {by: logistic}
metrics: {model_alone: 3, judge: {rows: 5}}
budget: {day: 5, tokens: {round: 1000}}
schedule: "0 2 * * *"
start: 2026-11-22
"""

BROKEN = {  # what is replaced -> by what; each is refused by the schema and by the recipe itself
    "a section that is not known": ("rows: 6", "rows: 6\nrowz: 3"),
    "a field that is not known": ("file: seeds.csv", "file: seeds.csv, fil: x"),
    "no steps": ("steps:\n", "stepz:\n"),
    "no rows": ("rows: 6\n", ""),
    "no task": ("task: {classify: {bad: it was bad, good: it was good}, text: review}\n", ""),
    "a number that is a word": ("rows: 6", "rows: many"),
    "a number that is too small": ("rows: 6", "rows: 0"),
    "a number that is not whole": ("rows: 6", "rows: 6.5"),
    "a share above 1": ("rows: 6", "rows: 6\nminimum_yield: 2"),
    "a word that is not one of them": ("design: product", "design: latim"),
    "a list in the place of a section": ("budget: {day: 5, tokens: {round: 1000}}", "budget: [1]"),
    "one label": ("bad: it was bad, ", ""),
    "a label without a definition": ("bad: it was bad", "bad: ''"),
    "a split that is not known": ("splits: {demonstration", "splits: {demonstrations"),
    "a split below 0": ("test: 4}", "test: -4}"),
    "values of the label": ("label: labels", "label: [bad]"),
    "no values": ("tone: [angry, calm]", "tone: []"),
    "a value twice": ("tone: [angry, calm]", "tone: [angry, angry]"),
    "a weight below 0": ("tone: [angry, calm]", "tone: {angry: -1}"),
    "a condition with a capital": ("tone: [", "Tone: ["),
    "a condition of the platform's": ("tone: [", "row_id: ["),
    "a source that is not known": ("{number: [1, 9]}", "{numbers: [1, 9]}"),
    "a source's field that is not known": ("{number: [1, 9]}", "{number: [1, 9], hole: true}"),
    "a bound too many": ("{number: [1, 9]}", "{number: [1, 2, 3]}"),
    "a way to select that is not known": ("by: random", "by: randum"),
    "a last step of another name": ('  text: "Write', '  story: "Write'),
    "a step of two kinds": ('"Three facts."', '"Three facts.", complete: "Three"'),
    "a step of no kind": ('prompt: "Three facts.", ', ""),
    "a type that is not known": ("rating: integer", "rating: int"),
    "a tool that is not known": ('text: "Write about {{ facts.text }}."', "text: {tool: composed, input: x}"),
    "a temperature below 0": ("temperature: 0.5", "temperature: -1"),
    "a filter that is not known": ("words: {b", "wordz: {b"),
    "a filter's field that is not known": ("between", "betwen"),
    "three bounds": ("[2, 40]", "[2, 40, 50]"),
    "a bound that is a word": ("[2, 40]", "[two, 40]"),
    "a bound that no score can reach": ("duplicate: {}", "duplicate: {at_most: 2}"),
    "top and share": ("duplicate: {}", "duplicate: {top: 3, share: 0.5}"),
    "a kind of filter that is not known": ("filter: judge", "filter: jugde"),
    "a way to label that is not known": ("by: condition", "by: conditions"),
    "a way to weigh that is not known": ("by: none", "by: nothing"),
    "a power below 0": ("power: 2", "power: -2"),
    "a student that is not known": ("by: logistic", "by: forest"),
    "a metric that is not known": ("model_alone: 3", "model_alon: 3"),
    "a field of a metric": ("judge: {rows: 5}", "judge: {row: 5}"),
    "a cap of 0": ("{day: 5", "{day: 0"),
    "a schedule of four fields": ('"0 2 * * *"', '"0 2 * *"'),
    "no day": ("2026-11-22", "tomorrow"),
    "an entry of a model without its name": ("{name: gpt, api: chat}", "{api: chat}"),
    "an api that is not known": ("api: chat", "api: chats"),
}


def test_the_recipe_that_is_broken_below_is_right(tmp_path: Path) -> None:
    (tmp_path / "right.yaml").write_text(RIGHT, encoding="utf-8")
    assert (load(tmp_path / "right.yaml").name, wrong(RIGHT)) == ("right", [])


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_does_not_fit(what: str, tmp_path: Path) -> None:
    old, new = BROKEN[what]
    assert old in RIGHT
    text = RIGHT.replace(old, new)
    (tmp_path / "broken.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError):
        load(tmp_path / "broken.yaml")
    assert wrong(text)


def test_short_forms_and_empty_sections_fit() -> None:
    more = """
  annotators: {of: {small: a, big: {model: b, k: 2}}}
  near_duplicate:
  "my.module:Mine": {x: 1}
"""
    text = RIGHT.replace("  duplicate: {}\n", "  duplicate: {}\n" + more.lstrip("\n"))
    talk = 'text: {turns: 3, user: "Ask.", assistant: "Answer."}'
    text = text.replace('text: "Write about {{ facts.text }}."', talk)
    text = text.replace(
        "tone: [angry, calm]", "tone: {angry: 3, calm: 1}, day: {source: day, day: [2026-01-01, 2026-01-09]}"
    )
    assert wrong(text.replace("model: {name: gpt, api: chat}", "model: judge")) == []


def test_every_field_says_what_it_is() -> None:
    """Where a class lies, below the field: what `synth context`, the schema and an editor show."""
    made = schema()
    parts = {"recipe": made, **made["$defs"]}
    silent = [
        f"{name}.{field}"
        for name, part in parts.items()
        for field, about in part.get("properties", {}).items()
        if not about.get("description") and about != {"const": "labels"}
    ]
    assert silent == []
    for registry, base in KINDS:
        for word in registry.known if registry.kind != "metrics" else ():
            kind = registry.find(word, base)
            assert {*kind.model_fields} - {*described(kind)} == set(), word
    assert json.dumps(made)
