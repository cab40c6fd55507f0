"""Recipes in somebody's own Dagster project: merged with other definitions, each with its own IO manager."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

import synth_assets as synth
from synth_assets.assets.factory import column_schema, key
from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from tests.assets.test_round import ROUND
from tests.conftest import QUICK
from tests.endpoint import Endpoint

THEIRS = """
import dagster as dg

shelf = dg.FilesystemIOManager(base_dir="shelf")
"""
PROJECT = """
import dagster as dg
import resources
import synth_assets as synth

@dg.asset(group_name="ours")
def prices() -> int:
    return 7

@dg.asset(deps=[["ml", "reviews", "weighted"]], group_name="ours")
def doubled(prices: int) -> int:
    return 2 * prices

defs = dg.Definitions.merge(
    dg.Definitions(
        assets=[prices, doubled], resources={"io_manager": resources.shelf}, executor=dg.in_process_executor
    ),
    synth.definitions(home="data", key_prefix="ml", group="ours"),
)
"""


def dagster(project: Path, *arguments: str) -> None:
    """Run a command of Dagster on the project's own instance."""
    (project / "own").mkdir(exist_ok=True)
    command = [str(Path(sys.executable).with_name("dagster")), *arguments, "-f", "project.py"]
    subprocess.run(command, env={**os.environ, "DAGSTER_HOME": str(project / "own")}, check=True)


@pytest.mark.slow
def test_a_round_is_made_beside_the_assets_of_others(project: Path, endpoint: Endpoint, edit) -> None:
    """Who have a module `resources`, an IO manager, an executor and a group of the same name."""
    edit("rows: 6", QUICK)
    (project / "resources.py").write_text(THEIRS, encoding="utf-8")
    (project / "project.py").write_text(PROJECT, encoding="utf-8")
    tags = json.dumps({"dagster/partition": ROUND})
    dagster(project, "job", "execute", "-j", "reviews_round", "--tags", tags)
    dagster(project, "asset", "materialize", "--select", "prices,doubled")
    assert pickle.loads((project / "shelf" / "doubled").read_bytes()) == 14
    assert {path.name for path in (project / "shelf").iterdir()} == {"prices", "doubled"}
    assert len(endpoint.requests) == 12
    lake = project / "data" / "lake" / "reviews"
    assert len(pd.read_parquet(lake / "filtered" / f"round={ROUND}" / "part.parquet")) == 12
    with dg.DagsterInstance.from_config(str(project / "own")) as instance:
        made = instance.get_materialized_partitions(dg.AssetKey(["ml", "reviews", "weighted"]))
        assert made == {ROUND}


def test_nothing_of_it_touches_what_others_have(project: Path) -> None:
    made = synth.definitions(key_prefix=["ml", "sets"], group="ours")
    assert made.executor is None
    assert all(key.startswith("synth_") for key in made.resources or {})
    graph = made.resolve_asset_graph()
    assert {key.path[:2] == ["ml", "sets"] for key in graph.get_all_asset_keys()} == {True}
    assert {graph.get(key).group_name for key in graph.get_all_asset_keys()} == {"ours"}
    # of what must go together, Dagster 1.13.27 takes equal rounds for different ones in some processes
    assert all(graph.get(key).execution_set_asset_keys == {key} for key in graph.get_all_asset_keys())
    (sensor,) = (s for s in made.sensors or () if isinstance(s, dg.AutomationConditionSensorDefinition))
    other = dg.AssetSpec("other", group_name="ours")
    both = dg.Definitions.merge(made, dg.Definitions(assets=[other])).resolve_asset_graph()
    assert both.get_all_asset_keys() - sensor.asset_selection.resolve(both) == {other.key}


def test_without_automation_nothing_runs_by_itself(project: Path) -> None:
    made = synth.definitions("reviews", automation=False)
    assert not made.sensors
    assert not made.schedules
    assert {spec.automation_condition for spec in made.resolve_all_asset_specs()} == {None}


def test_two_of_them_can_be_merged_and_one_recipe_is_there_once(project: Path) -> None:
    file = project / "recipes" / "reviews.yaml"
    other = file.rename(project / "more.yaml")
    file.write_bytes(other.read_bytes())
    both = dg.Definitions.merge(synth.definitions("reviews"), synth.definitions([other]))
    assert {key.path[0] for key in both.resolve_asset_graph().get_all_asset_keys()} == {"reviews", "more"}
    with pytest.raises(UserError, match="reviews is there twice: name each recipe once"):
        synth.definitions(["reviews", project / "recipes"])
    with pytest.raises(UserError, match=r"unknown recipe 'review'. Did you mean 'reviews'"):
        synth.definitions("review")


def test_the_commands_know_a_projects_key_prefix(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project / "recipes" / "reviews.yaml"
    assert key(load(path), "seeds") == dg.AssetKey(["reviews", "seeds"])
    monkeypatch.setenv("SYNTH_KEY_PREFIX", "team/ml")
    assert key(load(path), "seeds") == dg.AssetKey(["team", "ml", "reviews", "seeds"])
    assert key(load(path).under(["own"]), "seeds") == dg.AssetKey(["own", "reviews", "seeds"])


def test_a_column_of_the_recipes_own_has_no_meaning_of_the_platforms(project: Path, edit) -> None:
    """`kind` is how a person decided, where it is a column of the reviews."""
    recipe = load(edit("tone: [", "kind: ["))
    meanings = {column.name: column.description for column in column_schema(recipe, "conditions").columns}
    assert (meanings["kind"], meanings["round"]) == (None, "day of the batch")
    assert {c.name: c.description for c in column_schema(recipe, "reviews").columns}["kind"]
