"""Two databases, one surface: the same statements, the same answers, and errors that tell no secret."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.database import Database
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.call_log.postgres import open_database
from synth_assets.resources.gateway.budget import Budget, Cap, Use
from synth_assets.resources.home import place_of_calls
from tests.postgres import PASSWORD


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return tmp_path / "a.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
def database(where: Path | str) -> Iterator[Database]:
    database = open_database(where)
    database.execute("CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER, x REAL)")
    yield database
    database.close()


def put(database: Database, key: str | None, n: int | None = None, x: float | None = None) -> None:
    database.execute("INSERT INTO t (k, n, x) VALUES (?, ?, ?)", (key, n, x))


def test_numbers_come_back_whole(database: Database) -> None:
    put(database, "a", 2**63 - 1, 0.1)
    put(database, "b")
    assert database.execute("SELECT n, x FROM t ORDER BY k") == [(2**63 - 1, 0.1), (None, None)]


def test_signs_of_the_drivers_are_only_text(database: Database) -> None:
    statement = "INSERT INTO t (k, n) VALUES ('100 % ? $1 %s', ?), (?, ?) -- who? 5 %"
    database.execute(statement, (1, "?", 2))
    assert database.execute("""SELECT k, 7 % n AS "what?" FROM t WHERE k LIKE '%?%' ORDER BY n""") == [
        ("100 % ? $1 %s", 0),
        ("?", 1),
    ]


def test_a_text_that_postgres_cannot_hold_is_found_again(database: Database) -> None:
    for key in ("a\0", "a\x1a0", "a\x1a", "a"):
        put(database, key)
        assert database.execute("SELECT k FROM t WHERE k = ?", (key,)) == [(key,)]


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with contextlib.suppress(KeyboardInterrupt), database.transaction() as execute:
        execute("INSERT INTO t (k) VALUES ('a')")
        raise KeyboardInterrupt
    assert database.execute("SELECT k FROM t") == []


def test_a_statement_that_fails_names_the_database_and_the_next_one_works(database: Database) -> None:
    put(database, "a")
    with pytest.raises(UserError) as raised:
        put(database, "a")
    assert str(raised.value).startswith(f"call log {database.name}: ")
    put(database, "b")


COUNTER = """
import sys
from synth_assets.resources.call_log.postgres import open_database

database = open_database(sys.argv[1])
for _ in range(100):
    with database.transaction() as execute:
        ((n,),) = execute("SELECT n FROM t")
        execute("UPDATE t SET n = ?", (n + 1,))
"""


def test_transactions_of_processes_follow_each_other(where: Path | str, database: Database) -> None:
    put(database, "a", 0)
    run_all([sys.executable, "-c", COUNTER, str(where)], 4)
    assert database.execute("SELECT n FROM t") == [(400,)]


SPENDER = """
import sys
from synth_assets.resources.gateway.budget import Budget, Cap, Use
from synth_assets.resources.call_log.log import CallLog

budget = Budget(CallLog(sys.argv[1]), [Cap("r", 100, "tokens"), Cap("other", 1000, "tokens")])
for _ in range(40):
    if budget.reserve(Use(0, 3)) is None:
        budget.settle(Use(0, 3), Use(0, 2))
