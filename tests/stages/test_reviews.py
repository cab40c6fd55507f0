"""What people decide, through the stages: labels, texts and spans of theirs, and what they measure."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from synth_assets.contracts.decision import Decision, text_id
from synth_assets.core.errors import UserError
from synth_assets.evaluation.judging import drawn_pairs
from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import home
from tests.gallery import ROUND
from tests.through import Through, through

SEEDS = "text,label\n" + "".join(f"seed {n},{'positive' if n % 2 else 'negative'}\n" for n in range(12))
OFF = {"student": False, "diversity": False, "privacy": False}
RECIPE: dict[str, Any] = {
    "task": {"classify": {"negative": "bad", "positive": "good"}},
    "seeds": {"file": "seeds.csv", "splits": {"demonstration": 8, "validation": 4}},
    "steps": {"text": "{{ label }}?"},
    "rows": 8,
    "review": {"agreement": {"at_least": 0.5}},
    "metrics": OFF,
    "minimum_yield": 0.0,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / ".synth"))
    (tmp_path / "seeds.csv").write_text(SEEDS, encoding="utf-8")
    return tmp_path


def a_round(recipe: Recipe, folder: Path) -> Through:
    numbers = count()
    return through(recipe, lambda *_: f"text {next(numbers)}", folder)


class People:
    """Who decide about the rows of a recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._count = recipe, count()

    def say(self, row_id: str, value: Any, person: str = "ann", kind: str = "label", **more: Any) -> str:
        id_ = more.pop("decision_id", f"d{next(self._count)}")
        home.decisions().append(Decision(id_, self._recipe.name, row_id, ROUND, person, kind, value, **more))
        return id_


RANDOM: dict[str, Any] = {"draw": "random", "probability": 0.5}


def line(made: Through, name: str, slice_: str) -> dict[str, Any]:
    rows = made.rows("metrics")
    (found,) = rows[(rows["name"] == name) & (rows["slice"] == slice_)].to_dict("records")
    return found


def verdict(made: Through) -> tuple[bool, str]:
    (found,) = made.made["metrics"][0].verdicts["people_agree"]
    return found.fine, found.words


def test_decisions_become_labels_and_measure_where_they_may(folder: Path) -> None:
    recipe = inline(RECIPE, "bank")
    people = People(recipe)
    before = a_round(recipe, folder)
    assert verdict(before)[0] is False
    assert line(before, "people_agreement", "labelled")["reason"].startswith("people decided on no row")
    rows = before.rows("labelled")
    assert rows["human_draw"].isna().all()
    ids = sorted(rows["row_id"])
    asked = dict(zip(rows["row_id"], rows["label"], strict=True))
    other = {"negative": "positive", "positive": "negative"}
    for row in ids[:8]:
        people.say(row, asked[row], **RANDOM)
    people.say(ids[7], other[asked[ids[7]]], **RANDOM, corrects="d7")
    for row in ids[:3]:
        people.say(row, asked[row], person="bo", **RANDOM)
    people.say(ids[3], other[asked[ids[3]]], person="bo", **RANDOM)  # divided: ann was first
    people.say(ids[8], other[asked[ids[8]]], draw="chosen by disagreement")
    people.say(ids[9], other[asked[ids[9]]], saw_suggestion=True, **RANDOM)
    people.say(ids[10], None, kind="skip", **RANDOM)
    people.say(ids[11], asked[ids[11]], text_id=text_id("another text"))
    gold = before.rows("seeds").query("split == 'validation'").iloc[0]
    people.say(gold["row_id"], gold["label"], draw="gold")
    people.say("of another round", "positive")

    after = a_round(recipe, folder)
    reviews = after.rows("reviews")
    assert len(reviews) == 8 + 3 + 1 + 1 + 1 + 1 + 1
    labelled = after.rows("labelled").set_index("row_id")
    human = labelled[labelled["label_source"] == "human"]
    assert sorted(human.index) == ids[:10]
    changed = human[human["label"] != human["machine_label"]]
    assert sorted(changed.index) == ids[7:10]
    assert list(labelled.loc[ids[7:10], "human_draw"]) == [
        "random",
        "chosen by disagreement",
        "random, suggestion seen",
    ]
    assert after.made["labelled"][0].numbers["people_divided"] == 1

    agreement = line(after, "people_agreement", "labelled")
    assert (agreement["value"], agreement["n"]) == (7 / 8, 8)  # of those drawn at random and not shown alone
    assert line(after, "kappa", "filtered")["n"] == 8
    assert line(after, "people_alpha", "people")["n"] == 4
    assert line(after, "people_kappa", "ann, bo")["n"] == 4
    assert line(after, "people_gold", "ann")["value"] == 1
    assert line(after, "people_skipped", "random")["value"] == pytest.approx(2 / 10)
    fine, words = verdict(after)
    assert fine, words
    assert "87.5% of the labels" in words


