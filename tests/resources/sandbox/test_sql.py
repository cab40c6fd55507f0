"""Queries that nobody has read: each ends within its bounds, and those behind it are answered."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.core.asking import Result
from synth_assets.core.errors import UserError
from synth_assets.resources.sandbox import confined
from synth_assets.resources.sandbox.sql import run_queries, run_sql

HONEST = "select name from town where people > 120000"
TOO_MUCH = ("out_of_memory", "timed_out")
# query -> reasons that it may end with
ATTACKS = {
    "select range(1000000000)": TOO_MUCH,
    "select list_sum(range(100000000))": TOO_MUCH,
    "select levenshtein(repeat('a', 300000), repeat('b', 300000))": ("timed_out",),
    "select string_agg(repeat('x', 1000), '') from range(10000000)": TOO_MUCH,
    "select * from read_csv('/etc/passwd')": ("forbidden",),
    "select * from read_text('/etc/passwd')": ("forbidden",),
    "select * from read_blob('/etc/pass*')": ("forbidden",),
    "select * from glob('/*')": ("forbidden",),
    "select * from '/etc/passwd'": ("error", "forbidden"),
    "select * from sqlite_scan('/tmp/x.sqlite', 't')": ("error", "forbidden"),
    "install httpfs": ("forbidden",),
    "load json": ("forbidden",),
    "copy town to '/tmp/synth-town.csv'": ("forbidden",),
    "set memory_limit = '1TB'": ("forbidden",),
    "pragma enable_external_access": ("error", "forbidden"),
    "attach '/tmp/x.duckdb'": ("forbidden",),
    "select getenv('HOME')": ("error", "forbidden"),
}


@pytest.fixture(params=["duckdb", "sqlite"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A small data base with a table of two towns; the one of SQLite with a log beside it."""
    import duckdb

    path = tmp_path / f"towns.{request.param}"
    connect: Any = sqlite3.connect if request.param == "sqlite" else duckdb.connect
    connection = connect(str(path))
    if request.param == "sqlite":
        connection.execute("pragma journal_mode = wal")
    connection.execute("create table town (name text, people int)")
    connection.execute("insert into town values ('Ulm', 126000), ('Jena', 111000)")
    connection.commit()
    if request.param == "duckdb":  # it would keep others out
        connection.close()
    yield path
    connection.close()


@pytest.mark.parametrize("base", ["duckdb"], indirect=True)
def test_an_attack_ends_with_its_reason_and_the_query_behind_it_is_answered(base: Path) -> None:
    queries = [query for attack in ATTACKS for query in (attack, HONEST)]
    found = list(run_queries(queries, base, timeout_s=1))
    reasons = dict(zip(ATTACKS, (result.reason for result in found[::2]), strict=True))
    assert {q: r for q, r in reasons.items() if r not in ATTACKS[q]} == {}
    assert found[1::2] == [Result("ok", '[["Ulm"]]')] * len(ATTACKS)
    assert all(result.error for result in found[::2])


def test_the_clock_of_a_query_starts_whatever_else_its_user_runs() -> None:
    """A limit of processes counts all threads of a user who is not root."""
    script = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]); import confined; of = resource.RLIMIT_NPROC\n"
        "before = resource.getrlimit(of); confined.limit(None, 4096); assert resource.getrlimit(of) == before"
    )
    subprocess.run([sys.executable, "-c", script, str(Path(confined.__file__).parent)], check=True)


@pytest.mark.parametrize("base", ["sqlite"], indirect=True)
def test_a_query_that_ends_its_process_costs_no_other_one(base: Path) -> None:
    found = list(run_queries(["select '\ud800'", HONEST], base))
    assert [result.reason for result in found] == ["error", "ok"]


def test_a_function_that_sees_no_interrupt_ends_all_the_same(base: Path) -> None:
    if base.suffix == ".sqlite":
        endless = "select zeroblob(999999) || zeroblob(999999) from town a, town b"
        assert run_sql(endless, base).reason == "error"
        return
    stuck = run_sql("select levenshtein(repeat('a', 300000), repeat('b', 300000))", base, timeout_s=0.3)
    assert (stuck.reason, stuck.error) == ("timed_out", "ran longer than 0.3 s")


def test_values_of_all_kinds_come_through(base: Path) -> None:
    assert run_sql("select 1, 1.0, 2.5, null, 'ü', people from town order by people", base).text == (
        '[[1,1,2.5,null,"ü",111000],[1,1,2.5,null,"ü",126000]]'
    )
    if base.suffix == ".duckdb":
        kinds = "select [1, 2], {'a': 1}, date '2026-01-01', timestamptz '2026-01-01 00:00:00+00' is not null"
        assert run_sql(kinds, base).text == '[[[1,2],{"a":1},"2026-01-01",true]]'


def test_a_file_that_only_looks_like_a_data_base_is_the_users_mistake(tmp_path: Path) -> None:
    for content in (b"SQLite format 3\0" + b"x" * 200, b"x" * 8 + b"DUCK" + b"x" * 5_000):
        (tmp_path / "broken").write_bytes(content)
        with pytest.raises(UserError, match="broken: cannot be opened to read"):
            run_sql("select 1", tmp_path / "broken")
