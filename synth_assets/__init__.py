"""synth-assets: synthetic text data sets as partitioned Dagster assets.

import synth_assets as synth
bank = synth.load("bank")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.core.errors import UserError as UserError

if TYPE_CHECKING:
    import dagster as dg

    from synth_assets.assets.component import SynthRecipes as SynthRecipes
    from synth_assets.notebook import DataSet


def load(recipe: str | Path | Mapping[str, Any], name: str | None = None, replace: bool = False) -> DataSet:
    """The data set of a recipe: the name of one among the recipes, a YAML file, YAML text, or a mapping; see
    `synth_assets.notebook.load`."""
    from synth_assets import notebook

    return notebook.load(recipe, name, replace)


def definitions(
    recipes: str | Path | Iterable[str | Path] | Mapping[str, Mapping[str, Any]] | None = None,
    home: str | Path | None = None,
    key_prefix: str | Sequence[str] = (),
    group: str | None = None,
    automation: bool = True,
) -> dg.Definitions:
    """Recipes as Dagster definitions, to be merged with others: `dg.Definitions.merge(mine, ...)`.

    `recipes`: names, files or folders, or a mapping from names to whole recipes; by default all of the
    recipes' folder. `home`: where rows and calls are kept, one folder a process, by default `$SYNTH_HOME` or
    `.synth`. `key_prefix`: what the assets' keys begin with. `group`: of the assets, by default the recipe's
    name. `automation`: whether anything runs by itself (schedules, sensors, automation conditions). UserError
    for a recipe that is wrong.

    Resources have keys that begin with `synth_`; there is no executor, and no sensor looks at other assets.
    """
    from synth_assets.assets.code_location import definitions as made

    return made(recipes, home, key_prefix, group, automation)


def __getattr__(name: str) -> Any:
    """The component is imported when it is asked for: `import synth_assets` loads no Dagster."""
    if name != "SynthRecipes":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from synth_assets.assets.component import SynthRecipes

    return SynthRecipes


def __dir__() -> list[str]:
    return [*globals(), "SynthRecipes"]  # where Dagster looks for components
