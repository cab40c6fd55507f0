"""All recipes of the recipes' folder as the code location that `workspace.yaml` and `dg` load."""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from synth_assets.assets.alerts import alert_on_failure
from synth_assets.assets.code_location import build
from synth_assets.assets.factory import others
from synth_assets.assets.nightly import switched_on
from synth_assets.core.errors import UserError
from synth_assets.core.identity import tagged_hash
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.home import recipes

CHECK = "is_right"  # of a recipe that is wrong


@dg.definitions
def defs() -> dg.Definitions:
    """What any project could have of them, and what is for the whole of this one. A recipe that is wrong
    takes nothing of the others with it: it is an asset that says what is wrong."""
    found, wrong = list[Recipe](), dict[str, str]()
    made, scheduled = [build({})], switched_on()
    for path in sorted(recipes().glob("*.yaml")):
        try:
            recipe = load(path)
            made.append(build({recipe.name: recipe}, scheduled))
            found.append(recipe)
        except UserError as error:
            wrong[path.stem] = str(error)
        except Exception as error:  # a method of one's own may raise anything
            wrong[path.stem] = f"{path}: {type(error).__name__}: {error}"
    wrong = {_as_name(n): w.encode("utf-8", "backslashreplace").decode() for n, w in wrong.items()}
    own = dg.Definitions(
        assets=others(*found),
        sensors=[alert_on_failure()],
        executor=dg.in_process_executor,  # a run is one partition: its steps share the loaded encoder
    )
    _tell(wrong)
    return dg.Definitions.merge(*made, own, *(_shown(name, words) for name, words in wrong.items()))


def _as_name(stem: str) -> str:
    """The name of a file as assets have it, also where no recipe can be called so; of each another one."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", stem)
    return name if name == stem else f"{name}_{tagged_hash('file/1', stem)[:6]}"


def _shown(name: str, words: str) -> dg.Definitions:
    """A recipe that is wrong, as the UI shows it."""
    asset = dg.AssetKey([name, "recipe"])
    says = f"It has no other assets until it is mended:\n\n    {words}\n\nThen press Reload definitions."

    @dg.asset_check(asset=asset, name=CHECK, description="Whether the recipe can be read.", blocking=True)
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description=words)

    return dg.Definitions(
        assets=[dg.AssetSpec(asset, group_name=name, description=says, kinds={"yaml"})], asset_checks=[check]
    )


def _tell(wrong: Mapping[str, str]) -> None:
    """Say which recipes are wrong: in the log at each load, and as a red check, once."""
    log = logging.getLogger("dagster")
    for words in wrong.values():
        log.error("a recipe is left out: %s", words)
    if not wrong or not Path(os.environ.get("DAGSTER_HOME") or "nowhere").is_dir():
        return
    try:
        _note(wrong)
    except Exception as error:  # a full disk, a file of Dagster's that is damaged: the other recipes load
        log.error("their red checks cannot be written: %s", error)


def _note(wrong: Mapping[str, str]) -> None:
    with dg.DagsterInstance.get() as instance:
        for name, words in wrong.items():
            asset = dg.AssetKey([name, "recipe"])
            key = dg.AssetCheckKey(asset, CHECK)
            said = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
            event = said[0].event.get_dagster_event() if said and said[0].event else None
            if event is None or event.asset_check_evaluation_data.description != words:
                red = dg.AssetCheckEvaluation(asset, CHECK, passed=False, metadata={}, description=words)
                instance.report_runless_asset_event(red)
