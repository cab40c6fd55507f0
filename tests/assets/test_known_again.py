"""Without Dagster's index, rounds that are in the lake are known again, and looked at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from synth_assets.assets.code_location import stage_assets
from synth_assets.assets.factory import key
from synth_assets.assets.in_process import dagster_instance
from synth_assets.assets.keeper import Keeper
from synth_assets.assets.nightly import keep
from synth_assets.assets.unchanged import Known
from synth_assets.cli import main
from synth_assets.recipe.load import load
from synth_assets.resources import home
from tests.assets.test_round import ROUND
from tests.conftest import QUICK
from tests.endpoint import Endpoint


def test_a_lost_index_comes_back_from_the_lake(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("rows: 6", QUICK)
    assert main(["run", "reviews", "--round", ROUND]) == 0
    history, lake = project / ".synth" / "history", project / ".synth" / "lake" / "reviews"
    shutil.rmtree(history / "runs")
    capsys.readouterr()
    assert main(["verify"]) == 0
    assert (
        "reviews: 1 rounds were in the lake, and nothing said when they were made" in capsys.readouterr().out
    )
    recipe = load(project / "recipes" / "reviews.yaml")
    with dagster_instance() as instance:
        of = Known(recipe, instance, stage_assets(recipe), home.lake(), home.call_log(), home.encoder())
        (night,) = Keeper(of).last(1)
        assert (night.state, night.why) == ("stale", "no record says by which recipe it was made")
    shutil.rmtree(history / "runs")
    with dagster_instance() as instance:
        keep(recipe, instance, stage_assets(recipe))  # as a schedule's look does
        event = instance.get_latest_materialization_event(key(recipe, "metrics"))
        assert event is not None
        assert event.asset_materialization is not None
        written = event.asset_materialization.metadata["written"].value
        assert written == home.lake().modified("reviews", "metrics", {"round": ROUND}).timestamp()
    table = next((lake / "metrics").rglob("part.parquet"))
    table.unlink()
    assert main(["verify"]) == 1
    assert str(table) in capsys.readouterr().out
    calls = len(endpoint.requests)
    assert main(["verify", "--repair"]) == 0
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert table.is_file()
    assert len(endpoint.requests) == calls


def test_a_table_that_nobody_knows_is_looked_at_too(
    after_a_round: Endpoint, project: Path, capsys: pytest.CaptureFixture
) -> None:
    table = next((project / ".synth" / "lake" / "reviews" / "scores").rglob("part.parquet"))
    table.write_bytes(table.read_bytes()[:-9])
    shutil.rmtree(project / ".synth" / "history" / "runs")
    capsys.readouterr()
    assert main(["verify"]) == 1
    assert str(table) in capsys.readouterr().out
