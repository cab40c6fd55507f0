"""Views in a home that never showed the recipe, while its rows are there: other machines made them."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from synth_assets.assets import report
from synth_assets.assets.code_location import stage_assets
from synth_assets.assets.in_process import dagster_instance
from synth_assets.assets.morning import note
from synth_assets.assets.nightly import keep
from synth_assets.cli import main
from synth_assets.recipe.load import load
from synth_assets.resources import home
from tests.conftest import ROUND
from tests.endpoint import Endpoint

ENDED = "The rounds have ended: 12 rows are kept, of 12 that were wanted."


def test_who_asks_views_that_are_not_there_makes_them(
    project: Path, after_a_round: Endpoint, edit, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = load(edit("schedule:", "rounds: {count: 9, until: {accepted: 12}}\nschedule:"))

    def no_views() -> None:
        for path in home.home().glob("warehouse.*"):
            path.unlink()

    no_views()
    assert main(["plan", "reviews"]) == 0
    assert ENDED in capsys.readouterr().out

    no_views()
    with dagster_instance() as instance:
        keeper = keep(recipe, instance, stage_assets(recipe))
        assert keeper.ended == ENDED
        no_views()
        home.lake().looks.forget("reviews", ROUND)
        (row,) = note(recipe, home.lake(), keeper.last(1))
        assert row["kept"] == 12
        no_views()
        made = dg.materialize([report.build(recipe)], partition_key=ROUND, instance=instance)
    assert made.success
    assert (home.reports("reviews") / f"{ROUND}.html").exists()
