"""No identity has changed: nothing that was paid for is asked again, nothing that is stored is stale.

What a difference means: users pay again, or make again. `tests.golden_make` says when that is right.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.identities import NEW, RECIPES, declared, made, settle

GOLDEN = Path(__file__).parent / "golden"
SHOWN = 20  # differences
DECLARED = ("sections", "assets", "automation")  # the rest of a golden file is of a round


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_versions_of_a_recipe_are_those_of_before(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = declared(settle(recipe, tmp_path, monkeypatch))
    assert {*found} == {*DECLARED}
    compare(recipe, {name: golden(recipe)[name] for name in found}, found)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_identities_of_a_recipe_are_those_of_before(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = settle(recipe, tmp_path, monkeypatch)
    if os.environ.get("SYNTH_GOLDEN") == "write":
        text = as_text(declared(path) | made(path, monkeypatch))
        (GOLDEN / f"{recipe}.json").write_text(text, encoding="utf-8")
        return
    found = made(path, monkeypatch)
    assert {*found, *DECLARED} == {*golden(recipe)}
    compare(recipe, {name: golden(recipe)[name] for name in found}, found)


def test_a_difference_is_named_by_its_place() -> None:
    before = {"assets": {"a/seeds": {"version": "1", "checks": ["one"]}}, "calls": {}}
    now = {"assets": {"a/seeds": {"version": "2", "checks": ["one"]}}, "calls": {"b": 1}}
    assert list(differing(before, now)) == [
        "assets > a/seeds > version: '1' -> '2'",
        "calls > b: nothing -> 1",
    ]


def golden(recipe: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{recipe}.json").read_text(encoding="utf-8"))


def compare(recipe: str, before: Any, now: Any) -> None:
    both = (without_the_day(without_new_columns(each)) for each in (before, json.loads(as_text(now))))
    differences = list(differing(*both))
    shown = "\n".join([*differences[:SHOWN], f"({len(differences)} differences)"])
    assert not differences, f"{recipe}: was -> is\n{shown}"


def without_new_columns(found: Any) -> Any:
    """A new column changes the hash of a table, and no more."""
    kept = {a: v for a, v in found.get("data versions", {}).items() if a.rpartition("/")[2] not in NEW}
    return {**found, "data versions": kept}


def without_the_day(found: Any) -> Any:
    """What a model lists is asked on the day on which the file was written."""
    kept = {}
    for place, table in found.get("partitions", {}).items():
        if listed := re.fullmatch("(calls/used_by=values)/round=.+?(/.+)", place):
            kept["".join(listed.groups())] = {**table, "content": None}
        else:
            kept[place] = table
    return {**found, "partitions": kept}


def as_text(found: Any, depth: int = 0) -> str:
    """JSON that a diff reads well: keys in order, what holds no object on one line."""
    if not isinstance(found, dict) or not found:
        return json.dumps(found, ensure_ascii=False)
    indent = " " * (depth + 1)
    lines = [f"{indent}{json.dumps(k)}: {as_text(v, depth + 1)}" for k, v in sorted(found.items())]
    return "{\n" + ",\n".join(lines) + f"\n{' ' * depth}}}" + ("\n" if depth == 0 else "")


def differing(before: Any, now: Any, place: tuple[str, ...] = ()) -> Iterator[str]:
    """A line for each place where the two are not the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            yield from differing(before.get(name, ...), now.get(name, ...), (*place, name))
    elif before != now:
        was, is_ = ("nothing" if value is ... else repr(value) for value in (before, now))
        yield f"{' > '.join(place)}: {was} -> {is_}"
