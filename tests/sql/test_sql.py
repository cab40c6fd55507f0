"""SQL over everything: views across recipes, named queries, and readers from outside while runs write."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from synth_assets.cli import main
from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.report.views import current
from synth_assets.resources.home import warehouse
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.sql.named import QUERIES, queries
from synth_assets.stages import tables
from tests.assets.test_round import ROUND, one_in
from tests.endpoint import Endpoint


def ask(sql: str) -> list[tuple]:
    """What any DuckDB client sees: the file, opened read-only."""
    with duckdb.connect(str(warehouse().path), read_only=True) as connection:
        return connection.sql(sql).fetchall()


@pytest.fixture
def second(project: Path) -> Path:
    """A second recipe, with another condition and another filter."""
    text = (project / "recipes" / "reviews.yaml").read_text(encoding="utf-8")
    path = project / "recipes" / "critics.yaml"
    path.write_text(text.replace("tone", "length").replace("duplicate: {}", "refusal: {}"), encoding="utf-8")
    return path


def test_views_over_all_recipes_have_the_recipe_in_front(project: Path, second: Path) -> None:
    current()
    for name in ("calls", "steps", "lineage", "cost", "yield", "metrics", "rounds", "rejected", "weighted"):
        with duckdb.connect(str(warehouse().path), read_only=True) as connection:
            answer = connection.sql(f"select * from {name}")
            assert answer.columns[0] == "recipe"
            assert answer.fetchall() == []


def test_a_round_is_in_the_views_across_recipes(project: Path, second: Path, endpoint: Endpoint) -> None:
    for recipe in ("reviews", "critics"):
        assert main(["run", recipe, "--round", ROUND]) == 0
    assert ask(
        "select recipe, generated, accepted, kept, training_rows, calls, cost from rounds order by 1"
    ) == [
        ("critics", 12, 12, 12, 12, 12, None),
        ("reviews", 12, 12, 12, 12, 12, None),
    ]
    assert ask("select recipe, count(*), min(weight) from training_set group by 1 order by 1") == [
        ("critics", 12, 1.0),
        ("reviews", 12, 1.0),
    ]
    assert ask("select recipe, cell, kept, reasons from yield where recipe = 'critics' order by cell") == [
        ("critics", "negative", 6, {}),
        ("critics", "positive", 6, {}),
    ]
    rows = ask("select recipe, json_keys(conditions), json_keys(scores), count(*) from lineage group by all")
    assert sorted(rows) == [
        ("critics", ["label", "length"], ["words", "refusal"], 12),
        ("reviews", ["label", "tone"], ["words", "duplicate"], 12),
    ]
    steps = "select unnest(steps) as s, recipe, demonstrations from lineage"
    joined = f"select len(demonstrations), count(c.messages) from ({steps}) as l join calls as c"
    assert ask(
        f"{joined} on c.call_id = s.call_id and c.used_by = s.step and c.recipe = l.recipe group by 1"
    ) == [(2, 24)]


def test_a_row_that_was_dropped_says_by_what(project: Path, endpoint: Endpoint, edit) -> None:
    endpoint.say = one_in(2, "short")
    edit("rows: 6", "rows: 20")
    main(["run", "reviews", "--round", ROUND])
    ((scorer, value, threshold, words, rows),) = ask(
        "select scorer, value, threshold, scores->>'words', count(*) from lineage "
        "where outcome <> 'kept' group by all"
    )
    assert (scorer, value, threshold, words) == ("words", 1.0, "at least 2 and at most 40", "1.0")
    assert ask("select sum(dropped), sum(kept), sum(map_values(reasons)[1]) from yield") == [
        (rows, 40 - rows, rows)
    ]


def test_what_disappears_from_the_disk_disappears_from_the_views(
    project: Path, after_a_round: Endpoint
) -> None:
    lake = project / ".synth" / "lake" / "reviews"
    shutil.rmtree(lake / "filtered" / f"round={ROUND}")
    assert ask("select count(*) from reviews.filtered") == [(0,)]
    shutil.rmtree(lake)
    current()  # any `synth sql`
    assert ask("select count(*) from lineage") == [(0,)]


def test_a_recipe_that_is_removed_leaves_the_warehouse_and_its_files_stay(
    project: Path, second: Path
) -> None:
    current()
    assert ask("select count(*) from critics.funnel") == [(0,)]
    second.unlink()
    current()
    with pytest.raises(duckdb.CatalogException):
        ask("select * from critics.funnel")
    assert (project / ".synth" / "lake" / "critics" / "seeds" / "empty.parquet").exists()
    assert ask("select count(*) from reviews.funnel") == [(0,)]


def test_a_recipe_with_a_mistake_keeps_its_views_and_takes_no_others_down(
    project: Path, second: Path, capsys: pytest.CaptureFixture
) -> None:
    current()
    second.write_text("task: 3\n", encoding="utf-8")
    assert main(["sql", "select count(*) as n from critics.funnel", "--csv"]) == 0
    said = capsys.readouterr()
    assert said.out == "n\n0\n"
    assert said.err.startswith("note: the views of critics are as they were: ")


def test_a_file_that_is_no_parquet_takes_no_other_recipe_down(
    project: Path, second: Path, capsys: pytest.CaptureFixture
) -> None:
    current()
    broken = (
        warehouse().lake / "critics" / "calls" / "used_by=x" / f"round={ROUND}" / "cell=y" / "part.parquet"
    )
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no parquet")
    assert main(["sql", "select recipe, count(*) from calls group by 1"]) == 0  # built again, without it
    assert ask("select count(*) from cost") == [(0,)]
    with pytest.raises(duckdb.InvalidInputException, match=r"critics\.calls cannot be read: .*part\.parquet"):
        ask("select * from critics.calls")
    capsys.readouterr()
    assert main(["sql", "select 1"]) == 0
    assert "note: critics.calls cannot be read" in capsys.readouterr().err
    broken.unlink()
    assert main(["sql", "select * from critics.calls"]) == 0


def test_a_recipe_cannot_have_the_name_of_the_schema_of_all(project: Path, second: Path) -> None:
    with pytest.raises(UserError, match="rename the file"):
        load(second.rename(second.with_stem("main")))


def test_every_named_query_answers_on_real_rounds(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    """Rows that are dropped, and in the second round repetitions of the first."""
    said = iter("short" if n % 5 == 0 else f"the plot is {n % 4 and n} long" for n in range(1, 1000))
    edit("rows: 6", "rows: 20")
    endpoint.say = lambda body: next(said)
    for round_ in ("2026-11-20", ROUND):
        assert main(["run", "reviews", "--round", round_]) == 0
    ((row_id,),) = ask("select min(row_id) from reviews.conditions")
    values = {"row_id": row_id, "recipe": "reviews", "rows": "3"}
    found: dict[str, list[dict[str, str]]] = {}
    for name, query in queries().items():
        given = [f"--param={p}={values[p]}" for p in query.parameters]
        capsys.readouterr()
        assert main(["sql", "--query", name, *given, "--csv"]) == 0, capsys.readouterr().err
        found[name] = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {name for name, rows in found.items() if not rows} == {"failed_calls", "changed_labels"}

    (spent,) = found["budget"]
    assert (spent["in_all"], spent["known"], spent["unknown_costs"]) == ("", "", "80")  # no price is known
    first, second = found["duplicates_over_rounds"]
    assert (first["rows"], first["of_a_round_before"], second["kept_all_the_same"]) == ("40", "0", "0")
    assert int(second["of_a_round_before"]) > 0
    assert {r["scorer"] for r in found["dropped"]} == {"words", "duplicate"}
    assert len(found["slowest_calls"]) == 3
    assert {r["round"] for r in found["training_set"]} == {ROUND}
    assert {r["made_in"] for r in found["training_set"]} == {"2026-11-20", ROUND}


def test_parameters_are_bound_and_never_part_of_the_query(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["sql", "select $a as a", "--param", "a=' or true --", "--csv"]) == 0
    assert capsys.readouterr().out == "a\n' or true --\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--query", "linage"], "Did you mean 'lineage'?"),
        (["--query", "lineage"], "query lineage needs --param row_id=... (a row's id, or how it starts)"),
        (["--query", "lineage", "--param", "row=1"], "query lineage: unknown parameter 'row'"),
        (["--query", "lineage", "--param", "row_id"], "write it as --param name=value"),
        (["--query", "slowest_calls", "--param", "rows=many"], "Could not convert string 'many'"),
        (["select 'a'::int from range(3)"], "Could not convert string 'a'"),
    ],
)
def test_a_mistake_in_a_query_is_told_with_the_alternatives(
    project: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["sql", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_list_names_every_query_with_its_parameters(capsys: pytest.CaptureFixture) -> None:
    assert main(["sql", "--list"]) == 0
    listed = capsys.readouterr().out
    for path in QUERIES.glob("*.sql"):
        assert f"\n{path.stem} " in f"\n{listed}"
    assert "--param row_id=...  a row's id" in listed
    for query in queries().values():
        assert query.answers[-1] in "?.", query.name
        assert {f"${p}" for p in query.parameters} <= set(
            query.sql.replace("::", " ").replace(")", " ").split()
        )


SIZES = (100, 200)
FEEDBACK = "select count(*), sum(rows) from reviews.feedback"


def warehouse_reader(root: Path) -> Iterator[tuple[int, int]]:
    while True:
        yield warehouse().query(FEEDBACK).fetchall()[0]


def duckdb_reader(root: Path) -> Iterator[tuple[int, int]]:
    """One connection that stays open. A file that is replaced within a query is an error, never a number."""
    with duckdb.connect(str(root / "warehouse.duckdb"), read_only=True) as connection:
        while True:
            try:
                answer = connection.sql(FEEDBACK).fetchone()
            except duckdb.Error:
                continue
            assert answer is not None
            yield answer


def pandas_reader(root: Path) -> Iterator[tuple[int, int]]:
    while True:
        rows = pd.read_parquet(root / "lake" / "reviews" / "feedback", partitioning=None)
        yield len(rows), int(rows["rows"].sum())


def arrow_reader(root: Path) -> Iterator[tuple[int, int]]:
    hive = ds.partitioning(pa.schema([("round", pa.string()), ("cell", pa.string())]), flavor="hive")
    while True:
        found = ds.dataset(root / "lake" / "reviews" / "feedback", partitioning=hive)
        table = found.to_table(filter=ds.field("round") == ROUND)
        yield len(table), sum(table["rows"].to_pylist())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reader", "reads"),
    [(warehouse_reader, 60), (duckdb_reader, 200), (pandas_reader, 200), (arrow_reader, 200)],
)
def test_readers_from_outside_see_whole_tables_while_a_run_writes(
    project: Path, reader: Callable[[Path], Iterator[tuple[int, int]]], reads: int
) -> None:
    """Another process replaces a partition all the time, now by 100 rows, now by 200."""
    recipe = load(project / "recipes" / "reviews.yaml")
    home = project / ".synth"
    current()
    lake = FolderLake(home / "lake")
    other = pd.DataFrame({"round": ROUND, "cell": "positive", "yield": 0.5, "rows": [0]})
    lake.write(
        "reviews",
        "feedback",
        {"round": ROUND, "cell": "positive"},
        tables.to_arrow(recipe, "feedback", other),
    )
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(project)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    try:
        writer.stdout.readline()  # the first table is there
        answers = reader(home)
        seen = {next(answers) for _ in range(reads)}
        assert writer.poll() is None  # it wrote to the end
    finally:
        writer.kill()
        writer.wait()
    assert seen == {(n + 1, sum(range(n))) for n in SIZES}


WRITER = f"""
import sys
from pathlib import Path
import pandas as pd
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages import tables
from synth_assets.recipe.load import load

root = Path(sys.argv[1])
recipe, lake = load(root / "recipes" / "reviews.yaml"), FolderLake(root / ".synth" / "lake")
partition = {{"round": "{ROUND}", "cell": "negative"}}
made = [
    tables.to_arrow(recipe, "feedback", pd.DataFrame({{**partition, "yield": 0.5, "rows": range(n)}}))
    for n in {SIZES}
]
for i in range(1_000_000):
    lake.write("reviews", "feedback", partition, made[i % 2])
    if i == 0:
        print("ready", flush=True)
"""
