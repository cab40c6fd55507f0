"""Recipes -> Definitions, nothing else. This is the code location that Dagster loads."""

from collections.abc import Mapping

import dagster as dg

from resources.call_log import CallLog
from resources.encoder import MiniLM
from resources.home import call_log, home, recipes
from resources.lake import Lake
from resources.language_model import LanguageModel
from resources.warehouse import Warehouse
from synth_assets.assets import recipe_definitions
from synth_assets.assets.alerts import alert_on_failure
from synth_assets.assets.lake_io import LakeIOManager
from synth_assets.recipe import Recipe, load


def build(found: Mapping[str, Recipe]) -> dg.Definitions:
    """Definitions of these recipes, on the data home of this process."""
    lake = Lake(home() / "lake")
    return dg.Definitions.merge(
        dg.Definitions(
            resources={
                "io_manager": LakeIOManager(
                    lake, Warehouse(home() / "warehouse.duckdb", lake.root), found.__getitem__
                ),
                "lake": lake,
                "language_model": LanguageModel(CallLog(call_log()), home() / "server"),
                "encoder": MiniLM(),
            },
            sensors=[alert_on_failure()],
            executor=dg.in_process_executor,  # a run is one partition: its steps share the loaded encoder
        ),
        *map(recipe_definitions, found.values()),
    )


@dg.definitions
def defs() -> dg.Definitions:
    return build({path.stem: load(path) for path in sorted(recipes().glob("*.yaml"))})
