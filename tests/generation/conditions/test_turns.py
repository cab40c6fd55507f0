"""Values that are taken in turn, over all rounds of a cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from synth_assets.contracts.provider import Around
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions.knowledge import subgraphs
from synth_assets.generation.conditions.table import design, draw
from synth_assets.generation.conditions.turns import Turns
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.steering import columns_steered

LETTERS = "abcdefg"


def rounds(values: Sequence[str], sizes: Sequence[int], plan: str = "balanced") -> list[dict[str, str]]:
    """The rows of several rounds, each of which knows those before it."""
    rows: list[dict[str, str]] = []
    for number, size in enumerate(sizes):
        pools = {"letter": dict.fromkeys(values, 1.0), "tone": dict.fromkeys("xy", 1.0)}
        rows += draw(pools, size, plan, 0, f"round {number}", before=rows)
    return rows


@pytest.mark.parametrize("plan", ["balanced", "coverage"])
def test_each_value_is_taken_before_any_twice_over_all_rounds(plan: str) -> None:
    rows = rounds(LETTERS, [3, 2, 5, 4, 7], plan)  # three turns of seven
    for end in range(1, len(rows) + 1):
        counts = Counter(row["letter"] for row in rows[:end])
        assert max(counts.values()) - min(counts[v] for v in LETTERS) <= 1, end


def test_coverage_goes_on_with_the_pairs_that_earlier_rounds_have_not() -> None:
    pools = {name: dict.fromkeys("abcd", 1.0) for name in ("tone", "topic")}
    first = draw(pools, 8, "coverage", 0, "first")
    pairs = [{*combinations(row.items(), 2)} for row in first]
    new = draw(pools, 8, "coverage", 0, "second", before=first)
    assert not {*combinations(new[0].items(), 2)} & set().union(*pairs)
    assert len(set().union(*pairs, *({*combinations(row.items(), 2)} for row in new))) == 16


def test_values_may_come_and_go() -> None:
    taken = ["a", "b", "c", "a", "b", "c", "a"]

    def next_ones(values: str, n: int) -> str:
        turns = Turns(values, lambda left, _: sorted(left), taken)
        return "".join(turns.take(turns.left[0]) for _ in range(n))

    assert next_ones("abc", 5) == "bcabc"
    assert next_ones("abcn", 7) == "nbcabcn"  # a new one once, not for each turn that it has missed
    assert next_ones("ab", 3) == "bab"


def test_a_first_round_is_what_it_is_without_memory() -> None:
    pools = {"letter": dict.fromkeys(LETTERS, 1.0)}
    assert draw(pools, 20, "balanced", 7, before=()) == draw(pools, 20, "balanced", 7)


def test_each_triple_is_in_a_set_before_one_begins_another() -> None:
    graph = [(f"town {i}", "is in", f"land {i % 4}") for i in range(20)]
    graph += [(f"land {i}", "borders on", f"land {i + 1}") for i in range(3)]
    before: list[tuple[str, str, str]] = []
    for number in range(10):
        made = subgraphs(graph, 3, 2, "seed", number, before=before)
        unused = [triple for triple in graph if triple not in before]
        assert not unused or made[0][0] in unused
        before += [triple for of_it in made for triple in of_it]
        if len(unused) < 3:
            break
    assert {*before} == {*graph}
    assert number < 8  # at least three of 23 a round
    assert all(len({*a[::2]} & {*b[::2]}) for a, b in made)  # each set hangs together


RECIPE = """
task: {text: story}
seeds: {file: seeds.csv, splits: {demonstration: 0}}
conditions:
  source: {rows: seeds, split: unlabeled}
  theme: {file: themes.txt}
  facts: {triples: graph.csv, size: 1}
  tone: {calm: 3, angry: 1}
