"""All recipes of the recipes' folder as the code location that `workspace.yaml` and `dg` load."""

import dagster as dg

from synth_assets.assets.alerts import alert_on_failure
from synth_assets.assets.code_location import definitions, loaded
from synth_assets.assets.factory import others
from synth_assets.resources.home import recipes


@dg.definitions
def defs() -> dg.Definitions:
    """What any project could have of them, and what is for the whole of this one."""
    found = loaded(recipes())
    own = dg.Definitions(
        assets=others(*found),
        sensors=[alert_on_failure()],
        executor=dg.in_process_executor,  # a run is one partition: its steps share the loaded encoder
    )
    return dg.Definitions.merge(definitions(found), own)
