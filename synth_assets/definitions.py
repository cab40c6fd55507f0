"""Recipes -> Definitions, nothing else. This is the code location that Dagster loads."""

import dagster as dg

from synth_assets.assets.code_location import build
from synth_assets.recipe.load import load
from synth_assets.resources.home import recipes


@dg.definitions
def defs() -> dg.Definitions:
    """All recipes of the recipes' folder."""
    return build({path.stem: load(path) for path in sorted(recipes().glob("*.yaml"))})
