"""`synth export`: the set as others load it."""

from __future__ import annotations

import json
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from synth_assets.cli import main
from synth_assets.recipe.load import load
from synth_assets.resources.home import home, lake
from synth_assets.resources.storage.process import this_process
from synth_assets.stages import tables
from tests.assets.test_round import ROUND, one_in
from tests.endpoint import Endpoint

BEFORE = "2026-11-20"
DEAD = this_process().partition(":")[0] + ":1@1"


@pytest.fixture
def endpoint(endpoint: Endpoint, project: Path, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    offline(project, monkeypatch)
    return endpoint


def offline(project: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("HF_HUB_OFFLINE", "1")
    patch.setenv("HF_DATASETS_CACHE", str(project / "cache"))


@pytest.fixture
def made(after_a_round: Endpoint, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one round."""
    offline(project, monkeypatch)
    return project


def loaded(folder: Path) -> Any:
    import datasets

    return datasets.load_dataset(str(folder), cache_dir=str(folder.parent / "cache"), split="train")


def on_disk(project: Path, stage: str, partition: dict[str, str]) -> pa.Table:
    return lake().table("reviews", stage, partition)


def dated(day: str | None) -> date | None:
    """As text it would come out of JSON with a time of day."""
    return day and date.fromisoformat(day)


KINDS = ("parquet", "jsonl", "hf")


def test_datasets_loads_each_format_with_rows_columns_and_types(made: Path, project: Path) -> None:
    recipe = load(project / "recipes" / "reviews.yaml")
    conditions = pa.concat_tables(
        on_disk(project, "conditions", {"round": ROUND, "cell": cell}) for cell in recipe.cells
    )
    weighted = on_disk(project, "weighted", {"round": ROUND})
    for kind, (stage, rows) in product(KINDS, {"weighted": weighted, "conditions": conditions}.items()):
        to = project / f"{stage}_{kind}"
        assert main(["export", "reviews", "--to", str(to), "--format", kind, "--stage", stage]) == 0
        found = loaded(to)
        days = [name for name in ("round", "made_in") if kind == "jsonl" and name in rows.column_names]
        assert found.to_list() == [row | {d: dated(row[d]) for d in days} for row in rows.to_pylist()], kind
        types = dict(zip(found.column_names, found.features.arrow_schema.types, strict=True))
        assert types == {f.name: f.type for f in tables.schema(recipe, stage)} | dict.fromkeys(
            days, pa.date32()
        ), kind


def test_structs_and_columns_without_a_value_keep_their_types(
    project: Path, endpoint: Endpoint, edit
) -> None:
    edit("  duplicate: {}", "  duplicate: {}\n  label_agreement: {at_least: 0}")
    main(["run", "reviews", "--round", ROUND])
    recipe = load(project / "recipes" / "reviews.yaml")
    for kind in KINDS:
        to = project / f"scores_{kind}"
        assert main(["export", "reviews", "--to", str(to), "--format", kind, "--stage", "scores"]) == 0
        there, wanted = loaded(to).features.arrow_schema, tables.schema(recipe, "scores")
        assert pa.types.is_struct(there.field("label_logprobs").type), kind
        assert [f for f in there if f.name != "round"] == [f for f in wanted if f.name != "round"], kind


def test_the_card_says_how_it_was_made_and_what_is_not_known(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("words: {between: [2, 40]}", "words: {between: [5, 40]}")
    endpoint.say = one_in(3, "too short")
    for round_ in (BEFORE, ROUND):
        main(["run", "reviews", "--round", round_])
    to = project / "set"
    assert main(["export", "reviews", "--to", str(to), "--round", BEFORE]) == 0
    assert set(loaded(to)["round"]) == {BEFORE}
    text = (to / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["size_categories"] == ["n<1K"]
    assert "**Synthetic rows** were written by a language model" in text
    assert "- license: not stated" in text
    assert "| generations | scripted | 12 |" in text
    assert "| unknown |" in text  # the cost
    assert "| filtered | words | at least 5 and at most 40 |" in text
    assert "{{ label }} ({{ tone }}):" in text
    assert "witty" in text
    assert f"| {BEFORE} | 12 |" in text
    assert f"| {ROUND} |" not in text
    card = json.loads((to / "card.json").read_text())
    assert (card["recipe"], card["stage"], card["round"]) == ("reviews", "weighted", BEFORE)
    assert card["steps"]["text"]["template"] in text
    assert card["origins"] == {"synthetic": card["rows"], "seed": 0}
    assert f"{card['rows']} synthetic, 0 of the user's own seeds" in text
    assert "**Warning.** The licence of the seeds is not stated." in text
    recipe = (project / "recipes" / "reviews.yaml").read_text()
    assert card["made_by"] == {"recipe": recipe, "commands": [f"synth run reviews --round {BEFORE}"]}
    assert recipe in text
    assert f"synth run reviews --round {BEFORE}\n" in text
    assert [(row["round"], row["generated"]) for row in card["measured"]["Rounds"]] == [(BEFORE, 12)]
    assert card["measured"]["Models and cost"][0]["dollars"] is None
    edit("seeds: {file", "seeds: {license: CC-BY-4.0, source: a survey, file")
    assert main(["export", "reviews", "--to", str(project / "newer")]) == 0
    newer = (project / "newer" / "README.md").read_text()
    assert "- license: CC-BY-4.0" in newer
    assert "Warning" not in newer
    assert f"synth run reviews --round {BEFORE}\nsynth run reviews --round {ROUND}\n" in newer


def test_the_card_does_not_say_where_a_model_is(made: Path, endpoint: Endpoint, edit) -> None:
    own = '{name: scripted, base_url: "URL", api: completions}'.replace("URL", endpoint.url)
    edit("schedule:", f"model: {own}\nannotator: {{model: {own}}}\nschedule:")
    assert main(["export", "reviews", "--to", "set"]) == 0
    text = (made / "set" / "README.md").read_text()
    assert "base_url: (left out), api: completions" in text
    for written in (text, (made / "set" / "card.json").read_text()):
        assert "127.0.0.1" not in written


def test_seeds_are_in_an_export_only_when_asked_for_with_a_warning_where_their_licence_is_not_stated(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("schedule:", "weights: {by: none, seeds: 0.25}\nschedule:")
    main(["run", "reviews", "--round", ROUND])
    capsys.readouterr()
    assert main(["export", "reviews", "--to", "without"]) == 0
    said = capsys.readouterr()
    assert "12 rows and their card are in" in said.out
    assert said.out.rstrip().endswith("12 synthetic, 0 of the user's own seeds")
    assert said.err == ""
    assert set(loaded(project / "without")["origin"]) == {"synthetic"}
    assert "none of them is in this set" in (project / "without" / "README.md").read_text()
    assert main(["export", "reviews", "--to", "with", "--seeds"]) == 0
    said = capsys.readouterr()
    assert said.out.rstrip().endswith("12 synthetic, 4 of the user's own seeds")
    assert "warning: The licence of the seeds is not stated." in said.err
    assert sorted(loaded(project / "with")["origin"]) == ["seed"] * 4 + ["synthetic"] * 12
    assert "12 synthetic, 4 of the user's own seeds" in (project / "with" / "README.md").read_text()
    edit("seeds: {file", "seeds: {license: CC-BY-4.0, file")
    assert main(["export", "reviews", "--to", "licensed", "--seeds"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_a_licence_makes_nothing_stale(project: Path, edit) -> None:
    path = project / "recipes" / "reviews.yaml"
    before = load(path).version("seeds")
    edit("seeds: {file", "seeds: {license: CC-BY-4.0, file")
    assert load(path).version("seeds") == before


def test_an_export_is_there_whole_or_not_at_all(
    project: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    to = project / "set"
    export = ["export", "reviews", "--to", str(to)]
    assert main(export) == 2
    assert "run `synth run reviews` first" in capsys.readouterr().err
    main(["run", "reviews", "--round", ROUND])
    assert main([*export, "--round", BEFORE]) == 2
    assert f"the latest are {ROUND}" in capsys.readouterr().err
    (home() / "lake" / "reviews" / "weighted" / f"round={ROUND}" / "part.parquet").write_bytes(b"PAR1")
    assert main(export) == 2
    assert "synth verify reviews --repair" in capsys.readouterr().err
    assert not [path for path in project.iterdir() if "set" in path.name]
    main(["verify", "--repair"])
    (project / f".set.{DEAD}").mkdir()  # of an export that was killed
    to.mkdir()
    assert main(export) == 0
    assert not (project / f".set.{DEAD}").exists()
    assert main(export) == 2
    assert "there is something already" in capsys.readouterr().err


def test_rows_of_a_label_that_is_gone_are_not_exported(made: Path, project: Path, edit) -> None:
    seeds = project / "seeds.csv"
    seeds.write_text(seeds.read_text().replace(",negative", ",bad"))
    edit("negative: the reviewer did not like it", "bad: the reviewer did not like it")
    assert main(["export", "reviews", "--to", str(project / "set")]) == 0
    assert set(loaded(project / "set")["label"]) == {"positive"}
