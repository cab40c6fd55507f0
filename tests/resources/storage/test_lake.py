"""The lake and the warehouse: partitions are replaced whole, and views are readable while runs write."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.core.errors import UserError
from synth_assets.recipe import columns
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage import files
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.resources.storage.process import this_process
from synth_assets.resources.storage.warehouse import Warehouse, plain
from synth_assets.stages import tables

SCHEMA = pa.schema([("round", pa.string()), ("cell", pa.string()), ("n", pa.int64())])
PARTITION = {"round": "2026-11-22", "cell": "a/b"}


def rows(n: int, partition: dict[str, str] = PARTITION) -> pa.Table:
    return pa.table({**{c: [v] * n for c, v in partition.items()}, "n": list(range(n))}, schema=SCHEMA)


@pytest.fixture
def lake(tmp_path: Path) -> FolderLake:
    return FolderLake(tmp_path / "lake")


def test_a_partition_is_one_file_in_hive_folders(lake: FolderLake) -> None:
    lake.write("r", "stage", PARTITION, rows(3))
    path = lake.path("r", "stage", PARTITION)
    assert path.relative_to(lake.root).as_posix() == "r/stage/round=2026-11-22/cell=a%2Fb/part.parquet"
    assert lake.partitions("r", "stage", ["round", "cell"]) == [PARTITION]
    assert list(lake.read("r", "stage", [PARTITION], SCHEMA)["n"]) == [0, 1, 2]


def test_a_partition_that_was_never_made_says_what_to_do(lake: FolderLake) -> None:
    with pytest.raises(UserError, match=r"r\.stage has no rows for round 2026-11-22, cell a/b yet"):
        lake.read("r", "stage", [PARTITION], SCHEMA)


def test_a_column_that_came_later_is_unknown_in_older_rows(lake: FolderLake) -> None:
    lake.write("r", "stage", PARTITION, rows(2))
    later = SCHEMA.append(pa.field("score", pa.float64()))
    assert lake.read("r", "stage", [PARTITION], later)["score"].isna().all()


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "page.html"
    files.write(path, "first")
    host, live = this_process().partition(":")[0], path.parent / f".page.html.{this_process()}.3"
    for left in (f".page.html.{host}:1@1", f".page.html.{host}:1@1.7"):
        (path.parent / left).write_text("of a process that was killed")
    live.write_text("of another thread of this process")
    with pytest.raises(UnicodeEncodeError):
        files.write(path, "\ud800")
    assert path.read_text() == "first"
    assert sorted(path.parent.iterdir()) == sorted([path, live])


def test_a_full_disk_leaves_what_was_there(lake: FolderLake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.write("r", "stage", PARTITION, rows(3))
    path = lake.path("r", "stage", PARTITION)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match=r"No space left on device: .*part\.parquet"):
        lake.write("r", "stage", PARTITION, rows(5))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["part.parquet"]


def test_the_same_rows_have_the_same_hash() -> None:
    assert tables.content_hash(rows(3)) == tables.content_hash(rows(3))
    assert tables.content_hash(rows(3)) != tables.content_hash(rows(4))


@pytest.fixture
def recipe(project: Path) -> Recipe:
    return load(project / "recipes" / "reviews.yaml")


def show(recipe: Recipe, root: Path) -> Warehouse:
    warehouse = Warehouse(root / "warehouse.duckdb", root / "lake")
    warehouse.show(recipe.name, tables.schemas(recipe), columns.STAGES)
    return warehouse


def test_a_stage_without_rows_is_an_empty_view_with_its_columns(recipe: Recipe, tmp_path: Path) -> None:
    warehouse = show(recipe, tmp_path)
    for stage in [*tables.stages(recipe), "funnel", "dropped", "lineage", "cost"]:
        answer = warehouse.query(f"select * from reviews.{stage}")
        assert answer.fetchall() == []
        if stage in columns.STAGES:
            assert answer.columns == list(tables.columns(recipe, stage))


def test_only_a_change_of_the_recipe_rebuilds_the_warehouse(recipe: Recipe, tmp_path: Path) -> None:
    warehouse = show(recipe, tmp_path)
    schemas = tables.schemas(recipe)
    assert not warehouse.show("reviews", schemas, columns.STAGES)
    assert warehouse.show("other", schemas, columns.STAGES)
    assert warehouse.query("select count(*) from reviews.metrics").fetchall() == [(0,)]
    assert warehouse.query("select count(*) from other.metrics").fetchall() == [(0,)]
    more = recipe.model_copy(update={"conditions": {"label": "labels", "length": {"short": 1.0}}})
    assert warehouse.show("reviews", tables.schemas(more), columns.STAGES)
    assert "length" in warehouse.query("select * from reviews.conditions").columns


def test_what_cannot_be_read_is_an_error_of_every_query(recipe: Recipe, tmp_path: Path) -> None:
    show(recipe, tmp_path)
    (tmp_path / "lake" / "reviews" / "seeds" / "part.parquet").write_bytes(b"garbage")
    for query in ("select count(*) from reviews.seeds", "select 1 from reviews.seeds limit 1"):
        with pytest.raises(UserError, match=r"reviews\.seeds cannot be read"):
            show(recipe, tmp_path).query(query)


def test_a_home_may_lie_in_a_folder_of_any_name(recipe: Recipe, tmp_path: Path) -> None:
    home = tmp_path / "brk [2024] *"
    warehouse, lake = show(recipe, home), FolderLake(home / "lake")
    row = {"row_id": "1", "text": "a", "label": None, "split": "test"}
    lake.write("reviews", "seeds", {}, tables.to_arrow(recipe, "seeds", pd.DataFrame([row, row])))
    assert warehouse.query("select count(*), min(text) from reviews.seeds").fetchall() == [(2, "a")]


def test_many_recipes_are_built_once(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built, warehouse = [], Warehouse(tmp_path / "warehouse.duckdb", tmp_path / "lake")
    monkeypatch.setattr(Warehouse, "_build", lambda self, shown: built.append(sorted(shown)))
    stages = (tables.schemas(recipe), columns.STAGES, {})
    assert warehouse.show_all({"a": stages, "b": stages, "c": stages}, keep=["c"])
    assert built == [["a", "b", "c"]]


def test_wrong_sql_is_the_users_mistake(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Table with name nothing does not exist"):
        show(recipe, tmp_path).query("select * from reviews.nothing")


def test_views_are_read_while_a_run_writes(recipe: Recipe, tmp_path: Path) -> None:
    """Another process replaces a partition, now of 1,000 rows, now of 2,000, and shows the recipe anew."""
    show(recipe, tmp_path)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()  # the first table is there
    counts: list[int] = []
    while writer.poll() is None or len(counts) < 50:
        with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
            for _ in range(5):
                answer = connection.sql(
                    "select count(*), count(distinct cell) from reviews.feedback"
                ).fetchone()
                assert answer is not None
                counts.append(answer[0])
    assert writer.returncode == 0
    assert set(counts) <= {1000, 2000}
    assert len(set(counts)) == 2


WRITER = """
import sys
from pathlib import Path
import pandas as pd
from synth_assets.resources.storage import files
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.resources.storage.process import this_process
from synth_assets.resources.storage.warehouse import Warehouse
from synth_assets.recipe import columns
from synth_assets.stages import tables
from synth_assets.recipe.load import load

