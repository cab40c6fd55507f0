"""Rounds that go by what the rounds before lack: signals, and who reads them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from synth_assets.contracts.provider import Around
from synth_assets.contracts.signal import Signal
from synth_assets.core.errors import UserError
from synth_assets.evaluation.signal_rows import signalled, table
from synth_assets.generation.conditions.demonstrations import demonstrations_of
from synth_assets.recipe.feedback_files import write_feedback
from synth_assets.recipe.load import inline
from synth_assets.recipe.measuring import Metrics
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.sections import Demonstrations, Feedback
from synth_assets.recipe.steering import steering
from synth_assets.report.views import show
from synth_assets.resources import home
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages import conditions, tables
from synth_assets.stages.feedback import compute, proportional, told
from tests.evaluation.test_signals import KEPT, SEEDS, look
from tests.gallery import Asks
from tests.through import Through, encode, through

DAYS = ("2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23")
OFF = dict.fromkeys(("diversity", "privacy", "faithfulness", "student"), False)
STEERED: dict[str, Any] = {"rows": {"from": "validation", "by": "error", "top": 20}, "label": "same"}
PLAIN = {  # of each label, what is usual, and what operas have: the other label's word, and one of theirs
    "negative": ("dull", "bright chorus"),
    "positive": ("bright", "dull aria"),
}
THINGS = "plot cast score scene joke end voice light".split()  # noqa: SIM905


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Films, and a few operas, of which the model writes only where it is shown one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / ".synth"))
    with (tmp_path / "seeds.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label", "part", "kind"])
        for part, n in (("validation", 20), ("test", 20), ("train", 4)):
            for label, (usual, other) in PLAIN.items():
                for i in range(n):
                    opera = i < 3 and part != "train"
                    text = f"{part} {i}: {other if opera else usual} {THINGS[i % 8]} {i}"
                    rows.writerow([text, label, part, "opera" if opera else "film"])
    return tmp_path


def recipe(**conditions: Any) -> Recipe:
    said = {
        "task": {"classify": {"negative": "not liked", "positive": "liked"}},
        "seeds": {
            "file": "seeds.csv",
            "fields": ["kind"],
            "splits": {"column": "part", "values": {"train": "demonstration"}},
        },
        "conditions": {"label": "labels", "kind": ["film", "opera"], "last": STEERED, **conditions},
        "steps": {"text": "{{ label }} {% if last_signal is not none %}{{ like }}{% endif %}"},
        "rows": 24,
        "metrics": OFF,
    }
    return inline(said, "films")


def grammar() -> Any:
    """A row of the label; an opera only where the prompt has one."""
    numbers = count()

    def say(prompt: str, *_: Any) -> str:
        usual, other = PLAIN[prompt.split()[0]]
        words = other if re.search("aria|chorus", prompt) else usual
        return f"{words} {THINGS[next(numbers) % 8]} no {next(numbers)}"

    return say


def rounds(recipe: Recipe, folder: Path, days: int) -> list[Through]:
    say = grammar()
    return [through(recipe, say, folder, day) for day in DAYS[:days]]


def operas_misread(made: Through) -> float:
    """Share of the validation rows about operas that the student of the round gets wrong."""
    rows = made.rows("signals")
    (found,) = rows.loc[rows["attribute_value"] == "opera", "value"]
    return found


def test_rows_that_a_student_misreads_mend_it_and_rows_at_random_do_not(project: Path) -> None:
    first, second, third = rounds(recipe(like=STEERED), project / "steered", 3)
    assert first.rows("conditions")["last_signal"].isna().all()  # no signal yet: rows of the whole split
    assert operas_misread(first) == 1.0
    wrong = first.rows("signals").query("row_id.notna() and value > 0")
    assert set(second.rows("conditions")["like"]) == set(texts_of(first, wrong["row_id"]))
    assert (second.rows("conditions")["like_signal"] > 0.5).all()  # as sure as it was of the wrong label
    assert operas_misread(third) <= 0.5
    for other in ({"rows": "seeds", "split": "validation", "label": "same"}, ["nothing"]):
        *_, last = rounds(recipe(like=other), project / str(len(other)), 3)
        assert operas_misread(last) > 0.5


def texts_of(made: Through, ids: Any) -> list[str]:
    return list(made.rows("seeds").set_index("row_id").loc[list(ids), "text"])


def test_no_signal_sees_a_test_row(project: Path) -> None:
    """A poisoned test split changes what is measured, and nothing of what the next round goes by."""
    of = recipe(like=STEERED).model_copy(update={"metrics": Metrics.model_validate({**OFF, "student": True})})
    made = []
    for name in ("right", "poisoned"):
        first = through(of, grammar(), project / name, DAYS[0])
        run = Asks(
            of, FolderLake(project / name / "lake"), SimpleNamespace(encode=encode), DAYS[1], "positive"
        )
        made.append([first, conditions.compute(run, first.rows("seeds")).rows])
        seeds = (project / "seeds.csv").read_text()
        (project / "seeds.csv").write_text(
            re.sub("(test .*),(negative|positive),", r"poison \1,negative,", seeds)
        )
    (one, next_of_one), (two, next_of_two) = made
    assert one.metric("accuracy", "weighted") != two.metric("accuracy", "weighted")
    pd.testing.assert_frame_equal(next_of_one, next_of_two)
    for stage in ("signals", "feedback"):
        pd.testing.assert_frame_equal(one.rows(stage), two.rows(stage))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"by": "eror"}, "unknown signal 'eror'. Did you mean 'error'"),
        ({"by": "confusion"}, "confusion is a number of cells, not of rows"),
        ({"by": "error", "from": "kept"}, "error is a number of validation rows: write `from: validation`"),
        ({"by": "entropy"}, "entropy is a number of kept rows: write `from: kept`"),
        ({"by": "unused", "from": "test"}, "test"),
        ({"by": "unused", "from": "kept"}, "kept rows are used already"),
        ({"by": "no_module:of"}, "no_module cannot be imported"),
        ({"top": 3}, "`top` goes with `by`"),
        ({"of": 3}, "`rows` is written as `{from: validation, by: error, top: 50}`"),
    ],
)
def test_what_a_signal_needs_is_said_when_the_recipe_is_read(
    project: Path, said: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        recipe(like={"rows": {"from": "validation", **said}})


def test_feedback_by_what_is_unused_needs_a_source_with_weights(project: Path) -> None:
    (project / "kinds.txt").write_text("film\nopera\n")
    said = recipe().model_dump(mode="json", exclude_unset=True, exclude={"name"})
    said = {**said, "feedback": {"rows": "unused"}}
    drawn = {**said["conditions"], "kind": {"file": "kinds.txt"}}
    assert inline({**said, "conditions": drawn}, "films").signals == ["error", "unused"]
    for more in ({}, {"conditions": drawn, "remember": True}):
        with pytest.raises(UserError, match="no source is drawn by weights that could be changed"):
            inline({**said, **more}, "films")


def test_signals_of_validation_rows_need_some(project: Path) -> None:
    said = recipe(like=STEERED).model_dump(mode="json", exclude_unset=True)
    said["seeds"] = {"file": "seeds.csv", "fields": ["kind"], "splits": {"demonstration": 4}}
    with pytest.raises(UserError, match="the validation rows, and there are none"):
        inline({k: v for k, v in said.items() if k != "name"}, "films")


def test_demonstrations_are_the_kept_rows_that_a_signal_is_highest_of(project: Path) -> None:
    labels = {"by": "top", "pool": "kept", "k": 2, "score": "disagreement"}
    said = recipe(like=["nothing"]).model_copy(
        update={"demonstrations": Demonstrations.model_validate(labels)}
    )
    assert said.signals == ["disagreement", "error"]
    kept = pd.DataFrame({"row_id": list("abcd"), "text": list("ABCD"), "label": "positive"})
    seeds = kept.assign(row_id=list("stuv"), split="demonstration")
    told = {"disagreement": {"a": 0.1, "b": 0.9, "c": 0.8}}
    around = Around({"seeds": seeds, "kept": kept}, signals=lambda name: told.get(name, {}))
    row = {"label": "positive"}
    assert set(demonstrations_of(said, around, 0, row, ("place",))[1]) == {"b", "c"}
    unknown = Around({"seeds": seeds, "kept": kept})  # of the first round: drawn at random
    assert len(demonstrations_of(said, unknown, 0, row, ("place",))[1]) == 2


def test_the_next_round_asks_for_what_is_misread_in_proportion(project: Path) -> None:
    """Of cells and of values; a file that a person edits wins, and an unedited one changes nothing."""
    text = (project / "seeds.csv").read_text()  # operas about `negative` are told apart by their marks
    (project / "seeds.csv").write_text(re.sub("(validation [0-9]+: )bright chorus", r"\1dull", text))
    of = recipe(like=STEERED).model_copy(update={"feedback": Feedback(rows="error")})
    assert of.signals == ["error"]
    first, second = rounds(of, project, 2)
    told = first.rows("feedback").set_index("cell")
    assert dict(told["rows"]) == {"negative": 12, "positive": 36}  # half, and the rest: no row of it is wrong
    assert dict(told["value"]) == {"negative": 0.0, "positive": 0.15}
    assert json.loads(told["weights"].iloc[0])["kind"] == {"film": 0.5, "opera": 1.5}
    made = second.rows("conditions")
    assert made["cell"].value_counts().to_dict() == {"negative": 12, "positive": 36}
    file = of.feedback_file(DAYS[0])
    assert "  positive: 36 # 24 before; error 0.15\n" in file.read_text()
    assert "    opera: 1.5 # 1 before; error 0.5\n" in file.read_text()
    assert "asked next | asked before" in first.made["feedback"][0].numbers["asked"]

    run = Asks(of, FolderLake(project / "lake"), SimpleNamespace(encode=encode), DAYS[1], "positive")
    told, plain = of.feedback_file(DAYS[0]).read_text(), "weights: {kind: {film: 1, opera: 1}}"
    file.write_text(plain)
    without = conditions.compute(run, first.rows("seeds")).rows
    moved = list(zip(without["kind"], made[made["cell"] == "positive"]["kind"], strict=True))
    assert moved.count(("film", "opera")) > 3
    assert ("opera", "film") not in moved  # a row that has what is wanted keeps it
    file.write_text(told)
    run = replace(run, cell="negative")
    file.write_text(
        file.read_text().replace("negative: 12", "negative: 5").replace("film: 0.5", "film: 0.001")
    )
    edited = conditions.compute(run, first.rows("seeds")).rows
    assert (len(edited), set(edited["kind"])) == (5, {"opera"})
    assert not write_feedback(file, [], [], "error")  # what a person wrote stays
    for wrong, why in {
        "rows: {negatve: 3}": "unknown cell 'negatve'. Did you mean 'negative'",
        "rows: {negative: none}": "rows.negative is 'none': write a whole number from 1",
        "weights: {kind: {film: -1}}": "weights.kind.film is '-1': write a number from",
        "row: {negative: 3}": "unknown part 'row'. Did you mean 'rows'",
        "rows: [3]": "rows has to be written as `name: number`",
    }.items():
        file.write_text(wrong)
        with pytest.raises(UserError, match=re.escape(why)):
            conditions.compute(run, first.rows("seeds"))
    other = replace(run, recipe=of.model_copy(update={"design": "balanced"}))  # which draws by no weights
    file.write_text(plain)
    with pytest.raises(UserError, match=r"weights.kind: the recipe draws no condition by weights: delete"):
        conditions.compute(other, first.rows("seeds"))
    file.unlink()
    for each in (run, other):
        assert len(conditions.compute(each, first.rows("seeds")).rows) == 12
    a_week_later = replace(run, round="2030-01-07")  # goes by the last round that there is
    wanted = second.rows("feedback").set_index("cell")["rows"]["negative"]
    assert len(conditions.compute(a_week_later, first.rows("seeds")).rows) == wanted

    shutil.rmtree(file.parent)
    file.parent.write_text("")  # no folder to write to: a round is made all the same
    of_first = Asks(of, run.lake, run.encoder, DAYS[0])
    yields = {"negative": 1.0, "positive": 1.0}
    made = compute(of_first, yields, first.rows("conditions"), first.rows("signals"))
    assert list(made.rows["rows"]) == [12, 36]


def test_feedback_is_in_proportion_within_bounds_and_its_sum_stays() -> None:
    assert proportional({"a": 0.3, "b": 0.2, "c": 0.1}, 20) == {"a": 30, "b": 20, "c": 10}
    assert proportional({"a": 0.9, "b": 0.0, "c": 0.0, "d": 0.0}, 10) == {"a": 20, "b": 7, "c": 7, "d": 6}
    assert proportional({"a": None, "b": 0.0}, 10) == {"a": 10, "b": 10}  # nothing is known to be missing
    assert proportional({"a": 1.0, "b": -1.0}, 10) == {"a": 15, "b": 5}
    assert proportional({"a": 0.1, "b": float("nan"), "c": 0.3}, 10) == {"a": 5, "b": 10, "c": 15}


def test_any_score_is_feedback_and_nothing_else_changes() -> None:
    """A number of the rows, or the score of a filter: more rows of the cells that have more of it."""
    seen = look(KEPT, SEEDS)
    seen.filtered["stars"] = [5, 4, 2, 1]
    by_stars = seen.recipe.model_copy(update={"feedback": Feedback(rows="stars"), "rows": 10})
    assert (by_stars.signals, list(steering(by_stars))) == (["stars"], [])
    told_of = table("1", {"stars": signalled("stars", seen)})
    asked = told(by_stars, {"a": 1.0, "b": 1.0}, "1", told_of).set_index("cell")
    assert dict(asked["rows"]) == {"a": 15, "b": 5}
    assert {"value", "weights"} < set(tables.columns(by_stars, "feedback"))
    (wrong,) = steering(by_stars.model_copy(update={"feedback": Feedback(rows="yeild")}))
    assert "unknown signal 'yeild'. Did you mean 'yield'" in str(wrong)


def test_values_that_the_recipe_does_not_list_weigh_nothing() -> None:
    """The seeds may have others: nobody draws them, and the share of those that are drawn is what it was."""
    by_stars = look(KEPT, SEEDS).recipe.model_copy(update={"feedback": Feedback(rows="error"), "rows": 10})
    of_sizes = [Signal(share, None, None, "size", size) for size, share in {"big": 1, "small": 3}.items()]
    asked = [
        told(by_stars, {"a": 1.0, "b": 1.0}, "1", table("1", {"error": [*of_sizes, *others]}))
        for others in ([], [Signal(9.0, None, None, "size", "huge")])
    ]
    assert json.loads(asked[0]["weights"][0]) == {"size": {"big": 0.5, "small": 1.5}}
    pd.testing.assert_frame_equal(*asked)


def test_a_view_has_what_is_of_no_cell(project: Path) -> None:
    """Signals of values of conditions are; rows of cells that the recipe no longer has are not shown."""
    made = recipe()
    lake = FolderLake(project / ".synth" / "lake")
    rows = pd.DataFrame({"cell": ["positive", "gone", None], "value": [1.0, 2.0, 3.0]})
    rows = rows.assign(round=DAYS[0], name="error", row_id=None, attribute=None, attribute_value=None)
    lake.write("films", "signals", {"round": DAYS[0]}, tables.to_arrow(made, "signals", rows))
    show(made)
    found = home.warehouse().query("select value from signals order by value").fetchall()
    assert found == [(1.0,), (3.0,)]
