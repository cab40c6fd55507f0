"""What has nothing to do is left as it is, and said."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from synth_assets.assets.code_location import build
from synth_assets.assets.factory import key
from synth_assets.assets.in_process import dagster_instance
from synth_assets.assets.unchanged import LEFT, MADE_AT
from synth_assets.cli import main
from synth_assets.partitions import cell_key
from synth_assets.recipe.load import load
from tests.endpoint import Endpoint, various

FIRST, SECOND = "2026-11-21", "2026-11-22"
CELLS = ("conditions", "generations", "scores")
ROUNDS = ("filtered", "rejected", "labelled", "weighted", "metrics")
OF_CELLS = {f"{stage} {cell}|{SECOND}" for stage in CELLS for cell in ("negative", "positive")}
OF_ROUND = {f"{stage} {SECOND}" for stage in ROUNDS}


@pytest.fixture
def endpoint(endpoint: Endpoint) -> Endpoint:
    endpoint.say = various
    return endpoint


def times_made(stage: str, round_: str = SECOND) -> int:
    """How many times a partition (of a cell: the first) was made, and not only left as it is."""
    partition = cell_key(round_, "negative") if stage in CELLS else round_
    wanted = dg.AssetRecordsFilter(dg.AssetKey(["reviews", stage]), asset_partitions=[partition])
    with dagster_instance() as instance:
        records = instance.fetch_materializations(wanted, limit=100).records
    return len([record for record in records if MADE_AT not in record.asset_materialization.tags])


def run(capsys: pytest.CaptureFixture, *options: str) -> str:
    """What a run says on its way."""
    capsys.readouterr()
    assert main(["run", "reviews", *(options or ["--round", SECOND])]) == 0
    return capsys.readouterr().err


def plan_in_a_backfill(round_: str = SECOND) -> list[str]:
    """What the plan leaves as it is where a backfill of the whole round begins with it. Dagster makes what
    comes after a partition once that was materialized in the backfill: its last event is said again."""
    recipe = load(Path("recipes/reviews.yaml"))
    job = build({"reviews": recipe}).resolve_implicit_global_asset_job_def()
    assets = [key(recipe, stage) for stage in ("plan", *CELLS, *ROUNDS)]
    with dagster_instance() as instance:
        asked = {"backfill_id": uuid4().hex, "status": BulkActionStatus.REQUESTED, "from_failure": False}
        backfill = PartitionBackfill(**asked, tags={}, backfill_timestamp=time.time(), asset_selection=assets)
        instance.add_backfill(backfill)
        done = job.execute_in_process(
            instance=instance,
            asset_selection=assets[:1],
            partition_key=round_,
            tags={"dagster/backfill": backfill.backfill_id},
        )
        made = [event.materialization for event in done.get_asset_materialization_events()]
    assert made.pop().asset_key == assets[0]
    return [f"{each.asset_key.path[-1]} {each.partition}" for each in made]


def found_last(check: str) -> object:
    """What the metadata of the metrics say of having been left; their check was said again too."""
    metrics = dg.AssetKey(["reviews", "metrics"])
    with dagster_instance() as instance:
        event = instance.get_latest_materialization_event(metrics)
        (said, _) = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(metrics, check), limit=9
        )
    assert said.run_id == event.run_id
    assert event.asset_materialization.metadata["dagster/row_count"].value > 0
    return event.asset_materialization.metadata["unchanged"].value


def test_what_an_edit_does_not_concern_is_left_as_it_is(
    endpoint: Endpoint, edit, project: Path, capsys: pytest.CaptureFixture
) -> None:
    assert "unchanged" not in run(capsys)
    with dagster_instance() as instance:
        runs = instance.get_runs()
        told = instance.get_materialized_partitions(dg.AssetKey(["reviews", "feedback"]))
        assert instance.get_materialized_partitions(dg.AssetKey(["reviews", "plan"])) == {SECOND}
    places = {run.remote_job_origin.location_name for run in runs}
    assert places == {"synth_assets"}  # whose timeline has them
    assert told == {cell_key(SECOND, cell) for cell in ("negative", "positive")}
    said = run(capsys)
    assert f"reviews {SECOND} negative: conditions, generations, scores unchanged" in said
    assert f"reviews {SECOND}: filtered, rejected, labelled, weighted, metrics unchanged" in said
    with dagster_instance() as instance:
        assert len(instance.get_runs()) == len(runs)
    assert {*plan_in_a_backfill()} == OF_CELLS | OF_ROUND
    assert found_last("better_than_seeds") == LEFT

    edit("between: [2, 40]", "between: [2, 30]")
    assert {*plan_in_a_backfill()} == OF_CELLS
    said = run(capsys)
    assert f"{SECOND} positive: conditions, generations, scores unchanged" in said
    assert {stage: times_made(stage) for stage in CELLS} == dict.fromkeys(CELLS, 1)
    assert times_made("filtered") == times_made("metrics") == 2

    edit("witty", "dry")
    assert "seeds unchanged" in run(capsys)
    assert times_made("conditions") == times_made("generations") == 2

    (project / ".synth" / "lake" / "reviews" / "rejected" / f"round={SECOND}" / "part.parquet").unlink()
    assert "filtered" not in [line for line in run(capsys).splitlines() if "unchanged" in line][-1]
    assert times_made("rejected") == times_made("filtered")  # one step makes both


def test_a_round_looks_at_all_again_where_one_before_it_was_made_since(
    endpoint: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    run(capsys, "--rounds", f"{FIRST}..{SECOND}")
    assert f"metrics {FIRST}" in plan_in_a_backfill(FIRST)  # is no reason to make the round after it again
    assert run(capsys, "--rounds", f"{FIRST}..{SECOND}").count("metrics unchanged") == 2
    run(capsys, "--round", FIRST, "--rows", "7")
    asked = len(endpoint.requests)
    assert "metrics unchanged" not in run(capsys)
    assert times_made("filtered") == 2
    assert len(endpoint.requests) == asked