root = Path(sys.argv[1])
recipe = load(root / "recipes" / "reviews.yaml")
lake, warehouse = FolderLake(root / "lake"), Warehouse(root / "warehouse.duckdb", root / "lake")
partition = {"round": "2026-11-22", "cell": "negative"}
for i in range(12):
    table = pd.DataFrame({**partition, "yield": 0.5, "rows": range(1000 * (1 + i % 2))})
    lake.write("reviews", "feedback", partition, tables.to_arrow(recipe, "feedback", table))
    changed = recipe.model_copy(update={"conditions": {"label": "labels", f"c{i % 2}": {"x": 1.0}}})
    warehouse.show("reviews", tables.schemas(changed), columns.STAGES)
    if i == 0:
        print("ready", flush=True)
"""


def test_a_name_is_quoted_where_sql_needs_it() -> None:
    assert [plain(n) for n in ("text", "order", "left", "a b", "Ü")] == [
        "text",
        '"order"',
        '"left"',
        '"a b"',
        '"Ü"',
    ]


def test_a_value_that_does_not_fit_is_refused(recipe: Recipe) -> None:
    table = pd.DataFrame({"round": ["2026-11-22"], "cell": ["negative"], "yield": ["half"], "rows": [1]})
    with pytest.raises(UserError, match=r"reviews\.feedback: .*half"):
        tables.to_arrow(recipe, "feedback", table)
    with pytest.raises(UserError, match=r"reviews\.feedback: column rows is missing"):
        tables.to_arrow(recipe, "feedback", table.drop(columns="rows"))
