"""A data home that older code made is one of today: all of it is there, nothing is stale or paid again.

`golden/home.tar.xz` has two rounds of a recipe with a chain of steps, values that a model listed, filters and
metrics that ask. It was made in another folder, with a model at an address where nobody answers any more: a
call would fail. It is never made again: what the code of today makes proves nothing.
"""

from __future__ import annotations

import json
import sqlite3
import tarfile
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.assets.code_location import recipe_definitions
from synth_assets.assets.dagster_internals import staleness
from synth_assets.assets.in_process import dagster_instance, note_plans
from synth_assets.cli import main
from synth_assets.recipe.load import load
from tests.conftest import settle

HOME = Path(__file__).parent / "golden" / "home.tar.xz"
ROUNDS = ["2026-11-20", "2026-11-21"]
CALLS = 93  # in its log


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the recipe and its home."""
    settle(tmp_path, monkeypatch)
    (tmp_path / "recipes" / "reviews.yaml").unlink()
    with tarfile.open(HOME) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def not_levelled(home: Path) -> Path:
    """The recipe with weights as they were by default."""
    path = home / "recipes" / "old.yaml"
    path.write_text(path.read_text("utf-8").replace("power: 2", "power: 2, levelled: false"), "utf-8")
    return path


def calls_in_log(home: Path) -> int:
    with sqlite3.connect(home / ".synth" / "calls.sqlite") as log:
        return log.execute("select count(*) from calls").fetchone()[0]


def planned(round_: str, capsys: pytest.CaptureFixture) -> tuple[set[str], dict[str, int]]:
    """The states of the plan's lines, and its totals."""
    capsys.readouterr()
    assert main(["plan", "old", "--round", round_, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    return {line["state"] for line in found["lines"]}, found["total"]


@pytest.mark.parametrize("round_", ROUNDS)
def test_nothing_of_it_is_stale_and_no_call_is_to_be_made(
    home: Path, round_: str, capsys: pytest.CaptureFixture
) -> None:
    not_levelled(home)
    states, total = planned(round_, capsys)
    assert states == {"unchanged"}
    assert total["calls"] == 0
    assert total["from_log"] > 40


def test_weights_are_levelled_by_now_which_costs_nothing(home: Path, capsys: pytest.CaptureFixture) -> None:
    capsys.readouterr()
    assert main(["plan", "old", "--round", ROUNDS[-1], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    stale = {line["stage"] for line in found["lines"] if line["state"] != "unchanged"}
    assert stale == {"weighted", "metrics"}
    assert found["total"]["calls"] == 0


def test_nothing_of_it_is_unsynced_in_the_ui(home: Path) -> None:
    """By Dagster's own lights, which do not know that a plan changes nothing."""
    assets = list(recipe_definitions(load(not_levelled(home))).assets or ())

    def unsynced(instance: dg.DagsterInstance) -> set[str]:
        found, resolver = set(), staleness(instance, assets)
        for asset in instance.all_asset_keys():
            for partition in instance.get_materialized_partitions(asset) or [None]:
                causes = resolver.get_stale_causes(asset, partition)
                found |= {f"{asset.path[-1]} {partition}: {cause.reason}" for cause in causes}
        return found

    with dagster_instance() as instance:
        assert {words.split(": ")[1] for words in unsynced(instance)} == {"has a new dependency on old/plan"}
        for _ in range(2):
            note_plans(instance)
            assert unsynced(instance) == set()


def test_a_run_of_its_last_round_makes_the_same_tables_without_a_call(
    home: Path, capsys: pytest.CaptureFixture
) -> None:
    before = tables(home)
    assert main(["run", "old", "--round", ROUNDS[-1]]) == 0, capsys.readouterr().err
    assert calls_in_log(home) == CALLS
    after = tables(home)
    floats = ("metrics/", "weighted/")  # of whatever processor; weights are levelled by now
    measured = {path for path in before if path.startswith(floats)}
    then = {path: table for path, table in before.items() if path not in measured}
    assert [p for p, table in then.items() if not after[p].select(table.column_names).equals(table)] == []
    new = ("calls/used_by=values", "weighted.parts/")
    assert set(after) - set(before) <= {path for path in after if path.startswith(new)}
    states, total = planned(ROUNDS[-1], capsys)
    assert (states, total["calls"]) == ({"unchanged"}, 0)


def tables(home: Path) -> dict[str, pa.Table]:
    lake = home / ".synth" / "lake" / "old"
    return {str(path.relative_to(lake)): pq.ParquetFile(path).read() for path in lake.rglob("part.parquet")}


def test_its_log_and_its_lake_are_whole(home: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["verify", "old"]) == 0, capsys.readouterr().out


def test_its_rows_can_be_asked_for_and_traced(home: Path, capsys: pytest.CaptureFixture) -> None:
    query = (
        "select row_id, calls.text from old.weighted join old.generations using (row_id) "
        "join old.calls using (call_id) where origin = 'synthetic' order by 1"
    )
    assert main(["sql", query, "--csv"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) > 10
    row_id = rows[0].partition(",")[0]
    assert main(["trace", row_id, "--json"]) == 0
    story = capsys.readouterr().out
    assert row_id in story
    assert "Write the review" in story  # its prompt
    assert main(["sql", "select sum(calls) from old.cost"]) == 0
    assert str(CALLS) in capsys.readouterr().out
