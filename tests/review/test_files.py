"""`synth review --export` and `--import`: decisions leave a home, and come into another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth_assets.core.errors import UserError
from synth_assets.recipe.load import inline
from synth_assets.resources import home
from synth_assets.review import files, kept
from tests.gallery import ROUND
from tests.stages.test_reviews import RANDOM, RECIPE, People, a_round, folder

__all__ = ["folder"]


def test_decisions_go_from_one_home_to_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = inline(RECIPE, "bank")
    monkeypatch.setenv("SYNTH_HOME", str(folder))  # whose lake the round is in
    people, rows = People(recipe), a_round(recipe, folder).rows("labelled")
    for row, label in zip(rows["row_id"][:3], rows["label"], strict=False):
        people.say(row, label, **RANDOM)
    people.say(rows["row_id"][2], "negative", corrects="d2")
    said = home.decisions().all("bank")
    assert list(files.export(recipe, folder / "a.csv")) == [f"4 decisions are in {folder / 'a.csv'}."]
    told = list(files.export(recipe, folder / "tasks.json"))
    assert "16 rows of" in told[0]
    assert told[1].startswith("<View>")
    with pytest.raises(UserError, match="people may have worked in it"):
        list(files.export(recipe, folder / "a.csv"))

    (folder / "reviews.sqlite").unlink()
    assert list(files.take(recipe, folder / "a.csv")) == [
        f"4 decisions of {folder / 'a.csv'} are new, 0 were there already.",
        f"To make labels and metrics of them: synth run bank --round {ROUND}",
    ]
    assert home.decisions().all("bank") == said
    assert "0 decisions" in next(iter(files.take(recipe, folder / "a.csv")))
    assert "3 were there already" in next(iter(files.take(recipe, folder / "tasks.json")))


def test_an_annotation_that_was_changed_is_a_correction(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = inline(RECIPE, "bank")
    monkeypatch.setenv("SYNTH_HOME", str(folder))
    rows = a_round(recipe, folder).rows("labelled")
    People(recipe).say(rows["row_id"][0], "positive")
    list(files.export(recipe, folder / "tasks.json"))
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    (changed,) = (task for task in tasks if task["annotations"])
    changed["annotations"][0]["result"][0]["value"]["choices"] = ["negative"]
    other = next(task for task in tasks if not task["annotations"])
    other["annotations"] = [
        {"completed_by": 3, "result": [{"type": "choices", "value": {"choices": ["odd"]}}]}
    ]
    (folder / "back.json").write_text(json.dumps(tasks), encoding="utf-8")
    told = list(files.take(recipe, folder / "back.json"))
    assert told[0].endswith("are new, 0 were there already.")
    assert "unknown label 'odd'. Known: negative, positive" in told[2]
    assert [each.value for each in home.decisions().current("bank")] == ["negative"]
    assert [each.value for each in home.decisions().all("bank")] == ["positive", "negative"]
    list(files.take(recipe, folder / "back.json"))
    assert len(home.decisions().all("bank")) == 2


def test_what_is_no_file_of_decisions_is_refused(folder: Path) -> None:
    recipe = inline(RECIPE, "bank")
    for name, why in (("a.xlsx", "unknown ending"), ("none.csv", "name a file that is there")):
        with pytest.raises(UserError, match=why):
            list(files.take(recipe, folder / name))
    (folder / "a.csv").write_text("row_id,label,person\nr9,positive,ann\n", encoding="utf-8")
    with pytest.raises(UserError, match="none of 1 decisions could be taken: line 2: there is no row 'r9'"):
        list(files.take(recipe, folder / "a.csv"))
    with pytest.raises(UserError, match="CoNLL is of spans"):
        list(files.export(recipe, folder / "a.conll"))


def test_a_store_that_is_lost_comes_back_from_the_lake(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = inline(RECIPE, "bank")
    monkeypatch.setenv("SYNTH_HOME", str(folder))
    rows = a_round(recipe, folder).rows("labelled")
    People(recipe).say(rows["row_id"][0], "positive", **RANDOM, note="sure")
    People(recipe).say(rows["row_id"][1], None, kind="skip", decision_id="d9")
    a_round(recipe, folder)
    said = home.decisions().all("bank")
    assert kept.lost(recipe, home.lake(), home.decisions()) == []
    (folder / "reviews.sqlite").unlink()
    assert kept.lost(recipe, home.lake(), home.decisions()) == said
