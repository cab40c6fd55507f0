"""Where condition values come from, in recipes: with labels and without, with seeds and without."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import yaml

from synth_assets.assets.code_location import build
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.contracts.provider import Around
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions.table import design
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages import tables
from synth_assets.stages.seeds import seed_rows
from tests.assets.test_round import ROUND, ask, tables_on_disk
from tests.endpoint import Endpoint

STORY = """
task: {text: story}
conditions:
  word: {words: words.csv}
  features: {some_of: [dialogue, a plot twist, a bad ending], k: [1, 2]}
  lines: {number: [3, 5]}
  day: {day: [2026-01-01, 2026-01-31]}
steps: {text: "A {{ lines }}-line story with the words {{ word }} and with {{ features }}, on {{ day }}."}
rows: 5
shards: 2
minimum_yield: 0.0
"""


@pytest.fixture
def recipe(project: Path) -> Any:
    """A recipe from its text, in the project's folder."""
    (project / "words.csv").write_text("tree,noun\nriver,noun\nrun,verb\nsing,verb\nred,adjective\n")

    def write(text: str, name: str = "story") -> Recipe:
        path = project / "recipes" / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path)

    return write


def conditions(recipe: Recipe, rows: int = 20, cell: str | None = None, **around: Any) -> pd.DataFrame:
    seeds = seed_rows(recipe)
    looks = Around({"seeds": seeds, **around.pop("tables", {})}, **around)
    return design(recipe, seeds, round_=ROUND, cell=cell or recipe.cells[0], rows=rows, around=looks)