def test_a_text_that_people_edit_is_the_rows(folder: Path) -> None:
    recipe = inline(RECIPE, "bank")
    people, rows = People(recipe), a_round(recipe, folder).rows("labelled")
    first, second = rows["row_id"][:2]
    read = text_id(rows["text"][0])
    people.say(first, "text mended", kind="text", text_id=read)
    people.say(first, "positive", text_id=text_id("text mended"))
    people.say(second, "of what was another text", kind="text", text_id=text_id("gone"))
    after = a_round(recipe, folder)
    labelled = after.rows("labelled").set_index("row_id")
    assert (labelled.loc[first, "text"], labelled.loc[first, "label_source"]) == ("text mended", "human")
    assert labelled.loc[second, "text"] == rows["text"][1]
    assert after.rows("filtered")["text"][0] == rows["text"][0]
    assert after.rows("weighted").query("origin == 'synthetic'")["text"].str.contains("mended").sum() == 1


def test_spans_and_labels_of_people_stand_where_the_machines_do(folder: Path) -> None:
    labels = {
        **{name: RECIPE[name] for name in ("rows", "review", "minimum_yield")},
        "task": {"predict": {"labels": "tags", "of": ["x", "y", "z"]}},
        "steps": {"text": {"prompt": "write", "output": {"text": "text", "tags": "text"}}},
        "metrics": OFF | {"faithfulness": False},
    }
    recipe = inline(labels, "tagged")
    people = People(recipe)

    def say() -> Through:
        numbers = count()
        return through(recipe, lambda *_: f'{{"text": "text {next(numbers)}", "tags": "x, y"}}', folder)

    rows = say().rows("labelled")
    for n, row in enumerate(rows["row_id"]):
        people.say(row, ["y", "x"] if n else ["z"], kind="labels", **RANDOM)
    after = say()
    assert [list(tags) for tags in after.rows("labelled")["tags"]][:2] == [["z"], ["x", "y"]]
    assert set(after.rows("labelled")["label_source"]) == {"human"}
    assert line(after, "people_agreement", "labelled")["value"] == 7 / 8


def test_spans_that_people_mark_are_marked_in_the_training_set(folder: Path) -> None:
    spans = {
        **{name: RECIPE[name] for name in ("rows", "review", "minimum_yield")},
        "task": {"predict": {"spans": "marked", "of": ["person", "place"]}},
        "steps": {"text": {"prompt": "write", "output": {"text": "text", "marked": "text"}}},
        "metrics": OFF | {"faithfulness": False},
    }
    recipe = inline(spans, "spans")
    people = People(recipe)

    def say() -> Through:
        numbers = count()

        def row(*_: Any) -> str:
            n = next(numbers)
            return json.dumps({"text": f"Ann sings {n}", "marked": f"<person>Ann</person> sings {n}"})

        return through(recipe, row, folder)

    rows = say().rows("labelled")
    for n, row in enumerate(rows["row_id"]):
        people.say(row, [[0, 3, "place" if n < 2 else "person"]], kind="spans", **RANDOM)
    after = say()
    assert list(after.rows("labelled")["marked"])[1:3] == [
        "<place>Ann</place> sings 1",
        "<person>Ann</person> sings 2",
    ]
    assert line(after, "people_agreement", "labelled")["value"] == 6 / 8


SHOWS = "{% for d in demonstrations %}{{ d.text }}: {{ d.label }}\n{% endfor %}{{ label }}?"


