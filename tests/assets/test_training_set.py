"""The training set as one asset, for whatever trains on it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

import synth_assets as synth
from synth_assets.assets import rounds
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.core.errors import UserError
from tests.assets.test_round import ROUND

FIRST = "2026-11-20"
KEY = dg.AssetKey(["reviews", "training_set"])
TRAINING_SET = {"training_set": dg.AssetIn(KEY)}


@dg.asset(ins=TRAINING_SET)
def classifier(training_set: pd.DataFrame) -> int:
    return len(training_set)


@dg.asset(ins=TRAINING_SET)
def uploaded(training_set: Path) -> int:
    return pq.read_metadata(training_set).num_rows


@dg.asset(ins=TRAINING_SET)
def counted(training_set: duckdb.DuckDBPyRelation) -> int:
    return training_set.aggregate("count(*)").fetchall()[0][0]


def made() -> dict[str, str]:
    with dagster_instance() as instance:
        event = instance.get_latest_materialization_event(KEY)
    assert event is not None
    assert event.asset_materialization
    assert event.asset_materialization.partition is None
    return {**event.asset_materialization.tags, "round": event.asset_materialization.metadata["round"].value}


def test_a_round_hands_the_training_set_over_and_others_load_it_as_they_like(
    project: Path, endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "BESIDE", ("training_set",))
    assert main(["run", "reviews", "--round", ROUND]) == 0
    first = made()
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert made() == first  # not made again
    assert main(["run", "reviews", "--round", FIRST]) == 0
    assert made()["round"] == ROUND  # though an earlier round was made since
    own = dg.Definitions(assets=[classifier, uploaded, counted], resources={"io_manager": dg.mem_io_manager})
    job = dg.Definitions.merge(own, synth.definitions()).resolve_implicit_global_asset_job_def()
    with dagster_instance() as instance:
        done = job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(n) for n in ("classifier", "uploaded", "counted")]
        )
    assert [done.output_for_node(name) for name in ("classifier", "uploaded", "counted")] == [12, 12, 12]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "BESIDE", ())
        assert main(["run", "reviews", "--round", ROUND, "--rows", "8"]) == 0
    assert made() == first  # which one sees in the version
    assert main(["run", "reviews", "--round", ROUND, "--rows", "8"]) == 0
    assert made()["dagster/data_version"] != first["dagster/data_version"]


def test_it_follows_the_rows_of_any_round_and_waits_for_no_other(project: Path) -> None:
    definitions = synth.definitions()
    with dagster_instance() as instance:
        tick = dg.evaluate_automation_conditions(definitions, instance)
        assert tick.get_num_requested(KEY) == 0
        instance.report_runless_asset_event(
            dg.AssetMaterialization(dg.AssetKey(["reviews", "weighted"]), partition=FIRST)
        )
        tick = dg.evaluate_automation_conditions(definitions, instance, cursor=tick.cursor)
        assert tick.get_num_requested(KEY) == 1


def test_before_any_round_the_fix_is_said(project: Path) -> None:
    job = synth.definitions().resolve_implicit_global_asset_job_def()
    with dagster_instance() as instance, pytest.raises(UserError, match="has no rows to train on yet"):
        job.execute_in_process(instance=instance, asset_selection=[KEY])
