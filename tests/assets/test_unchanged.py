"""What has nothing to do is left as it is, and said."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.partitions import cell_key
from tests.endpoint import Endpoint, various

FIRST, SECOND = "2026-11-21", "2026-11-22"
CELLS = ("conditions", "generations", "scores")


@pytest.fixture
def endpoint(endpoint: Endpoint) -> Endpoint:
    endpoint.say = various
    return endpoint


def times_made(stage: str, round_: str = SECOND) -> int:
    """How many times a partition (of a cell: the first) was made."""
    partition = cell_key(round_, "negative") if stage in CELLS else round_
    wanted = dg.AssetRecordsFilter(dg.AssetKey(["reviews", stage]), asset_partitions=[partition])
    with dagster_instance() as instance:
        return len(instance.fetch_materializations(wanted, limit=100).records)


def run(capsys: pytest.CaptureFixture, *options: str) -> str:
    """What a run says on its way."""
    capsys.readouterr()
    assert main(["run", "reviews", *(options or ["--round", SECOND])]) == 0
    return capsys.readouterr().err


def test_what_an_edit_does_not_concern_is_left_as_it_is(
    endpoint: Endpoint, edit, project: Path, capsys: pytest.CaptureFixture
) -> None:
    assert "unchanged" not in run(capsys)
    with dagster_instance() as instance:
        runs = instance.get_runs()
        told = instance.get_materialized_partitions(dg.AssetKey(["reviews", "feedback"]))
    places = {run.remote_job_origin.location_name for run in runs}
    assert places == {"synth_assets"}  # whose timeline has them
    assert told == {cell_key(SECOND, cell) for cell in ("negative", "positive")}
    said = run(capsys)
    assert f"reviews {SECOND} negative: conditions, generations, scores unchanged" in said
    assert f"reviews {SECOND}: filtered, rejected, labelled, weighted, metrics unchanged" in said
    with dagster_instance() as instance:
        assert len(instance.get_runs()) == len(runs)

    edit("between: [2, 40]", "between: [2, 30]")
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
    assert run(capsys, "--rounds", f"{FIRST}..{SECOND}").count("metrics unchanged") == 2
    run(capsys, "--round", FIRST, "--rows", "7")
    asked = len(endpoint.requests)
    assert "metrics unchanged" not in run(capsys)
    assert times_made("filtered") == 2
    assert len(endpoint.requests) == asked
