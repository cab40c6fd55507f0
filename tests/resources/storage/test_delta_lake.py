"""The lake in an object store: a round of it, what is read beside writers, and what happens to objects."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.cli import main
from synth_assets.core.content import content_hash
from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.report import one_round
from synth_assets.report.views import show
from synth_assets.resources import home
from synth_assets.resources.storage import sources
from synth_assets.resources.storage.delta_lake import DeltaLake
from synth_assets.resources.storage.delta_sql import ready
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.resources.storage.lake import FILE
from synth_assets.resources.storage.objects import Objects
from synth_assets.resources.storage.parquet import fit
from synth_assets.resources.storage.warehouse import Warehouse
from synth_assets.stages import tables
from tests import azure
from tests.conftest import QUICK
from tests.endpoint import Endpoint
from tests.postgres import PASSWORD
from tests.s3 import SECRET

deltalake = pytest.importorskip("deltalake", reason="no deltalake: pip install 'synth-assets[cluster]'")
CommitFailedError = deltalake.exceptions.CommitFailedError
SECRETS = (SECRET, azure.KEY, PASSWORD)
ROUND = "2026-11-21"
PLACE = {"round": ROUND, "cell": "a/b é 100%"}
CELLS = ['it\'s "q" \\ {x}', "日本 é", "a%2F/b 100%", " s=y&z#? ", "null\n.."]


@pytest.fixture
def lake(store: str, tmp_path: Path) -> DeltaLake:
    return DeltaLake(store, tmp_path / "lake")


def rows(n: int, first: int = 0) -> pa.Table:
    return pa.table(
        {
            "row_id": [f"row {i}" for i in range(first, first + n)],
            "n": pa.array([None if i % 3 else i for i in range(n)], pa.int64()),
            "ids": pa.array([[str(i)] * (i % 3) for i in range(n)], pa.list_(pa.string())),
            "said": pa.array(
                [{"a": i / 2, "b": None} for i in range(n)], pa.struct({"a": pa.float64(), "b": pa.string()})
            ),
        }
    ).replace_schema_metadata({"kept": "it is"})


def test_what_is_written_is_read_as_from_a_folder(lake: DeltaLake, tmp_path: Path) -> None:
    made, folder, began = rows(25_000), FolderLake(tmp_path / "folder"), datetime.now(UTC)
    for each in (folder, lake):
        each.write("r", "s", PLACE, iter([made.slice(0, 10), made.slice(10)]))
        assert timedelta(seconds=-0.1) <= each.modified("r", "s", PLACE) - began < timedelta(minutes=5)
        file = each.file("r", "s", PLACE)
        assert (file.name, pq.ParquetFile(file).read()) == (FILE, each.table("r", "s", PLACE))
    kept = folder.table("r", "s", PLACE)
    assert lake.table("r", "s", PLACE).equals(kept, check_metadata=True)
    assert lake.table("r", "s", PLACE, ["n", "no"]).equals(kept.select(["n"]))
    assert lake.read("r", "s", [PLACE], made.schema).equals(folder.read("r", "s", [PLACE], made.schema))
    schema = pa.schema([*made.schema, ("later", pa.string())])
    parts = list(lake.stream("r", "s", PLACE, schema))
    assert pa.concat_tables(parts).drop(["later"]).equals(made)
    assert len(parts) > 1
    assert lake.partitions("r", "s", ["round", "cell"], round=ROUND) == [PLACE]
    assert lake.size("r", "s", PLACE)[0] == 25_000
    assert lake.is_as_written("r", "s", PLACE)

    lake.write("r", "s", PLACE, rows(3).slice(0, 0))  # a partition without rows is one
    assert lake.has("r", "s", PLACE)
    assert lake.table("r", "s", PLACE).num_rows == 0
    lake.write("r", "seeds", {}, rows(3))
    folder.write("r", "seeds", {}, rows(3))
    for each in (folder, lake):
        assert [*each.everything("r")] == [("s", PLACE), ("seeds", {})]
        assert [*each.everything("r", "s")] == [("s", PLACE)]
        each.remove("r", "s", PLACE)
        assert not each.has("r", "s", PLACE)
        for asked in (each.table, each.modified):
            with pytest.raises(UserError, match="has no rows for round 2026-11-21, cell a/b é 100% yet"):
                asked("r", "s", PLACE)


def test_a_column_of_another_type_is_refused_and_a_new_one_is_added(lake: DeltaLake) -> None:
    lake.write("r", "s", PLACE, rows(3))
    other = {**PLACE, "cell": "other"}
    with pytest.raises(UserError, match=r"the column n is string now, and long in the rounds at (s3|az)://"):
        lake.write("r", "s", other, pa.table({"n": ["1"]}))
    lake.write("r", "s", other, rows(2).append_column("more", pa.array([True, None])))
    assert lake.table("r", "s", other)["more"].to_pylist() == [True, None]
    with pytest.raises(UserError, match=r"the column N is called n in the rounds at (s3|az)://"):
        lake.write("r", "s", other, pa.table({"N": [1]}))
    assert lake.read("r", "s", [PLACE, other], rows(1).schema)["row_id"].tolist() == [
        "row 0",
        "row 1",
        "row 2",
        "row 0",
        "row 1",
    ]


def test_a_label_that_came_later_is_unknown_in_older_rows(lake: DeltaLake) -> None:
    """Probabilities are a struct with a field a label, which may be in another order, too."""
    fields = (["a", "b"], ["a", "b", "c"], ["c", "a"])
    places = [{**PLACE, "cell": str(i)} for i in range(3)]
    for place, names in zip(places, fields, strict=True):
        lake.write("r", "s", place, pa.table({"said": [dict.fromkeys(names, 1.0)]}))
    with pytest.raises(UserError, match="the column b is string now, and double"):
        lake.write("r", "s", PLACE, pa.table({"said": [{"d": 1.0, "b": "1"}]}))
    filled = [
        {"a": 1.0, "b": 1.0, "c": None},
        dict.fromkeys("abc", 1.0),
        {"a": 1.0, "b": None, "c": 1.0},
    ]
    schema = pa.schema({"said": pa.struct(dict.fromkeys("abc", pa.float64()))})
    assert lake.read("r", "s", places, schema)["said"].tolist() == filled
    with duckdb.connect() as connection:
        ready(connection, lake.where)
        shown = connection.execute(f"select said from ({lake.select('r', 's')}) order by cell").fetchall()
    assert [said for (said,) in shown] == filled


def test_a_store_that_breaks_off_has_no_damage(lake: DeltaLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is damaged is made again: an error of the network must not look so."""
    lake.write("r", "s", PLACE, rows(3))

    def breaks_off(objects: Objects, name: str) -> Any:
        raise OSError("AWS Error NETWORK_CONNECTION during GetObject operation")

    monkeypatch.setattr(Objects, "opened", breaks_off)
    with pytest.raises(OSError, match="NETWORK_CONNECTION"):
        lake.table("r", "s", PLACE)


