"""What is lost, damaged or half written in the lake is noticed, and made again without a paid call."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import FrameType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.commands.verify import damages
from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.resources.home import home
from synth_assets.resources.home import lake as home_lake
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.resources.storage.lake import FILE
from synth_assets.resources.storage.parts import PARTS, STAGE
from synth_assets.resources.storage.warehouse import Warehouse
from synth_assets.stages import tables
from tests.assets.test_round import ROUND
from tests.endpoint import Endpoint

RUN = ["run", "reviews", "--round", ROUND]
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("n", pa.float64()),
        ("ids", pa.list_(pa.string())),
        ("p", pa.struct([("a", pa.float64()), ("b", pa.float64())])),
        ("kept", pa.bool_()),
    ]
)
ROWS = pa.table(
    {
        "text": ["a", None, "ccc"],
        "n": [1.0, None, 2.0],
        "ids": [["x", None], None, []],
        "p": [{"a": 1.0, "b": None}, None, {"a": 2.0, "b": 3.0}],
        "kept": [True, None, False],
    },
    schema=SCHEMA,
)


def test_every_bit_of_a_file_counts(tmp_path: Path) -> None:
    """But those that name the library which wrote it, of another version of which nothing is known."""
    lake, unnoticed = FolderLake(tmp_path), b""
    lake.write("r", "stage", {}, ROWS)
    path = lake.path("r", "stage", {})
    whole = path.read_bytes()
    assert lake.is_as_written("r", "stage", {})
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 4]) + whole[i + 1 :])
        try:
            lake.table("r", "stage", {})
        except UserError:
            continue
        if lake.is_as_written("r", "stage", {}):
            unnoticed += whole[i : i + 1]
    assert pq.ParquetFile(pa.BufferReader(whole)).metadata.created_by.encode() in unnoticed
    assert len(unnoticed) < 50


def test_a_table_has_the_same_hash_in_memory_and_on_disk(tmp_path: Path) -> None:
    lake = FolderLake(tmp_path)
    for rows in (ROWS, SCHEMA.empty_table()):
        lake.write("r", "stage", {}, rows)
        assert tables.content_hash(lake.table("r", "stage", {})) == tables.content_hash(rows)
    hashes = {tables.content_hash(ROWS.set_column(0, "text", pa.array(text))) for text in TEXTS}
    assert len(hashes) == len(TEXTS)


TEXTS = [
    ["a", "b", "c"],
    ["ab", "", "c"],
    ["a", None, "c"],
    ["a", "", "c"],
    [None, "a", "c"],
    ["b", "a", "c"],
]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def other_rows(path: Path) -> None:
    """A whole file, that another one was put in the place of."""
    lake = FolderLake(path.parent)
    lake.write("other", "stage", {}, pq.ParquetFile(path).read().slice(1))
    lake.path("other", "stage", {}).replace(path)


def files(project: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in sorted((project / ".synth" / "lake").glob(f"**/{FILE}"))}


def test_any_file_that_is_lost_or_damaged_is_named_and_comes_back_without_a_call(
    project: Path, after_a_round: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    assert main(["verify", "reviews"]) == 0
    whole = files(project)
    recipe, lake = load(project / "recipes" / "reviews.yaml"), home_lake()
    assert {path.relative_to(home() / "lake").parts[1] for path in whole} == {*tables.stages(recipe), PARTS}
    with dagster_instance() as instance:
        for spoil, n in product((Path.unlink, truncate, flip, other_rows), range(3)):
            spoiled = list(whole)[n::3]
            if spoil is other_rows:  # nothing was rejected, and only generations asked
                spoiled = [
                    path
                    for path in spoiled
                    if not {"rejected", "used_by=scores", "used_by=metrics"} & set(path.parts)
                ]
            for path in spoiled:
                spoil(path)
            found = {
                Path(lake.place("reviews", d.stage, d.partition)): d for d in damages(recipe, lake, instance)
            }
            shared = [path for path in spoiled if PARTS in path.parts]
            by_it = [path for path in found if path.parts[-3] == STAGE and path not in spoiled]
            assert bool(by_it) == bool(shared)  # a round names what it shares with others
            gone = shared if spoil is Path.unlink else []
            assert sorted(path for path in found if path not in by_it) == sorted({*spoiled} - {*gone})
            for path in gone:
                assert any(str(path) in found[round_].why for round_ in by_it)
                path.write_bytes(whole[path])
            for path, damage in found.items():
                assert str(path) in damage.why or (path in by_it and PARTS in damage.why)
                assert "synth verify reviews --repair" in damage.why
                path.write_bytes(whole[path])
    for spoil, paths, again in [
        (Path.unlink, list(whole)[::2], RUN),
        (truncate, list(whole)[1::2], RUN),
        (flip, list(whole), ["verify", "reviews", "--repair"]),
    ]:
        for path in paths:
            spoil(path)
        assert main(again) == 0
        assert files(project) == whole
    assert after_a_round.requests == []


def test_a_damaged_part_is_told_once_however_many_rounds_have_it(
    project: Path, after_a_round: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    (part,) = (path for path in files(project) if PARTS in path.parts)
    truncate(part)
    capsys.readouterr()
    assert main(["verify", "reviews"]) == 1
    said = capsys.readouterr().out
    assert said.count(f"{part} is damaged") == 1
    assert "2 partitions are missing or not as they were made" in said


def test_what_the_call_log_cannot_give_back_is_not_paid_by_a_repair(
    project: Path, after_a_round: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    (home() / "calls.sqlite").unlink()
    for path in files(project):
        if {"generations", "calls"} & set(path.parts):
            path.unlink()
    assert main(["verify", "reviews", "--repair"]) == 1
    assert "12 of its calls are not in the call log" in capsys.readouterr().out
    assert after_a_round.requests == []


def test_a_call_log_that_lost_or_changed_answers_is_named_and_mended_for_nothing(
    project: Path, after_a_round: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    whole, log = files(project), home() / "calls.sqlite"
    log.unlink()
    assert main(["verify", "reviews"]) == 1
    lost = (
        "reviews: 12 calls of the lake are not, or not so, in the call log: `synth verify reviews --repair`"
    )
    assert lost in capsys.readouterr().out
    log.with_name("calls.sqlite-wal").unlink(missing_ok=True)
    log.write_text("no database " * 99)
    assert main(["verify", "reviews"]) == 1
    assert f"error: call log {log}: file is not a database; `synth" in capsys.readouterr().err
    assert main(["verify", "reviews", "--repair"]) == 0
    assert "calls.sqlite.damaged-1 is what was damaged; 0 calls of it" in capsys.readouterr().out
    with sqlite3.connect(log) as connection:
        connection.execute("UPDATE calls SET text = 'changed by hand'")
    next(path for path in whole if "generations" in path.parts).unlink()
    assert main(RUN) == 0
    assert "12 calls were missing or changed in the call log" in capsys.readouterr().err
    assert files(project) == whole
    assert after_a_round.requests == []


@pytest.mark.parametrize("rows", [1, 10_000])
def test_a_write_that_is_killed_anywhere_leaves_the_old_or_the_new_table(tmp_path: Path, rows: int) -> None:
    """Before every line of it, and at every size that the file system lets a file grow to."""
    lake, old, new = FolderLake(tmp_path / "lake"), table(rows, "old"), table(rows, "new")
    modules = (f"resources/storage/{name}.py" for name in ("folder_lake", "parquet", "files"))
    seen = set()
    for deaths in (before_each_line(*modules), at_each_size(2**12 if rows > 1 else 2**8)):
        for death in deaths:
            lake.write("r", "stage", {}, old)
            ended = dies(death, lambda: lake.write("r", "stage", {}, iter([new.slice(0, 1), new.slice(1)])))
            found = lake.table("r", "stage", {})
            assert found in (old, new)
            assert duckdb.sql(f"from '{tmp_path}/lake/r/stage/*.parquet'").to_arrow_table() == found
            seen.add((ended, "new" if found == new else "old"))
            lake.write("r", "stage", {}, new)
            assert [file.name for file in (tmp_path / "lake/r/stage").iterdir()] == [FILE]
            if ended:
                break
    assert seen == {(False, "old"), (False, "new"), (True, "new")}


def test_a_warehouse_whose_building_is_killed_anywhere_shows_the_old_or_the_new_views(
    project: Path,
) -> None:
    recipe = load(project / "recipes" / "reviews.yaml")
    stages = tables.schemas(recipe), tables.stages(recipe)
    before, after = project / "before", project / "after"
    Warehouse(before / "warehouse.duckdb", project / "lake").show("old", *stages)
    for n, death in enumerate(before_each_line("resources/storage/warehouse.py", step=7)):
        shutil.copytree(before, after)
        lake = project / f"lake_{n}"
        shutil.copytree(project / "lake", lake)
        warehouse = Warehouse(after / "warehouse.duckdb", lake)
        ended = dies(death, lambda w=warehouse: w.show("new", *stages))
        shown = {name for (name,) in warehouse.query(SCHEMAS).fetchall()}
        assert shown in ({"old"}, {"old", "new"})
        for name in shown:
            assert warehouse.query(f"select count(*) from {name}.metrics").fetchall() == [(0,)]
        warehouse.show("new", *stages)
        assert warehouse.query("select count(*) from new.metrics").fetchall() == [(0,)]
        assert {f.name for f in after.iterdir()} == {f"warehouse.{end}" for end in ("duckdb", "json", "lock")}
        shutil.rmtree(after)
        if ended:
            return
    raise AssertionError("it never ended")


def test_a_warehouse_that_the_disk_does_not_take_is_as_it_was(project: Path) -> None:
    recipe = load(project / "recipes" / "reviews.yaml")
    stages = tables.schemas(recipe), tables.stages(recipe)
    warehouse = Warehouse(project / "warehouse.duckdb", project / "lake")
    warehouse.show("old", *stages)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"warehouse\.duckdb"):
            warehouse.show("new", *stages)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert warehouse.query(SCHEMAS).fetchall() == [("old",)]
    warehouse.show("new", *stages)
    assert len(warehouse.query(SCHEMAS).fetchall()) == 2


def test_a_damaged_file_without_rows_is_made_again(project: Path) -> None:
    recipe = load(project / "recipes" / "reviews.yaml")
    warehouse = Warehouse(project / "warehouse.duckdb", project / "lake")
    warehouse.show("reviews", tables.schemas(recipe), tables.stages(recipe))
    for path in (project / "lake").glob("**/empty.parquet"):
        truncate(path)
    warehouse.show("reviews", tables.schemas(recipe), tables.stages(recipe))
    assert warehouse.query("select count(*) from reviews.metrics").fetchall() == [(0,)]


SCHEMAS = "select schema_name from duckdb_schemas() where schema_name in ('old', 'new')"


def table(rows: int, text: str) -> pa.Table:
    return pa.table({"text": [f"{text} {i * 7919 % 100_003}" for i in range(rows)]})


def dies(death: Callable[[], None], write: Callable[[], Any]) -> bool:
    """Do it in a child that meets its death; returns whether it came to an end before that."""
    child = os.fork()
    if not child:
        try:
            death()
            write()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def before_each_line(*modules: str, step: int = 1) -> Iterator[Callable[[], None]]:
    """Deaths by SIGKILL before the first line of these modules that is run, the second other one, ..."""
    for n in range(1, 500, step):
        yield lambda n=n: sys.settrace(Killer(modules, n))


class Killer:
    def __init__(self, modules: tuple[str, ...], lines: int) -> None:
        self.modules, self.lines = modules, lines
        self.seen = set[tuple[str, int]]()

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.endswith(self.modules):
            return None
        if event == "line":
            self.seen.add((frame.f_code.co_filename, frame.f_lineno))
        if len(self.seen) == self.lines:
            os.kill(os.getpid(), signal.SIGKILL)
        return self


def at_each_size(step: int) -> Iterator[Callable[[], None]]:
    """Deaths in the middle of a write, by the signal that the system sends when a file grows too large."""

    def limit(size: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    for n in range(2_000):
        yield lambda n=n: limit(n * step)


def test_two_processes_that_write_one_partition_end_as_one_of_them(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), n]) for n in ("1000", "3000")]
    lake, sizes = FolderLake(tmp_path), set()
    while any(writer.poll() is None for writer in writers):
        if lake.path("r", "stage", {}).exists():
            found = lake.table("r", "stage", {})["n"].to_pylist()
            assert found == [len(found)] * len(found)
            sizes.add(len(found))
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sizes == {1000, 3000}
    assert [file.name for file in (tmp_path / "r/stage").iterdir()] == [FILE]


WRITER = """
import sys
from pathlib import Path
import pyarrow as pa
from synth_assets.resources.storage.folder_lake import FolderLake

n = int(sys.argv[2])
for _ in range(100):
    FolderLake(Path(sys.argv[1])).write("r", "stage", {}, pa.table({"n": [n] * n}))
"""