def test_a_recipe_needs_no_labels_and_no_seeds(
    project: Path, recipe: Any, endpoint: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    recipe(STORY)
    endpoint.say = lambda body: f"once {body['seed']} birds sang by the old grey river bank"
    assert main(["check", "story"]) == 0, capsys.readouterr().err
    assert "seeds        none" in capsys.readouterr().out
    assert main(["run", "story", "--round", ROUND]) == 0, capsys.readouterr().err
    assert ask("select cell, count(*) from story.generations group by 1 order by 1") == [("1", 5), ("2", 5)]
    assert ask("select count(*), count(label), sum(weight) from story.weighted") == [(10, 0, 10.0)]
    ((word, features),) = ask("select word, features from story.conditions limit 1")
    nouns, verbs, adjectives = word.split(", ")
    assert (nouns in ("tree", "river"), verbs in ("run", "sing"), adjectives) == (True, True, "red")
    assert 1 <= len(features.split(", ")) <= 2
    before, paid = tables_on_disk(project), len(endpoint.requests)
    assert main(["run", "story", "--round", ROUND]) == 0
    assert (tables_on_disk(project), len(endpoint.requests)) == (before, paid)
    assert main(["export", "story", "--to", str(project / "set")]) == 0
    assert main(["plan", "story", "--round", ROUND]) == 0


ASKED = """
task:
  classify: {lost_card: the card is lost, declined: a payment was refused}
  text: question
conditions:
  label: labels
  topic: {ask: "List {{ n }} situations in which a customer asks about {{ definition }}.", n: 3}
  area: {tree: "List {{ breadth }} parts of {{ node }}.", root: a bank, depth: 2, breadth: 2}
steps: {text: "Ask about {{ topic }} in {{ area }}."}
rows: 4
minimum_yield: 0.0
metrics: {student: false}
"""


def lister(body: dict[str, Any]) -> str:
    asked = body["messages"][-1]["content"]
    if asked.startswith("List 3"):
        about = "card" if "the card is lost" in asked else "payment"
        return "\n".join(f"{i}. {about} case {i}" for i in (1, 2, 3))
    if asked.startswith("List 2"):
        node = asked.split(" parts of ")[1].split(".")[0]
        return f"- {node} front\n- {node} back"
    return f"why, in case {body['seed']}, did this happen to me"


def test_values_are_asked_of_the_model_and_edited_by_a_person(
    project: Path, recipe: Any, endpoint: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    recipe(ASKED, "bank")
    endpoint.say = lister
    assert main(["check", "bank"]) == 0
    assert "values       topic for declined: List 3 situations" in capsys.readouterr().out
    assert main(["plan", "bank", "--round", ROUND]) == 0, capsys.readouterr().err
    foreseen = re.search(r"(\d+) calls to make", capsys.readouterr().out)
    assert main(["run", "bank", "--round", ROUND]) == 0, capsys.readouterr().err
    assert len(endpoint.requests) == int(foreseen[1])
    assert ask("select attribute, given, count(*) from bank.values group by all order by all") == [
        ("area", "", 4),
        ("topic", "declined", 3),
        ("topic", "lost_card", 3),
    ]
    topics = dict(ask("select cell, any_value(topic) from bank.conditions group by 1"))
    assert topics["lost_card"].startswith("card case")
    assert ask("select count(*) from bank.conditions where area like 'a bank / a bank % / a bank %'") == [
        (8,)
    ]
    paid = len(endpoint.requests)
    version = load(project / "recipes" / "bank.yaml").version("values")

    (file,) = (project / "recipes" / "bank.values").glob("topic.lost_card*.yaml")
    assert yaml.safe_load(file.read_text()) == ["card case 1", "card case 2", "card case 3"]
    file.write_text("- stolen abroad\n")
    assert load(project / "recipes" / "bank.yaml").version("values") != version
    assert main(["run", "bank", "--round", ROUND]) == 0
    assert ask("select distinct topic from bank.conditions where cell = 'lost_card'") == [("stolen abroad",)]
    assert file.read_text() == "- stolen abroad\n"
    assert 0 < len(endpoint.requests) - paid <= 4  # the rows of that cell, and no list again


@pytest.mark.parametrize(("schedule", "asks"), [("", False), ('schedule: "0 2 * * *"\n', True)])
def test_only_a_recipe_that_runs_by_itself_asks_for_values_by_itself(
    project: Path, recipe: Any, schedule: str, asks: bool
) -> None:
    found = recipe(ASKED + schedule, "bank")
    with dagster_instance() as instance:
        tick = dg.evaluate_automation_conditions(build({"bank": found}), instance)
        assert tick.get_num_requested(dg.AssetKey(["bank", "values"])) == int(asks)


VALUES = """
task: {text: text}
seeds: {file: items.csv, fields: [topic, answer], splits: {demonstration: 8}}
conditions:
  topic: {column: topic}
  level: {by: topic, values: {law: [easy, hard], art: [plain]}}
  source: {rows: seeds}
  solution: {of: source, field: answer}
  mood: [calm, wild]
constraints: ["not (mood == 'wild' and topic == 'law')"]
demonstrations: {k: 2, within: topic}
steps: {text: "{{ topic }} {{ level }} {{ mood }} {{ source }} {{ demonstrations[0].answer }}"}
rows: 4
"""


@pytest.fixture
def items(project: Path) -> None:
    lines = [f"{t} text {i},{t},answer {i}" for t in ("law", "art") for i in range(4)]
    (project / "items.csv").write_text("\n".join(["text,topic,answer", *lines]) + "\n")


def test_values_depend_on_others_and_on_the_seeds(items: None, recipe: Any) -> None:
    made = recipe(VALUES)
    rows, seeds = conditions(made, rows=40), seed_rows(made)
    assert set(zip(rows["topic"], rows["level"], strict=True)) == {
        ("law", "easy"),
        ("law", "hard"),
        ("art", "plain"),
    }
    assert ("law", "wild") not in set(zip(rows["topic"], rows["mood"], strict=True))
    assert set(Counter(rows["source"].head(8)).values()) == {1}  # each seed before any is taken twice
    assert [s.split()[-1] for s in rows["source"]] == [a.split()[-1] for a in rows["solution"]]
    topic_of = dict(zip(seeds["row_id"], seeds["topic"], strict=True))
    for row in rows.itertuples():
        assert {topic_of[i] for i in row.demonstration_ids} == {row.topic}
    fewer = conditions(made, rows=10)
    pd.testing.assert_frame_equal(fewer, rows.head(10))


def test_a_new_value_changes_only_the_rows_that_take_it(items: None, recipe: Any) -> None:
    before = conditions(recipe(VALUES), rows=60)
    after = conditions(recipe(VALUES.replace("[calm, wild]", "[calm, wild, sad]")), rows=60)
    moved = before["row_id"] != after["row_id"]
    assert 0 < moved.sum() < 40
    assert set(after.loc[moved, "mood"]) == {"sad"}


def test_the_nearest_rows_are_shown_last(items: None, recipe: Any) -> None:
    nearest = 'demonstrations: {k: 3, by: nearest, query: "{{ mood }}"}'
    made = recipe(VALUES.replace("demonstrations: {k: 2, within: topic}", nearest))
    place = {text: i for i, text in enumerate(sorted(seed_rows(made)["text"]))}

    def encode(texts: list[str]) -> Any:
        import numpy as np

        angles = np.array([place.get(text, 7 if text == "calm" else 0) for text in texts]) / 10
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    rows, seeds = conditions(made, rows=6, encode=encode), seed_rows(made).set_index("row_id")["text"]
    for row in rows.itertuples():
        shown = [place[seeds[i]] for i in row.demonstration_ids]
        assert shown == ([5, 6, 7] if row.mood == "calm" else [2, 1, 0])


def test_the_best_rows_of_earlier_rounds_are_shown(items: None, recipe: Any) -> None:
    best = "demonstrations: {k: 2, by: top, score: rating, pool: kept}"
    made = recipe(VALUES.replace("demonstrations: {k: 2, within: topic}", best))
    kept = pd.DataFrame(
        {"row_id": ["a", "b", "c"], "text": list("abc"), "label": None, "rating": [1.0, None, 3.0]}
    )
    shown = conditions(made, rows=3, tables={"kept": kept})["demonstration_ids"]
    assert [list(ids) for ids in shown] == [["c", "a"]] * 3
    seeds = set(seed_rows(made)["row_id"])
    for ids in conditions(made, rows=3)["demonstration_ids"]:  # the first round has none
        assert set(ids) <= seeds
    with pytest.raises(UserError, match="`score` goes with `pool: kept`"):
        recipe(VALUES.replace("demonstrations: {k: 2, within: topic}", "demonstrations: {k: 2, by: top}"))


def test_rows_of_earlier_rounds_are_shown_beside_the_seeds(
    project: Path, endpoint: Endpoint, edit: Any, capsys: pytest.CaptureFixture
) -> None:
    edit("demonstrations: {k: 2, sets: 3}", "demonstrations: {mix: {seeds: 2, kept: 1}, sets: 3}")
    assert main(["run", "reviews", "--rounds", f"2026-11-20..{ROUND}"]) == 0, capsys.readouterr().err
    kept = {row for (row,) in ask("select row_id from reviews.filtered where round = '2026-11-20'")}
    seeds = {row for (row,) in ask("select row_id from reviews.seeds")}
    for (ids,) in ask(f"select demonstration_ids from reviews.conditions where round = '{ROUND}'"):
        assert (len(set(ids) & seeds), len(set(ids) & kept)) == (2, 1)
    (shown,) = ask(f"select demonstrations from reviews.lineage where round = '{ROUND}' limit 1")[0]
    assert len(shown) == 3


def test_a_design_uses_every_value_as_often(items: None, recipe: Any) -> None:
    made = recipe(
        VALUES.replace("conditions:", "design: coverage\nconditions:").replace("constraints:", "# ")
    )
    assert set(Counter(conditions(made, rows=20)["mood"]).values()) == {10}
    with pytest.raises(UserError, match=r"constraints: none of \d+ draws"):
        conditions(recipe(VALUES.replace("not (mood == 'wild' and topic == 'law')", "mood == 'sad'")), rows=1)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("{column: topic}", "{colunm: topic}", ["conditions.topic"]),
        ("{rows: seeds}", "{rows: seeds, spilt: test}", ["conditions.source.spilt", "Did you mean 'split'"]),
        (
            "{by: topic, values: {law: [easy, hard], art: [plain]}}",
            "{by: topics, values: {a: [b]}}",
            ["unknown"],
        ),
        ("within: topic}", "by: nearst}", ["demonstrations.by", "Did you mean 'nearest'"]),
        ("within: topic}", "query: x}", ["`query` goes with `by`: nearest, cluster_nearest"]),
        ("rows: 4", "rows: 4\ncell: topic", ["attribute with listed values 'topic'", "Known: mood"]),
        ("rows: 4", "rows: 4\nfilters: {label_agreement: {}}", ["filters: this rests on labels"]),
    ],
)
def test_what_is_wrong_is_refused(items: None, recipe: Any, old: str, new: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        recipe(VALUES.replace(old, new))
    for part in parts:
        assert part in str(caught.value)


SCORED = """
task: {text: review}
seeds: {file: scored.jsonl, fields: {score: number}, splits: {test: 0}}
conditions:
  review: {rows: seeds, split: unlabeled}
  score: {of: review, field: score}
constraints: ["score >= 0.5"]
steps: {text: "Rewrite {{ review }} ({{ score }})."}
rows: 3
filters: {released: {filter: field, of: score, at_least: 0.8}}
"""


def test_a_row_that_a_constraint_refuses_gives_its_place_to_the_next(project: Path, recipe: Any) -> None:
    scores = [0.1, 0.9, None, 0.2, 0.8, 0.5]
    lines = [json.dumps({"text": f"review {i}", "score": score}) for i, score in enumerate(scores)]
    (project / "scored.jsonl").write_text("\n".join(lines), encoding="utf-8")
    made = recipe(SCORED.replace("file: ", f"file: {project}/"))
    rows = conditions(made, rows=3)
    assert sorted(rows["score"]) == [0.5, 0.8, 0.9]
    assert tables.schema(made, "generations").field("score").type == "double"
    with pytest.raises(UserError, match=r"none of 50 draws .* with any of 6 rows is allowed"):
        conditions(recipe(SCORED.replace("file: ", f"file: {project}/").replace(">= 0.5", "> 1")), rows=1)


def test_rows_with_the_same_text_keep_their_own_fields(project: Path, recipe: Any) -> None:
    lines = [json.dumps({"text": "premise", "hypothesis": f"h{i}"}) for i in range(4)]
    (project / "pairs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    fields = "draw: stratified, fields: [hypothesis]"
    pairs = SCORED.replace("scored.jsonl, fields: {score: number}", f"{project}/pairs.jsonl, {fields}")
    pairs = pairs.replace("score: {of: review, field: score}", "score: {of: review, field: hypothesis}")
    pairs = "\n".join(line for line in pairs.split("\n") if not line.startswith(("constraints", "filters")))
    assert sorted(conditions(recipe(pairs), rows=4)["score"]) == ["h0", "h1", "h2", "h3"]
