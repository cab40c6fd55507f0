"""A tree that grows from round to round, in a lake."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from zlib import crc32

import pytest

from synth_assets.generation.conditions.trees import Tree, leaves, tree
from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from tests.gallery import Model, Say
from tests.through import Through, through

TREE = {"tree": "'{{ node }}' of {{ path | length }}: list {{ breadth }}.", "root": "cooking", "breadth": 2}
OFF = dict.fromkeys(("diversity", "student", "privacy", "faithfulness"), False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / ".synth"))
    return tmp_path


def lists(prompt: str, *_: object) -> str:
    """A model whose lists have other names for each prompt."""
    if wanted := re.search(r"list of (\d+)", prompt):
        return "\n".join(f"- dish {crc32(prompt.encode())} {number}" for number in range(int(wanted[1])))
    return f"a story, {prompt}"


def recipe(**said: object) -> Recipe:
    of = {
        "task": {"text": "story"},
        "conditions": {"dish": {**TREE, "grow": 3}},
        "design": "balanced",
        "remember": True,
        "steps": {"text": "Write of {{ dish }}."},
        "rows": 4,
        "minimum_yield": 0.0,
        "metrics": {**OFF, "knowledge": True},
    }
    return inline({**of, **said}, "story")


def a_round(of: Recipe, folder: Path, day: int, say: Say = lists) -> Through:
    return through(of, say, folder, f"2026-11-{day:02}")


def test_each_round_adds_nodes_and_every_leaf_is_taken_before_any_twice(folder: Path) -> None:
    of = recipe()
    rounds = [a_round(of, folder, day) for day in range(1, 6)]
    base = {*rounds[0].rows("values")["value"]}
    assert (len(base), len(rounds[0].rows("grown"))) == (4, 0)
    there, taken = base, Counter[str]()
    for made in rounds:
        grown = made.rows("grown")
        there = {*leaves([*there, *grown["value"]])}
        assert len(grown) in (0, 3)
        new = {*there} - {*taken}
        now = Counter(made.rows("conditions")["dish"])
        assert len(new & {*now}) == min(4, len(new))  # leaves that no row had come first
        taken.update(now)
        assert made.metric("knowledge_used", "dish") == len({*taken} & there) / len(there)
    assert max(taken.values()) - min(taken[leaf] for leaf in there) <= 1
    named = [path for made in rounds for path in made.rows("grown")["value"]]
    assert len({*base, *named}) == 4 + 4 * 3  # no path twice
    nodes = [made.rows("grown")["node"].iloc[0].count(" / ") for made in rounds[1:]]
    assert nodes[0] == 0 or nodes[0] == 1  # beside the fewest: all inner nodes have two
    told = [p for p in rounds[1].model.prompts if "list of 3" in p]
    assert "These are there already:" in told[0]
    assert told[0].count("\n- ") == 2


def test_a_round_that_is_made_again_asks_the_same(folder: Path) -> None:
    of = recipe()
    made = [a_round(of, folder, day) for day in (1, 2, 3)]
    for day in (2, 3, 1):
        again = a_round(of, folder, day)
        for stage in ("grown", "conditions"):
            assert again.rows(stage).equals(made[day - 1].rows(stage))
        assert again.model.prompts == made[day - 1].model.prompts


def test_look_ahead_comes_before_back_tracking_and_what_is_barren_is_left() -> None:
    of = Tree(**TREE, grow=2)
    known = ["cooking / soup", "cooking / bread / rye"]
    asked = Model(lists)
    assert [node for node, _ in of.more(known, [], asked, "r")] == [
        "cooking / soup"
    ] * 2  # a leaf, not too deep
    assert {node for node, _ in of.more(known, ["cooking / soup"], asked, "r")} == {"cooking / bread"}
    silent = Model(lambda *_: "- Soup")  # a name that is there
    found = of.more(known, [], silent, "r")
    assert found == [(node, None) for node in ("cooking / soup", "cooking / bread", "cooking")]


def test_names_that_are_much_alike_are_pruned() -> None:
    names = ["write a letter", "write a short letter", "plan a day", "write a long letter"]
    say = lambda prompt, *_: "\n".join(f"- {name}" for name in names)  # noqa: E731
    found = tree("office work", 1, 4, TREE["tree"], Model(say), {}, "t", alike=0.7)
    assert [path[-1] for path in found] == ["write a letter", "plan a day"]
    assert len(tree("office work", 1, 4, TREE["tree"], Model(say), {}, "t")) == 4