def test_what_nobody_can_read_any_more_goes_after_a_week(tmp_path: Path) -> None:
    """And what a killed process put there without a commit; not what was replaced today, however old."""
    lake = DeltaLake(f"file://{tmp_path}/store", tmp_path / "lake")
    lake.write("r", "s", PLACE, version(0))
    (old,) = (tmp_path / "store" / "r" / "s").glob("*.parquet")
    lake.write("r", "s", PLACE, version(1))
    left = old.with_name("left.parquet")
    young = old.with_name("young.parquet")
    for path in (left, young):
        path.write_bytes(b"cut")
    for path in (old, left):
        os.utime(path, (time.time() - 20 * 86_400,) * 2)
    lake.tidy()
    assert (old.exists(), left.exists(), young.exists()) == (True, False, True)
    assert lake.table("r", "s", PLACE) == version(1)


@pytest.mark.parametrize(
    "where", ["s3://", "s3://b//x", "s3://b/a%20b", "s3://b/x?", "s3://b/#", "s3://b/../x"]
)
def test_an_address_that_libraries_read_in_different_ways_is_refused(where: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(f"SYNTH_LAKE is {where}: ")):
        DeltaLake(where, tmp_path)


def test_who_reads_beside_writers_sees_one_version(lake: DeltaLake) -> None:
    """Two of one partition, and one of another; each version has one number in all of its rows."""
    places = [PLACE, PLACE, {**PLACE, "cell": "other"}]
    for place in places:
        lake.write("r", "s", place, version(0))
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for i in range(6):
                lake.write("r", "s", places[number], version(10 * number + i))
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for each in writers:
        each.start()
    looks = 0
    while any(each.is_alive() for each in writers):
        for place in places[1:]:
            assert len(set(lake.table("r", "s", place)["version"].to_pylist())) == 1
            looks += 1
    assert not failed
    assert looks
    assert lake.table("r", "s", places[2])["version"][0].as_py() == 25
    assert lake.table("r", "s", PLACE)["version"][0].as_py() in (5, 15)


