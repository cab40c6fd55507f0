"""Kept rows of the last rounds, as conditions and as demonstrations, over rounds in a lake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synth_assets.core.errors import UserError
from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages.run import Run
from tests.through import Through, through

OFF = dict.fromkeys(("diversity", "student", "privacy", "faithfulness"), False)
SEEDS = ["a tale", "an ode", "a song"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / ".synth"))
    Path("seeds.csv").write_text("\n".join(["text", *SEEDS]))
    return tmp_path


def recipe(**said: Any) -> Recipe:
    of: dict[str, Any] = {
        "task": {"text": "story"},
        "seeds": {"file": "seeds.csv", "splits": {"demonstration": 3}},
        "conditions": {
            "base": {"rows": "kept", **({"rounds": said.pop("rounds")} if "rounds" in said else {})}
        },
        "steps": {"text": "Retell: {{ base }}"},
        "rows": 3,
        "minimum_yield": 0.0,
        "metrics": OFF,
    }
    return inline({**of, **said}, "story")


def a_round(of: Recipe, folder: Path, day: int) -> Through:
    """A model that says once more what it is given last."""
    return through(of, lambda prompt, *_: f"{prompt.rpartition(': ')[2]} again", folder, f"2026-11-{day:02}")


def bases(made: Through) -> set[int]:
    """How often what the rows began with had been retold."""
    return {base.count("again") for base in made.rows("conditions")["base"]}


@pytest.mark.parametrize(("rounds", "found"), [("last", {2}), (1, {2}), (2, {1, 2}), ("all", {1, 2})])
def test_a_round_begins_with_rows_of_the_rounds_that_are_meant(
    folder: Path, rounds: Any, found: set[int]
) -> None:
    of = recipe(rounds=rounds, rows=3)
    assert [bases(a_round(of, folder, day)) for day in (1, 2)] == [{0}, {1}]
    assert bases(a_round(of.model_copy(update={"rows": 6}), folder, 3)) == found


def test_a_round_that_kept_nothing_is_none_and_those_before_are_not_read(folder: Path) -> None:
    of = recipe(rounds="last")
    for day in (1, 2):
        a_round(of, folder, day)
    nothing = {"words": {"at_least": 1000}}
    a_round(recipe(rounds="last", filters=nothing), folder, 3)
    assert bases(a_round(of, folder, 4)) == {2}
    lake = FolderLake(folder / "lake")
    lake.path("story", "filtered", {"round": "2026-11-01"}).write_bytes(b"damaged")
    found = Run(of, lake, MiniLM(), "2026-11-05").before("filtered", last=2)
    assert {*found["round"]} == {"2026-11-02", "2026-11-04"}


@pytest.mark.parametrize(("rounds", "found"), [("last", {2}), ("all", {1, 2})])
def test_prompts_show_rows_of_the_rounds_that_are_meant(folder: Path, rounds: Any, found: set[int]) -> None:
    text = "Retell: {{ demonstrations[0].text }}"
    shown = {"k": 1, "sets": 20, "pool": "kept", "rounds": rounds}
    of = recipe(conditions={}, demonstrations=shown, steps={"text": text}, rows=20, filters={"duplicate": {}})
    made = [a_round(of, folder, day) for day in (1, 2, 3)][-1]
    assert {prompt.count("again") for prompt in made.model.prompts} == found


def test_seeds_are_of_no_round() -> None:
    seeds = {"base": {"rows": "seeds", "rounds": "last"}}
    with pytest.raises(UserError, match="`rounds` goes with `rows: kept`"):
        recipe(conditions=seeds)
    with pytest.raises(UserError, match="`rounds` goes with `pool: kept`, or `kept` in `mix`"):
        recipe(demonstrations={"k": 1, "rounds": 2})


def test_what_is_not_written_is_in_no_version() -> None:
    assert recipe().version("conditions") != recipe(rounds="all").version("conditions")
    shown = recipe(demonstrations={"k": 1, "pool": "kept"})
    assert "rounds" not in shown.model_dump()["demonstrations"]
    assert "rounds" not in shown.model_dump()["conditions"]["base"]
