"""`synth nights`: each night, how far it is, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synth_assets.assets.code_location import build
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.commands import ui
from synth_assets.core.days import today
from synth_assets.partitions import cell_key
from synth_assets.recipe.load import load
from synth_assets.report.nights import changed
from synth_assets.resources.home import warehouse
from tests.assets.test_round import ROUND
from tests.endpoint import Endpoint, reviewer

SET = "seeds + weighted"


def test_a_night_that_failed_says_why_and_what_comes_next(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("SYNTH_MODEL", "scripted")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert main(["nights", "reviews"]) == 0
    assert "reviews has no rounds yet" in capsys.readouterr().out
    assert main(["run", "reviews"]) == 69
    capsys.readouterr()
    assert main(["nights", "reviews"]) == 1  # nobody tries it again: the schedule is off
    said = capsys.readouterr().out
    assert said.startswith(f"{today('UTC')}  failed")
    assert "nobody answers at http://127.0.0.1:9/v1" in said
    assert f"To make it: synth run reviews --round {today('UTC')}" in said
    assert main(["sql", "select state, why like 'nobody answers%' as said from nights", "--csv"]) == 0
    assert "failed,True" in capsys.readouterr().out
    with Endpoint(say=reviewer) as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        assert main(["run", "reviews"]) == 0
    capsys.readouterr()
    assert main(["nights", "reviews", "--json"]) == 0
    (night,) = json.loads(capsys.readouterr().out)["nights"]
    assert (night["state"], night["why"], night["kept"] > 0) == ("whole", "", True)
    assert main(["sql", "select state, kept from rounds", "--csv"]) == 0
    assert f"whole,{night['kept']}" in capsys.readouterr().out


def test_a_round_whose_stages_do_not_belong_together_says_so_everywhere(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    """A refresh that stopped in the middle: its `generations` are new, all after them is of the old ones."""
    main(["run", "reviews", "--round", ROUND])
    recipe = load(edit("{{ label }} ({{ tone }}):", "{{ label }}, {{ tone }}:"))
    with dagster_instance() as instance:
        build({"reviews": recipe}).resolve_job_def("reviews_cell").execute_in_process(
            instance=instance,
            partition_key=cell_key(ROUND, "negative"),
            asset_selection=[dg.AssetKey(["reviews", "generations"])],
        )
    assert warehouse().query("select state from reviews.rounds").fetchall() == [(None,)]
    words = "scores is of other rows of generations than those that are there now"
    capsys.readouterr()
    assert main(["nights", "reviews"]) == 1
    assert words in capsys.readouterr().out
    assert warehouse().query("select state, why from reviews.nights").fetchall() == [("partly made", words)]
    assert main(["verify", "reviews"]) == 1
    assert f"reviews, round {ROUND}: {words}: `synth run reviews --round {ROUND}`." in capsys.readouterr().out
    assert main(["run", "reviews", "--round", ROUND, "--rows", "3"]) == 0
    assert main(["verify", "reviews"]) == 0
    capsys.readouterr()
    assert main(["nights", "reviews"]) == 0
    said = capsys.readouterr().out
    assert f"{ROUND}  whole" in said
    assert "made with 3 rows a cell; the recipe says 6" in said
    assert "on disk: " in said


def test_what_changed_in_the_metrics_is_named_the_certain_first() -> None:
    before = {("self_bleu_4", "filtered"): (0.4, None, None, 20), ("accuracy", SET): (0.6, 0.55, 0.65, 200)}
    now = {("self_bleu_4", "filtered"): (0.5, None, None, 20), ("accuracy", SET): (0.8, 0.75, 0.85, 200)}
    now |= {("accuracy", "real"): (0.9, 0.8, 1.0, 200), ("vocabulary", "filtered"): (100, None, None, 20)}
    assert changed(before, now) == "accuracy (seeds + weighted) 0.8 (+0.2), self_bleu_4 0.5 (+0.1)"
    assert changed(now, now) == ""


def test_recipes_that_change_on_disk_are_read_anew(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Enough(Exception):
        pass

    def look(_: float) -> None:
        if seen:
            raise Enough
        (project / "recipes" / "new.yaml").write_text("task: {}", encoding="utf-8")

    seen: list[str] = []
    monkeypatch.setattr(ui.time, "sleep", look)
    monkeypatch.setattr(ui, "reload", lambda address: not seen.append(address))
    with pytest.raises(Enough):
        ui.follow_recipes("http://ui")
    assert seen == ["http://ui"]


def test_a_reload_is_asked_of_the_web_server() -> None:
    with Endpoint() as web:
        web.play = lambda _: {"data": {}}
        assert ui.reload(web.url)
        (asked,) = web.requests
    assert asked == {"query": "mutation { reloadWorkspace { __typename } }"}
    assert not ui.reload("http://127.0.0.1:9")


def test_recipes_are_read_anew_where_the_process_that_had_read_them_is_gone() -> None:
    def said(what: str) -> dict[str, Any]:
        entries = [{"locationOrLoadError": {"message": f"dagster._core.errors.{what}: Could not reach it"}}]
        return {"data": {"workspaceOrError": {"locationEntries": entries}}}

    with Endpoint() as web:
        web.play = lambda _: said("DagsterUserCodeUnreachableError")
        assert ui.lost(web.url)
        web.play = lambda _: said("DagsterInvalidDefinitionError")  # it would come again
        assert not ui.lost(web.url)
    assert not ui.lost("http://127.0.0.1:9")
