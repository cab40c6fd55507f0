"""synth-assets: synthetic text data sets as partitioned Dagster assets.

import synth_assets as synth
bank = synth.load("bank")
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth_assets.notebook import DataSet


def load(recipe: str | Path | Mapping[str, Any], name: str | None = None, replace: bool = False) -> DataSet:
    """The data set of a recipe: the name of one among the recipes, a YAML file, YAML text, or a mapping; see
    `synth_assets.notebook.load`."""
    from synth_assets import notebook

    return notebook.load(recipe, name, replace)