"""


def test_a_cap_holds_with_several_processes(where: Path | str) -> None:
    run_all([sys.executable, "-c", SPENDER, str(where)], 4)
    budget = Budget(CallLog(where), [Cap("r", 100, "tokens"), Cap("other", 1000, "tokens")])
    assert dict(CallLog(where).execute("SELECT scope, amount FROM budget")) == {
        "r tokens": 98,
        "other tokens": 98,
    }
    assert budget.reserve(Use(0, 3)) == "r is capped at 100 tokens"


def run_all(command: list[str], n: int) -> None:
    processes = [subprocess.Popen(command) for _ in range(n)]
    assert [process.wait() for process in processes] == [0] * n


def test_the_child_of_a_fork_has_a_connection_of_its_own(database: Database) -> None:
    with database.transaction() as execute:  # the child must not wait for it, nor end it
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            seen = database.execute("SELECT count(*) FROM t")
            database.close()
            os._exit(0 if seen == [(0,)] else 1)
        assert os.waitpid(child, 0)[1] == 0
        execute("INSERT INTO t (k) VALUES ('a')")
    assert database.execute("SELECT k FROM t") == [("a",)]


def test_a_log_is_used_again_after_close(where: Path | str) -> None:
    log = CallLog(where)
    log.claim(["a"])
    log.close()
    assert log.count() == 0
    log.close()


def test_a_server_that_was_started_again_is_no_matter(postgres: str) -> None:
    log = CallLog(postgres)
    log.claim(["a"])
    end_sessions(postgres)
    assert log.claim(["a"]) == {"a": False}
    end_sessions(postgres)
    assert log.count() == 0
    log.close()


def test_a_connection_that_breaks_in_a_transaction_loses_it_and_no_more(postgres: str) -> None:
    log = CallLog(postgres)
    insert = "INSERT INTO budget (scope, amount) VALUES (?, 1)"

    def break_off() -> None:
        with log.transaction() as execute:
            execute(insert, ("a",))
            end_sessions(postgres)
            execute(insert, ("b",))

    with pytest.raises(UserError, match=r"check that the server runs, .* in SYNTH_CALL_LOG"):
        break_off()
    assert log.execute("SELECT * FROM budget") == []
    log.close()


def end_sessions(url: str) -> None:
    """As a server does that is shut down."""
    others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with psycopg.connect(url) as connection:
        connection.execute(f"{others} AND backend_type = 'client backend'")


def test_a_log_that_is_complete_is_not_made_again(postgres: str) -> None:
    CallLog(postgres).count()
    with psycopg.connect(postgres) as other:
        other.execute("UPDATE calls SET model = model")  # until it ends, no index can be made
        log = CallLog(postgres)
        assert log.claim(["a"]) == {"a": True}
        log.close()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_name_of_postgres_is_understood(postgres: str, scheme: str) -> None:
    log = CallLog(f"{scheme}{postgres[postgres.index('://') :]}")
    assert log.claim(["a"]) == {"a": True}
    log.close()


def test_a_database_is_called_without_its_secrets(postgres: str) -> None:
    port = postgres.partition("127.0.0.1:")[2][:5]
    assert CallLog(postgres).name == f"postgresql://127.0.0.1:{port}/postgres"
    assert CallLog("postgres://[::1]:5432,b/d?user=u&password=p").name == "postgresql://[::1]:5432,b/d"
    assert CallLog("postgresql:///d?host=/tmp").name == "postgresql:///d"
    assert CallLog(Path("a.sqlite")).name == "a.sqlite"


def told(where: str) -> str:
    """All that is said when this cannot be opened."""
    with pytest.raises(UserError, match="SYNTH_CALL_LOG") as raised:
        CallLog(where).count()
    return "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ((PASSWORD, "hunter2-wrong"), "password authentication failed"),
        (("synth:", "nobody:"), "password authentication failed"),
        ((f":{PASSWORD}", ""), "no password supplied"),
        (("/postgres?", "/nothing?"), 'database "nothing" does not exist'),
    ],
)
def test_a_server_that_lets_us_not_in_says_why(postgres: str, change: tuple[str, str], says: str) -> None:
    error = told(postgres.replace(*change))
    assert says in error
    assert "hunter2" not in error


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@127.0.0.1:1/d",
        "postgresql://127.0.0.1:1/d?user=u&password=hunter2",
        "postgresql://u:hun@ter2@127.0.0.1:1/d",
        "postgresql://u:x/hunter2@127.0.0.1:1/d",
        "postgresql://u:x?hunter2@127.0.0.1:1/d",
        "postgresql://u:x#hunter2@127.0.0.1:1/d",
        "postgresql://u:hunter2%@127.0.0.1:1/d",
        "postgresql://u:hunter2:x@127.0.0.1:1/d",
        "postgresql://u:hunter2/d",
        "postgresql://127.0.0.1:1/d?hunter2",
        "postgresql://127.0.0.1:1/d?password=x@hunter2",
    ],
)
def test_a_secret_is_in_no_error(url: str) -> None:
    error = told(url)
    assert "hunter2" not in error
    assert "ter2" not in error


def test_without_psycopg_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        UserError, match=r'^call log postgresql://h/d: .*pip install "synth-assets\[postgres\]"'
    ):
        CallLog("postgresql://u:p@h/d").count()


def test_where_the_call_log_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNTH_HOME", raising=False)
    known: dict[str, Any] = {
        "": tmp_path / ".synth" / "calls.sqlite",
        "other/calls.sqlite": tmp_path / "other" / "calls.sqlite",
        "postgresql://u:p@h/d": "postgresql://u:p@h/d",
    }
    for given, expected in known.items():
        monkeypatch.setenv("SYNTH_CALL_LOG", given)
        assert place_of_calls() == expected
    monkeypatch.setenv("SYNTH_CALL_LOG", "mysql://u:hunter2@h/d")
    with pytest.raises(
        UserError, match=r"unknown scheme 'mysql' in SYNTH_CALL_LOG\. Known: postgresql, "
    ) as raised:
        place_of_calls()
    assert "hunter2" not in str(raised.value)


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/calls\.sqlite: .*; check the file and its folder"):
        CallLog(tmp_path / "file" / "calls.sqlite").find(["a"])
