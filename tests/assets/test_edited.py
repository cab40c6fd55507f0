"""What a person makes of what a round tells the next one, in the eyes of Dagster."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from synth_assets.assets.code_location import build, recipe_definitions
from synth_assets.assets.dagster_internals import is_stale, staleness
from synth_assets.assets.factory import key
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.partitions import cell_key
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from tests.conftest import QUICK
from tests.endpoint import Endpoint

FIRST, SECOND = "2026-11-20", "2026-11-21"
CELLS = ("negative", "positive")


class Looks:
    """The sensor, as the daemon asks it again and again."""

    def __init__(self, recipe: Recipe, instance: dg.DagsterInstance) -> None:
        self._recipe, self._instance, self._cursor = recipe, instance, None
        self._repository = build({recipe.name: recipe}).get_repository_def()

    def __call__(self) -> list[dict[str, object]]:
        """What it says of cells, which Dagster then knows."""
        sensor = self._repository.get_sensor_def("reviews_feedback")
        context = dg.build_sensor_context(
            self._instance, self._cursor, repository_def=self._repository, sensor_name=sensor.name
        )
        said = sensor.evaluate_tick(context)
        self._cursor = said.cursor or self._cursor
        for event in said.asset_events:
            self._instance.report_runless_asset_event(event)
        made = [event for event in said.asset_events if isinstance(event, dg.AssetMaterialization)]
        return [{name: of.value for name, of in event.metadata.items()} for event in made]

    def stale(self) -> list[str]:
        """The cells whose conditions of the second round the UI calls stale."""
        asset = key(self._recipe, "conditions")
        names = {cell: str(cell_key(SECOND, cell)) for cell in CELLS}
        assets = [*(recipe_definitions(self._recipe).assets or ())]
        known = staleness(self._instance, assets, {asset: [*names.values()]})
        return [cell for cell, name in names.items() if is_stale(known.get_status(asset, name))]


def test_an_edited_feedback_makes_the_conditions_of_its_cells_stale(
    project: Path, endpoint: Endpoint, edit
) -> None:
    recipe = load(edit("rows: 6", f"{QUICK}\nfeedback: {{rows: yield}}"))
    for round_ in (FIRST, SECOND):
        assert main(["run", "reviews", "--round", round_]) == 0
    file = recipe.feedback_file(FIRST)
    measured = file.read_text()
    with dagster_instance() as instance:
        looks = Looks(recipe, instance)
        assert (looks(), looks.stale()) == ([], [])
        file.write_text(measured + "# as it was\n")  # which says the same
        assert (looks(), looks.stale()) == ([], [])

        file.write_text(measured.replace("negative: 6", "negative: 8"))
        (said,) = looks()
        assert (said["cell"], said["rows"]) == ("negative", 8)
        assert "| negative | 8 " in str(said["asked"])
        assert looks.stale() == ["negative"]
        assert looks() == []
        file.write_text(measured.replace("negative: 6", "negatve: 8"))
        assert all("rows.negatve: unknown cell 'negatve'" in str(said["wrong"]) for said in looks())
        assert looks.stale() == [*CELLS]
        file.write_text(measured.replace("negative: 6", "negative: 8"))
        assert len(looks()) == 2
        assert looks.stale() == ["negative"]
    assert main(["run", "reviews", "--round", SECOND]) == 0
    assert main(["verify"]) == 0
    with dagster_instance() as instance:
        assert looks.stale() == []

        file.write_text(measured.replace("positive: 6", "positive: 5"))  # and is read before anybody looks
    assert main(["run", "reviews", "--round", SECOND]) == 0
    with dagster_instance() as instance:
        looks = Looks(recipe, instance)
        assert (looks(), looks.stale()) == ([], [])
        file.unlink()
        assert [(said["cell"], said["rows"]) for said in looks()] == [("positive", 6)]
        assert looks.stale() == ["positive"]