remember: true
steps: {text: "Write of {{ theme }} as in {{ source }}, {{ tone }}, with {{ facts }}."}
rows: 4
"""


@pytest.fixture
def recipe(project: Path) -> Recipe:
    (project / "themes.txt").write_text("\n".join(f"theme {n}" for n in range(6)))
    (project / "seeds.csv").write_text("text\na\n")
    (project / "graph.csv").write_text("\n".join(f"town {n},in,land {n}" for n in range(5)))
    path = project / "recipes" / "story.yaml"
    path.write_text(RECIPE)
    return load(path)


def test_sources_of_every_kind_remember(recipe: Recipe) -> None:
    texts = [f"text {n}" for n in range(7)]
    seeds = pd.DataFrame({"row_id": [f"r{n}" for n in range(7)], "text": texts, "split": "unlabeled"})
    taken: list[Mapping[str, Any]] = []
    for number in range(1, 6):
        around = Around({"seeds": seeds}, before=list(taken))
        made = design(recipe, seeds, round_=f"2026-11-0{number}", cell="1", rows=4, around=around)
        again = Around({"seeds": seeds}, before=list(taken))
        assert design(recipe, seeds, round_=f"2026-11-0{number}", cell="1", rows=4, around=again).equals(made)
        taken += made.to_dict("records")
    for name, there in (("source", 7), ("theme", 6), ("facts", 5)):
        for end in range(1, len(taken) + 1):
            counts = Counter(row[name] for row in taken[:end])
            assert max(counts.values()) == -(-end // there), (name, end)
    assert 10 <= Counter(row["tone"] for row in taken)["calm"] < 20  # as likely as its weight says
    assert {*columns_steered(recipe)} == {"tone"}  # what is taken in turn has no weight to be steered by


OTHERS = """
task: {text: story}
conditions:
  place: [town, sea]
  who: {by: place, values: {town: [clerk, cook, judge], sea: [sailor, diver]}}
  kind: {ask: "List {{ n }} kinds of story in a {{ place }}.", n: 4}
  words: {words: words.csv, k: 2}
  mood: {some_of: [calm, sad, glad, angry, shy], k: [1, 2]}
  age: {number: [20, 29]}
  day: {day: [2026-01-01, 2026-01-07]}
  code: {snippets: "*.txt", lines: [2, 2]}
constraints: ["who != 'cook' or age | int > 21"]
remember: true
steps: {text: "Write."}
rows: 5
"""


def test_values_that_depend_on_others_and_draws_remember_too(project: Path) -> None:
    """Each comes before any twice: of a group, among the rows of that group."""
    path = project / "recipes" / "story.yaml"
    path.write_text(OTHERS)
    (project / "words.csv").write_text("word,pos\n" + "".join(f"n{i},noun\nv{i},verb\n" for i in range(7)))
    (project / "code.txt").write_text("\n".join(f"line {n}" for n in range(30)))
    recipe, taken = load(path), list[Mapping[str, Any]]()
    seeds = pd.DataFrame({"row_id": ["a"], "text": ["a"], "split": "unlabeled"})

    def made(number: int, rows: int) -> pd.DataFrame:
        listed = lambda name, given: [f"{given} {n}" for n in range(4)]  # noqa: E731
        around = Around({"seeds": seeds}, asked=listed, before=list(taken))
        design(recipe, seeds, round_=f"2026-11-0{number}", cell="1", rows=2, around=around)  # a look at fewer
        return design(recipe, seeds, round_=f"2026-11-0{number}", cell="1", rows=rows, around=around)

    for number in range(1, 6):
        rows = made(number, 5)
        assert made(number, 9).head(5).equals(rows)
        taken += rows.to_dict("records")
    for end in range(1, len(taken) + 1):
        so_far = taken[:end]
        assert even([row["day"] for row in so_far], 7)
        assert even([each for row in so_far for each in row["mood"].split(", ")], 5)
        for place, number in (("town", 3), ("sea", 2)):
            assert even([row["who"] for row in so_far if row["place"] == place], number, but=1)
            assert even([row["kind"] for row in so_far if row["place"] == place], 4)
        for at in (0, 2):
            assert even([w for row in so_far for w in row["words"].split(", ")[at : at + 2]], 7)
    assert len({row["code"] for row in taken}) == len(taken)
    assert even([row["age"] for row in taken], 10, but=2)  # the constraint refused some draws


def even(values: list[str], number: int, but: int = 0) -> bool:
    """Whether each of so many values comes before any twice, with so many exceptions."""
    return max(Counter(values).values(), default=0) <= -(-len(values) // number) + but


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ("conditions: {theme: {file: themes.txt}}\ndesign: latin", "write `design: balanced`, or coverage"),
        ("conditions: {tone: [a], share: {number: [0, 1], whole: false}}", "nothing is taken in turn: write"),
        ("cell: tone\nconditions: {tone: [a, b]}", "nothing is taken in turn: leave it out"),
    ],
)
def test_a_recipe_that_cannot_remember_says_why(project: Path, conditions: str, why: str) -> None:
    path = project / "recipes" / "story.yaml"
    path.write_text(
        f"{conditions}\nremember: true\nrows: 4\nsteps: {{text: 'Write.'}}\ntask: {{text: story}}"
    )
    with pytest.raises(UserError, match=why):
        load(path)
