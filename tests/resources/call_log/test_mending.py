"""The call log beside the lake: what one of them has lost is told, and comes back from the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from synth_assets.core.asking import Answer, TokenLogprob
from synth_assets.core.errors import UserError
from synth_assets.core.identity import request_id
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.call_log.mending import NOTE, compare, mend, mend_place, note, repair
from synth_assets.resources.call_log.rows import COLUMNS, Entry
from synth_assets.resources.call_log.salvage import salvage
from synth_assets.resources.gateway.budget import Budget, Cap, Use
from synth_assets.resources.home import mended
from synth_assets.resources.storage.folder_lake import FolderLake
from tests.resources.call_log.test_call_log import PARAMETERS, QUESTION

PLACE = {"used_by": "generations", "round": "2026-11-21", "cell": "negative"}
CALLS = 1_200


def entry(n: int, **answer: Any) -> Entry:
    """A call under its own identity."""
    parameters = {**PARAMETERS, "replicate": str(n)}
    identity = request_id(**QUESTION, **parameters)
    said = Answer(identity, **{"outcome": "ok", "text": f"é {n}", "prompt_tokens": n, **answer})
    context = {"run_id": "r", "asset": "reviews/generations", "partition_key": "negative|2026-11-21"}
    return Entry(said, parameters={**parameters, "seed": 1}, context=context, **QUESTION)


def write(log: CallLog, lake: FolderLake, numbers: range) -> list[str]:
    """Calls in both; their identities."""
    log.append([entry(n, thoughts="hm" if n % 2 else None, cost=0.5) for n in numbers])
    identities = [entry(n).answer.identity for n in numbers]
    rows = [{**row, "call_id": row["identity"], **PLACE} for row in log.rows(identities)]
    names = ["call_id", *PLACE, *COLUMNS[1:]]
    left_out = ("digest", "asset", "partition_key")
    columns = {name: [row[name] for row in rows] for name in names if name not in left_out}
    lake.write("reviews", "calls", PLACE, pa.table(columns))
    note(log, lake)
    return identities


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return tmp_path / "calls.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
def lake(tmp_path: Path) -> FolderLake:
    return FolderLake(tmp_path / "lake")


@pytest.fixture
def log(where: Path | str) -> Iterator[CallLog]:
    log = CallLog(where)
    yield log
    log.close()


def content(log: CallLog) -> list[tuple[Any, ...]]:
    return log.execute(f"SELECT {', '.join(COLUMNS)} FROM calls ORDER BY identity, id")


def told(capsys: pytest.CaptureFixture) -> str:
    return str(capsys.readouterr().err)


@pytest.mark.parametrize(
    "lost", ["1 = 1", "id % 2 = 0", "id > 600", "id < 3"], ids=["all", "half", "the latest", "the first"]
)
def test_calls_that_are_gone_come_back_before_anybody_asks(
    where: Path | str, log: CallLog, lake: FolderLake, lost: str, capsys: pytest.CaptureFixture
) -> None:
    identities = write(log, lake, range(CALLS))
    before = content(log)
    log.execute(f"DELETE FROM calls WHERE {lost}")
    assert not log.has(identities)
    gone = CALLS - log.count()
    assert len(compare(log, lake, "reviews", PLACE).missing) == gone
    again = mended(where, lake)
    assert set(again.find(identities)) == set(identities)
    assert f"note: {gone:,} calls were missing or changed in the call log {log.name}" in told(capsys)
    assert content(log) == before
    mended(where, lake).find(identities)
    assert told(capsys) == ""
    again.close()


def test_what_a_lost_log_knew_of_budgets_comes_back(
    where: Path | str, log: CallLog, lake: FolderLake
) -> None:
    budget = Budget(log, [Cap("reviews/all", 100, "tokens")])
    budget.reserve(Use(0, 90))
    write(log, lake, range(3))
    for table in ("calls", "budget"):
        log.execute(f"DELETE FROM {table}")
    again = mended(where, lake)
    assert Budget(again, budget.caps).reserve(Use(0, 20)) == "reviews/all is capped at 100 tokens"
    assert Budget(again, budget.caps).reserve(Use(0, 5)) is None
    note(again, lake)
    mend(again, lake, "broken")
    assert again.execute("SELECT scope, amount FROM budget") == [("reviews/all tokens", 95)]
    again.close()


def test_rows_are_counted_where_an_answer_is_missing(
    where: Path | str, log: CallLog, lake: FolderLake
) -> None:
    """And not at each opening; numbers that no row ever had (of a transaction that was taken back) are no
    loss."""
    identities = write(log, lake, range(9))
    with suppress(ZeroDivisionError), log.transaction() as execute:
        log.append([entry(20)], within=execute)
        raise ZeroDivisionError
    log.append([entry(21)])
    asked = list[str]()
    again = mended(where, lake)
    execute = again._database.execute
    again._database.execute = lambda words, *values: asked.append(words) or execute(words, *values)
    assert len(again.find(identities)) == 9
    assert not [words for words in asked if words.endswith("count(*) FROM calls")]
    again.find(["x"])
    again.find(["y"])
    assert len([words for words in asked if words.startswith("SELECT (SELECT count(*)")]) == 1
    assert not [words for words in asked if "messages" in words]  # nothing was compared
    again.close()


@pytest.mark.parametrize(
    "change",
    [
        "text = 'changed by hand'",
        "thoughts = 'x'",
        "prompt_tokens = prompt_tokens + 1",
        "outcome = 'refused'",
    ],
)
def test_an_answer_that_was_changed_is_named_never_used_and_comes_back(
    where: Path | str, log: CallLog, lake: FolderLake, change: str, capsys: pytest.CaptureFixture
) -> None:
    identities = write(log, lake, range(30))
    before = content(log)
    log.execute(f"UPDATE calls SET {change} WHERE id <= 20")
    assert len([str(row) for row in log.verify() if "the answer to" in str(row)]) == 20
    assert len(log.find(identities)) == len(list(log.rows(identities))) == 10
    assert "20 answers in the call log" in told(capsys)
    assert log.claim(identities[:1]) == {identities[0]: True}
    again = mended(where, lake)
    assert len(again.find(identities)) == 30
    assert content(log) == before
    assert list(log.verify()) == []
    again.close()


def test_what_no_table_has_is_asked_for_again_and_then_the_new_answer_counts(
    where: Path | str, log: CallLog, lake: FolderLake, capsys: pytest.CaptureFixture
) -> None:
    write(log, lake, range(3))
    log.append([entry(7)])
    identity = entry(7).answer.identity
    log.execute("UPDATE calls SET text = 'x' WHERE identity = ?", (identity,))
    again = mended(where, lake)
    for _ in range(2):
        assert again.find([identity]) == {}
    assert told(capsys).count("no table has a copy of them: they are asked for and paid again") == 1
    again.append([entry(7)])
    assert again.find([identity])[identity].text == "é 7"
    assert list(again.verify()) == []
    again.close()


def test_a_question_that_was_changed_and_a_call_under_another_name_are_mended(
    log: CallLog, lake: FolderLake
) -> None:
    identities = write(log, lake, range(5))
    before = content(log)
    log.execute("UPDATE calls SET messages = '[]' WHERE identity = ?", (identities[0],))
    log.execute("UPDATE calls SET identity = 'x' WHERE identity = ?", (identities[1],))
    assert len(list(log.verify())) == 2
    repair(log, lake)
    assert list(log.verify()) == []
    assert content(log) == before


def test_a_log_without_hashes_goes_on_at_once_and_gets_them_where_the_lake_agrees(
    where: Path | str, log: CallLog, lake: FolderLake, capsys: pytest.CaptureFixture
) -> None:
    identities = write(log, lake, range(5))
    log.append([entry(9)])
    log.execute("UPDATE calls SET digest = NULL")
    (lake.root / NOTE).unlink()
    upgraded = mended(where, lake)
    assert len(upgraded.find(identities)) == 5
    assert log.execute("SELECT count(digest) FROM calls") == [(0,)]  # nothing was compared
    log.execute("UPDATE calls SET text = 'by hand' WHERE identity = ?", (identities[0],))
    found = compare(log, lake, "reviews", PLACE)
    assert (len(found.other), len(found.proven), found.missing, found.strange) == (1, 4, [], [])
    mend(log, lake, "broken")
    assert log.execute("SELECT count(digest) FROM calls") == [(4,)]
    repair(log, lake)
    assert log.find(identities)[identities[0]].text == "é 0"
    assert log.execute("SELECT count(digest) FROM calls") == [(5,)]  # of the sixth nothing is known
    upgraded.close()


def test_a_table_that_is_wrong_by_the_log_is_told_and_changes_nothing(log: CallLog, lake: FolderLake) -> None:
    write(log, lake, range(5))
    before, table = content(log), lake.table("reviews", "calls", PLACE)
    other = pa.array(["other", *table["text"].to_pylist()[1:]])
    lake.write("reviews", "calls", PLACE, table.set_column(table.column_names.index("text"), "text", other))
    assert len(compare(log, lake, "reviews", PLACE).strange) == 1
    repair(log, lake)
    assert content(log) == before


def test_a_damaged_table_gives_nothing(where: Path | str, log: CallLog, lake: FolderLake) -> None:
    write(log, lake, range(5))
    path = lake.path("reviews", "calls", PLACE)
    path.write_bytes(path.read_bytes()[:-9])
    log.execute("DELETE FROM calls")
    again = mended(where, lake)
    assert again.count() == 0
    again.close()


def test_calls_of_a_partition_come_back_before_it_is_made_again(log: CallLog, lake: FolderLake) -> None:
    """Also where how far the log goes says nothing."""
    identities = write(log, lake, range(5))
    log.execute("DELETE FROM calls WHERE identity = ?", (identities[2],))
    note(log, lake)
    mend_place(log, lake, "reviews", used_by="scores")
    assert log.count() == 4
    mend_place(log, lake, "reviews", used_by="generations")
    assert log.has(identities)


def test_a_note_that_is_damaged_is_written_anew(where: Path | str, log: CallLog, lake: FolderLake) -> None:
    identities = write(log, lake, range(3))
    for said in ("", "{", "[]", '{"first": 1, "last": "x", "rows": 0, "old": false, "budget": 3}'):
        (lake.root / NOTE).write_text(said)
        log.execute("DELETE FROM calls WHERE id = (SELECT max(id) FROM calls)")
        again = mended(where, lake)
        assert len(again.find(identities)) == 3
        again.close()
        assert '"last"' in (lake.root / NOTE).read_text()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "calls.sqlite"


def zeroes(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 200] = bytes(200)
    file.write_bytes(content)


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def other(file: Path) -> None:
    file.write_text("not a database, but long enough to look at" * 50)


@pytest.mark.parametrize(("spoil", "least"), [(zeroes, 100), (half, 100), (other, 0)])
def test_a_damaged_file_is_salvaged_and_the_rest_comes_from_the_lake(
    file: Path, lake: FolderLake, spoil: Any, least: int, capsys: pytest.CaptureFixture
) -> None:
    log = CallLog(file)
    identities = write(log, lake, range(CALLS))
    log.append([entry(n, outcome="timed_out", text=None) for n in range(3)])
    before = content(log)
    log.execute("INSERT INTO budget (scope, amount) VALUES ('reviews/all dollars', 5)")
    log.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    log.close()
    spoil(file)
    assert "`synth verify --repair` saves what can be read of it" in CallLog(file).damage()
    damaged = file.read_bytes()
    words = salvage(file)
    assert f"{file}.damaged-1 is what was damaged" in words
    assert file.with_name("calls.sqlite.damaged-1").read_bytes() == damaged
    log = CallLog(file)
    saved = log.count()
    assert saved >= least
    mend(log, lake)
    assert log.has(identities)
    assert log.damage() == ""
    assert list(log.verify()) == []
    assert {row[0] for row in content(log)} == {row[0] for row in before}
    if spoil is not half:
        assert ("what was spent, the lake knows" in words) == (spoil is other)
    log.close()


def test_a_run_stops_at_a_damaged_file(file: Path, lake: FolderLake) -> None:
    other(file)
    with pytest.raises(UserError, match="is not a database; `synth verify --repair`") as raised:
        mended(file, lake).find(["x"])
    assert raised.value.code == "damaged"


def test_a_text_that_is_none_any_more_is_a_changed_answer(file: Path) -> None:
    """A bit of it was flipped: SQLite gives bytes that are no UTF-8."""
    log = CallLog(file)
    log.append([entry(1)])
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE calls SET text = CAST(x'ff41' AS TEXT)")
    assert log.find([entry(1).answer.identity]) == {}
    assert ["the answer to" in str(row) for row in log.verify()] == [True]


def test_logprobs_are_part_of_an_answer(file: Path) -> None:
    log = CallLog(file)
    log.append([entry(1, logprobs=[TokenLogprob("a", -0.5)])])
    log.execute("UPDATE calls SET logprobs = replace(logprobs, '0.5', '0.1')")
    assert log.find([entry(1).answer.identity]) == {}
