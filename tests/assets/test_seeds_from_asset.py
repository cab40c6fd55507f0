"""Seeds that another asset of the user's project hands over."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa
import pytest

import synth_assets as synth
from synth_assets.assets.code_location import stage_assets
from synth_assets.assets.factory import key
from synth_assets.assets.in_process import dagster_instance
from synth_assets.assets.rounds import World, make
from synth_assets.cli import main
from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.seeds import Seeds
from synth_assets.resources import home
from synth_assets.stages.seeds import handed, seed_rows
from tests.assets.test_round import ROUND
from tests.conftest import SEEDS

ASSET = dg.AssetKey(["my", "table"])


@dg.asset(key=ASSET)
def table() -> pd.DataFrame:
    return pd.read_csv("seeds.csv")


@pytest.fixture
def recipe(project: Path, edit) -> Recipe:
    return load(edit(f"file: {project}/seeds.csv", "asset: my/table"))


def theirs() -> dg.Definitions:
    own = dg.Definitions(assets=[table], resources={"io_manager": dg.FilesystemIOManager(base_dir="shelf")})
    return dg.Definitions.merge(own, synth.definitions())


def materialize(instance: dg.DagsterInstance) -> None:
    job = theirs().resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance, asset_selection=[ASSET]).success


def a_round(recipe: Recipe, instance: dg.DagsterInstance) -> None:
    """As the job reviews_round makes it."""
    job = theirs().resolve_implicit_global_asset_job_def
    given = home.lake(), home.language_model(), home.encoder()
    make(recipe, ROUND, World(instance, job, stage_assets(recipe), *given, location="theirs", say=print))


def made(recipe: Recipe, instance: dg.DagsterInstance) -> dict[str, str]:
    """Stage -> the run that made it last."""
    found = {}
    for stage in ("seeds", "filtered", "metrics"):
        event = instance.get_latest_materialization_event(key(recipe, stage))
        assert event is not None
        found[stage] = event.run_id
    return found


def test_seeds_follow_an_asset_and_what_rests_on_them_only_other_rows(
    project: Path, endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    of_file = seed_rows(load(project / "recipes" / "reviews.yaml"))
    recipe = load(edit(f"file: {project}/seeds.csv", "asset: my/table"))
    with dagster_instance() as instance:
        materialize(instance)
        a_round(recipe, instance)
        assert seed_rows(recipe, home.lake()).equals(of_file)  # the same ids and splits
        assert len(endpoint.requests) == 12
        first = made(recipe, instance)
        a_round(recipe, instance)
        assert made(recipe, instance) == first
        materialize(instance)  # the same rows
        a_round(recipe, instance)
        again = made(recipe, instance)
        assert again["seeds"] != first["seeds"]
        assert {**again, "seeds": ""} == {**first, "seeds": ""}
        (project / "seeds.csv").write_text(SEEDS.replace("two sisters", "three sisters"), encoding="utf-8")
        materialize(instance)
        a_round(recipe, instance)
        assert made(recipe, instance)["metrics"] != first["metrics"]
        assert "a warm and clever story about three sisters" in set(seed_rows(recipe, home.lake())["text"])
    capsys.readouterr()
    assert main(["check", "reviews"]) == 0  # by the rows of the last time
    assert main(["run", "reviews", "--round", ROUND]) == 2
    assert "`dg launch --assets reviews/seeds`" in capsys.readouterr().err


def test_outside_its_project_the_way_in_is_said(recipe: Recipe, capsys: pytest.CaptureFixture) -> None:
    for command in (["check", "reviews"], ["plan", "reviews"], ["run", "reviews"]):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert "the rows of my/table are to be had only in the Dagster project that it is in" in error


def test_in_another_code_location_they_say_so_too(recipe: Recipe) -> None:
    from synth_assets.code_location import defs

    job = defs().resolve_implicit_global_asset_job_def()
    with dagster_instance() as instance, pytest.raises(UserError, match="are to be had only in the Dagster"):
        job.execute_in_process(instance=instance, asset_selection=[key(recipe, "seeds")])


def test_seeds_wait_for_their_asset_and_follow_it(recipe: Recipe) -> None:
    definitions, seeds = theirs(), key(recipe, "seeds")
    with dagster_instance() as instance:
        tick = dg.evaluate_automation_conditions(definitions, instance)
        assert tick.get_num_requested(seeds) == 0
        for version in ("1", "2"):
            tags = {"dagster/data_version": version}
            instance.report_runless_asset_event(dg.AssetMaterialization(ASSET, tags=tags))
            tick = dg.evaluate_automation_conditions(definitions, instance, cursor=tick.cursor)
            assert tick.get_num_requested(seeds) == 1
            instance.report_runless_asset_event(dg.AssetMaterialization(seeds))
            tick = dg.evaluate_automation_conditions(definitions, instance, cursor=tick.cursor)
            assert tick.get_num_requested(seeds) == 0


def test_an_assets_value_may_be_a_table_of_any_kind_or_a_file(tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": ["good", "bad"], "label": [1, 0]})
    rows.to_parquet(tmp_path / "rows.parquet")
    relation, spec = duckdb.from_df(rows), Seeds(asset="my/table", splits={"test": 0})
    for value in (
        rows,
        pa.Table.from_pandas(rows),
        relation,
        pa.Table.from_pandas(rows).to_reader(),
        tmp_path / "rows.parquet",
    ):
        made = handed(value, spec, list(rows))
        assert made.reset_index(drop=True)[list(rows)].equals(rows)  # a file's rows have their places
    parts = {"2026-11-20": rows.head(1), "2026-11-21": rows.tail(1)}
    assert handed(parts, spec, list(rows)).equals(rows)
    with pytest.raises(UserError, match="my/table: its value is a int, not a DataFrame"):
        handed(7, spec, list(rows))


def test_rows_come_from_one_place(project: Path, edit) -> None:
    path = edit("seeds: {", "seeds: {asset: my/table, ")
    with pytest.raises(UserError, match="from a `file` or from an `asset`: leave one of them out"):
        load(path)
