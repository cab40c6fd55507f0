"""Recipes -> Definitions, nothing else. This is the code location that Dagster loads."""

import dagster as dg

from synth_assets.assets.code_location import build
from synth_assets.assets.nightly import switched_on
from synth_assets.recipe.load import load
from synth_assets.resources.home import recipes


@dg.definitions
def defs() -> dg.Definitions:
    """All recipes of the recipes' folder."""
    found = {path.stem: load(path) for path in sorted(recipes().glob("*.yaml"))}
    return build(found, switched_on() if any(recipe.schedule for recipe in found.values()) else ())