def test_what_people_labelled_is_shown_in_the_next_rounds_prompts(folder: Path) -> None:
    shown = {
        "steps": {"text": SHOWS},
        "demonstrations": {"k": 5},
        "seeds": {"file": "seeds.csv", "splits": {"demonstration": 10}},
        "review": {"demonstrations": True},
    }
    recipe = inline({**RECIPE, **shown}, "bank")
    people, rows = People(recipe), a_round(recipe, folder).rows("labelled")
    asked = rows[rows["label"] == "positive"]["row_id"].iloc[0]
    people.say(asked, "negative")
    people.say(asked, "mended by a person", kind="text")
    a_round(recipe, folder)
    after = through(recipe, lambda *_: "new", folder, "2026-11-23")
    told = [prompt for prompt in after.model.prompts if "mended by a person" in prompt]
    assert told
    assert all("mended by a person: negative" in prompt and prompt.endswith("negative?") for prompt in told)


def test_ratings_measure_how_good_the_rows_are_and_choose_nothing(folder: Path) -> None:
    recipe = inline({**RECIPE, "review": {"ask": "rating"}}, "rated")
    people, rows = People(recipe), a_round(recipe, folder).rows("filtered")
    for n, row in enumerate(rows["row_id"]):
        people.say(row, 1 + n % 4, kind="rating", **RANDOM)
        people.say(row, 1 + n % 4 if n else 2, person="bo", kind="rating", **RANDOM)
    people.say(rows["row_id"][0], "mended", kind="text")
    after = a_round(recipe, folder)
    assert after.rows("labelled")["text"][0] == "mended"
    assert line(after, "people_rating", "filtered")["value"] == pytest.approx(2.5 + 1 / 32)
    assert line(after, "people_alpha", "people")["value"] > 0.9
    assert "people_agree" not in after.made["metrics"][0].verdicts
    assert set(after.rows("labelled")["label_source"]) == {"condition"}
    assert "human_draw" not in after.rows("labelled")


def test_choices_of_people_tell_how_far_the_judge_says_the_same(folder: Path) -> None:
    judged = OFF | {"faithfulness": False, "judge": {"rows": 4}}
    recipe = inline({**RECIPE, "review": {"ask": "pair"}, "metrics": judged}, "bank")
    numbers = count()

    def say(prompt: str, *_: Any) -> str:
        return "8 5" if "scores" in prompt else f"text {next(numbers) % 16}"  # of either order: a tie

    old, new = (through(recipe, say, folder, day).rows("filtered") for day in ("2026-11-20", ROUND))
    people = People(recipe)
    for n, (one, other) in enumerate(drawn_pairs(new, old, 4)):
        people.say(f"{one['row_id']}/{other['row_id']}", "tie" if n else "first", kind="choice", **RANDOM)
    after = through(recipe, say, folder)
    assert line(after, "judge_accuracy", "people, against 2026-11-20")["value"] == 3 / 4
    assert len(after.rows("reviews")) == 4


def test_a_file_of_several_people_counts_beside_the_page(folder: Path) -> None:
    human = {"labelled": {"human": "people.csv"}}
    recipe = inline({**RECIPE, **human}, "bank")
    (folder / "people.csv").write_text("row_id,label,person\n", encoding="utf-8")
    people, rows = People(recipe), a_round(recipe, folder).rows("labelled")
    first, asked = rows["row_id"][0], rows["label"][0]
    other = {"negative": "positive", "positive": "negative"}[asked]
    lines = [f"{first},{asked},ann", f"{first},{other},bo"]
    (folder / "people.csv").write_text("\n".join(["row_id,label,person", *lines]), encoding="utf-8")
    people.say(first, other, person="cy")
    found = a_round(recipe, folder).rows("labelled").set_index("row_id").loc[first]
    assert (found["label"], found["label_source"]) == (other, "human")
    assert found["human_draw"] == "chosen"


def test_what_a_recipe_cannot_ask_is_refused() -> None:
    wrong = {
        **RECIPE,
        "task": {"predict": {"spans": "text", "of": ["X"]}},
        "review": {"by_people": "dawid_skene"},
    }
    with pytest.raises(UserError, match=r"review\.by_people: spans are no classes"):
        inline(wrong, "spans")