def test_of_two_first_writers_of_a_partition_one_is_there(lake: DeltaLake) -> None:
    lake.write("r", "s", PLACE, version(0))
    ready = threading.Barrier(2)
    places = [{**PLACE, "cell": f"new {i}"} for i in range(6)]

    def write(number: int) -> None:
        for place in places:
            ready.wait(60)
            lake.write("r", "s", place, version(number))

    writers = [threading.Thread(target=write, args=(number,)) for number in (1, 2)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert len(lake.partitions("r", "s", ["round", "cell"])) == 7
    table = lake.delta("r", "s")
    assert table is not None
    for seen in range(table.version() + 1):  # by whoever reads it
        table.load_as_version(seen)
        held = [str(each) for each in pa.table(table.get_add_actions())["partition"].to_pylist()]
        assert len(held) == len({*held})


def test_a_query_reads_the_files_of_its_rounds_alone(lake: DeltaLake, project: Path, tmp_path: Path) -> None:
    """And shows the same as for a folder."""
    recipe, days = load(project / "recipes" / "reviews.yaml"), ["2026-11-28", "2026-11-29", "2026-11-30"]
    folder, found = FolderLake(tmp_path / "folder"), []
    warehouses = (
        Warehouse(tmp_path / "a" / "warehouse.duckdb", folder.root),
        Warehouse(tmp_path / "b" / "warehouse.duckdb", tmp_path / "b" / "lake", tables=lake),
    )
    for each, warehouse in zip((folder, lake), warehouses, strict=True):
        for day in days:
            kept = pa.table({"row_id": [day, f"{day}+"], "round": [day] * 2, "cell": ["positive"] * 2})
            each.write("reviews", "labelled", {"round": day}, fit(kept, tables.schema(recipe, "labelled")))
        show(recipe, warehouse)
        asked = "from {} where round = '2026-11-29'"
        for view in ("reviews.labelled", "main.labelled"):
            (_, plan) = warehouse.query(f"explain analyze {asked.format(view)}").fetchall()[0]
            assert [n for n in re.findall(r"Total Files Read: (\d+)", plan) if n != "0"] == ["1"]
        rows = warehouse.query(asked.format("reviews.labelled")).fetchall()
        found.append((rows, warehouse.query("describe reviews.labelled").fetchall()))
    assert found[0] == found[1]
    assert [row[:2] for row in found[0][0]] == [(id_, date(2026, 11, 29)) for id_ in (days[1], f"{days[1]}+")]

    for each in (folder, lake):
        for cell in CELLS:
            each.write("r", "s", {"round": ROUND, "cell": cell}, pa.table({"said": [cell]}))
        assert [place["cell"] for place in each.partitions("r", "s", ["round", "cell"])] == sorted(
            CELLS, key=quote
        )
    with duckdb.connect() as connection:
        ready(connection, lake.where)
        for cell in CELLS:
            one = connection.execute(f"select said from ({lake.select('r', 's')}) where cell = ?", [cell])
            assert one.fetchall() == [(cell,)]
            scan = lake.scan_sql("r", "s", [{"round": ROUND, "cell": cell}])
            assert connection.execute(f"from {scan}").fetchall() == [(cell,)]


def test_a_commit_says_which_rows_and_which_run(lake: DeltaLake) -> None:
    for number, run in enumerate(["one", None]):
        lake.write("r", "s", PLACE, version(number), run)
    table = lake.delta("r", "s")
    assert table is not None
    last, first, *_ = table.history()
    for number, commit in ((1, last), (0, first)):
        assert commit["dagster/data_version"] == content_hash(version(number))
        assert json.loads(commit["synth/partition"]) == PLACE
    assert first["dagster/run_id"] == "one"
    assert "dagster/run_id" not in last


def test_a_commit_whose_answer_is_lost_is_not_made_again(
    lake: DeltaLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.write("r", "s", PLACE, version(0))
    commit, commits = deltalake.DeltaTable.create_write_transaction, []

    def lost(table: deltalake.DeltaTable, *args: Any, **options: Any) -> None:
        commits.append(table.version())
        commit(table, *args, **options)
        raise CommitFailedError

    monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", lost)
    lake.write("r", "s", PLACE, version(1))
    assert len(commits) == 1
    assert lake.table("r", "s", PLACE) == version(1)


def version(number: int) -> pa.Table:
    return pa.table({"version": [number] * 500, "text": [f"{number} " * 20] * 500})


@pytest.mark.slow
def test_a_round_in_an_object_store_is_that_of_a_folder(
    project: Path,
    endpoint: Endpoint,
    edit: Any,
    store: str,
    postgres: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """Its calls are paid once, its tables are equal, and what happens to an object is named and mended."""
    recipe = load(edit("rows: 6", f"{QUICK}\nvectors: true"))
    monkeypatch.setenv("SYNTH_CALL_LOG", postgres)
    assert main(["run", "reviews", "--round", ROUND]) == 0
    here, paid = home.lake(), len(endpoint.requests)
    monkeypatch.setenv("SYNTH_HOME", str(project / "other"))
    monkeypatch.setenv("SYNTH_LAKE", store)
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert len(endpoint.requests) == paid

    assert main(["report", "reviews", "--round", ROUND]) == 0
    page = (home.reports("reviews") / f"{ROUND}.html").read_bytes()
    with monkeypatch.context() as another:
        another.setenv("SYNTH_HOME", str(project / "third"))
        home.made()
        assert one_round.place("reviews", ROUND).read_bytes() == page  # which that machine made

    there = home.lake()
    found = [(stage, place) for stage, place in there.everything("reviews") if stage != "calls"]
    assert found == [(stage, place) for stage, place in here.everything("reviews") if stage != "calls"]
    for stage, place in found:
        one, two = (content_hash(lake.table("reviews", stage, place)) for lake in (here, there))
        assert one == two, (stage, place)
    show(recipe)
    counted = "select cell, count(*), max(round) from reviews.filtered group by all order by all"
    assert [row[1] for row in home.warehouse().query(counted).fetchall()] == [6, 6]

    capsys.readouterr()
    assert main(["sql", "--init"]) == 0
    init = capsys.readouterr().out
    assert not any(secret in init for secret in SECRETS)
    with duckdb.connect() as client:
        client.execute(re.sub(r"\$\{(\w+)\}", lambda found: os.environ[found[1]], init))
        assert client.execute("select count(*) from reviews.filtered").fetchall() == [(12,)]

    kept = Objects(store)
    stages = ("conditions", "filtered", "labelled")
    one, two, three = (parquet(kept, f"reviews/{stage}")[0] for stage in stages)
    whole = kept.get(one) or b""
    kept.remove(three)
    kept.put(one, whole[:-40])  # cut
    kept.put(two, whole)  # another one's
    capsys.readouterr()
    assert main(["verify", "reviews", "--repair"]) == 0
    said = capsys.readouterr().out
    assert all(f"reviews/{stage}" in said for stage in stages)
    assert main(["verify", "reviews"]) == 0
    assert len(endpoint.requests) == paid

    said += capsys.readouterr().out + capsys.readouterr().err
    left = (path.read_bytes() for path in (project / "other").rglob("*") if path.is_file())
    assert not any(secret in said for secret in SECRETS)
    assert not any(secret.encode() in content for content in left for secret in SECRETS)


def parquet(kept: Objects, folder: str) -> list[str]:
    """The Parquet files below a folder."""
    return sorted(f"{folder}/{name}" for name in kept.below(folder) if name.endswith(".parquet"))


def test_rows_of_another_recipe_in_a_store_are_seeds(
    project: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the identity that those of a folder have: what was made from them is theirs too."""
    found = []
    for where in ("", store):
        monkeypatch.setenv("SYNTH_LAKE", where)
        monkeypatch.setenv("SYNTH_CALL_LOG", "postgresql://somebody@host/calls" if where else "")
        for cell in ("a/b", "c"):
            home.lake().write("r", "filtered", {**PLACE, "cell": cell}, pa.table({"text": [cell]}))
        rows = sources.read_rows("stage://r/filtered")["text"].tolist()
        found.append((rows, sources.fingerprint("stage://r/filtered")))
    assert found[0] == found[1]
    assert found[0][0] == ["a/b", "c"]


def test_rows_that_machines_share_need_a_call_log_that_they_share(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_LAKE", "s3://bucket/prefix")
    with pytest.raises(UserError, match="share the call log: set SYNTH_CALL_LOG=postgresql://"):
        home.lake()
    monkeypatch.setenv("SYNTH_CALL_LOG", "postgresql://somebody@host/calls")
    monkeypatch.setenv("SYNTH_LAKE", "bucket/prefix")
    with pytest.raises(
        UserError, match="SYNTH_LAKE is bucket/prefix: write an address that begins with one of s3"
    ):
        home.lake()
