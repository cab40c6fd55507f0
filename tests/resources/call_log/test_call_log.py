"""The call log: what is appended is found, by any thread and process, and nothing is found by mistake."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import OUTCOMES, REUSABLE, Answer, TokenLogprob
from synth_assets.core.errors import UserError
from synth_assets.core.identity import request_id
from synth_assets.resources.call_log.log import CallLog, Mismatch
from synth_assets.resources.call_log.rows import Entry
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request
from tests.endpoint import Endpoint
from tests.forked import python

QUESTION = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "é?"}],
    "model": "small",
    "endpoint": "http://here/v1",
}
PARAMETERS = {
    "api": "chat",
    "sampling": {"top_p": 1.0, "n": 1},
    "schema": {"type": "object"},
    "replicate": "0",
}


def entry(answer: Answer, **more: Any) -> Entry:
    return Entry(answer, **{**QUESTION, "parameters": {**PARAMETERS, "seed": 1}, **more})


def write(log: CallLog, *answers: Answer) -> None:
    log.append([entry(answer) for answer in answers])


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return (
        tmp_path / "deep" / "calls.sqlite"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres")
    )


@pytest.fixture
def log(where: Path | str) -> Iterator[CallLog]:
    log = CallLog(where)
    yield log
    log.close()


def test_an_answer_comes_back_as_it_was(log: CallLog) -> None:
    logprobs = [TokenLogprob("yes", -0.1, {"yes": -0.1, "no": -2.0})]
    said = Answer("a", "ok", "yes", "stop", logprobs, 5, 1, 0.2, 2.0, 3, "slow", "estimated")
    write(log, said)
    found = log.find(["a", "b"])
    assert list(found) == ["a"]
    assert found["a"].from_log
    assert replace(found["a"], from_log=False) == said


def test_unknown_stays_none(log: CallLog) -> None:
    write(log, Answer("a", "ok", ""))
    assert log.find(["a"])["a"] == Answer("a", "ok", "", from_log=True)


@pytest.mark.parametrize(
    "text",
    [
        "a\0b",
        "\0",
        "\x1a",
        "\x1a0\x1a1",
        "\x1a\0",
        "a\x01\x07\x1b[31m\x7f\x85\u2028\ufeff\r\n\t.",
        "%s ? $1 '\"\\",
    ],
)
def test_every_character_comes_back(log: CallLog, text: str) -> None:
    said = Answer("a", "ok", text, text, [TokenLogprob(text, -1.0)], error=text)
    log.append([entry(said, messages=[{"role": "user", "content": text}], context={"run_id": text})])
    assert replace(log.find(["a"])["a"], from_log=False) == said
    (row,) = log.rows(["a"])
    assert json.loads(row["messages"]) == [{"role": "user", "content": text}]
    assert row["run_id"] == text


def test_ten_megabytes_come_back(log: CallLog) -> None:
    text = "né\0" * 2_500_000
    write(log, Answer("a", "ok", text))
    assert log.find(["a"])["a"].text == text


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_only_what_the_model_said_is_reused(log: CallLog, outcome: str) -> None:
    write(log, Answer("a", outcome))
    assert ("a" in log.find(["a"])) == (outcome in REUSABLE)
    assert log.count() == 1


def test_the_latest_answer_counts_and_a_later_failure_does_not(log: CallLog) -> None:
    write(log, Answer("a", "ok", "old"), Answer("a", "ok", "new"), Answer("a", "timed_out"))
    assert log.find(["a"])["a"].text == "new"
    assert [row["outcome"] for row in log.rows(["a"])] == ["timed_out"]


def test_many_identities(log: CallLog) -> None:
    write(log, Answer("7", "ok"))
    assert list(log.find(str(i) for i in range(2000))) == ["7"]
    assert log.find([]) == {}


def test_rows_are_written_and_read_in_order(log: CallLog) -> None:
    names = [str(i) for i in range(1201)]
    log.append([entry(Answer(name, "ok"), context={"run_id": "r"}) for name in names])
    assert [i for (i,) in log.execute("SELECT identity FROM calls ORDER BY id")] == names
    asked = [*names[::-1], "never asked", *names]
    read = log.rows(iter(asked))
    assert next(read)["identity"] == "1200"
    assert [row["identity"] for row in read] == names[-2::-1]


def test_nothing_to_write_is_no_matter(log: CallLog) -> None:
    log.append([])
    log.release([])
    assert log.claim([]) == {}
    assert list(log.rows([])) == []
    assert log.count() == 0


def test_all_rows_of_an_append_or_none(log: CallLog) -> None:
    wrong: Any = None  # the column takes no null
    with pytest.raises(UserError, match="endpoint"):
        log.append([entry(Answer("a", "ok")), entry(Answer("b", "ok"), endpoint=wrong)])
    assert log.count() == 0
    write(log, Answer("a", "ok"))
    assert log.count() == 1


def test_anybody_can_query_it(log: CallLog) -> None:
    context = {"run_id": "r", "asset": "bank/generations", "partition_key": "p"}
    log.append([entry(Answer("a", "ok", prompt_tokens=2**40), context=context)])
    query = "SELECT messages, run_id, asset, partition_key, prompt_tokens, cost FROM calls"
    ((messages, *rest),) = log.execute(query)
    assert json.loads(messages) == QUESTION["messages"]
    assert rest == ["r", "bank/generations", "p", 2**40, None]


def test_half_an_emoji_can_be_kept(log: CallLog) -> None:
    log.append([entry(Answer("a", "ok", "x"), messages=[{"role": "user", "content": "\ud83d"}])])
    assert log.count() == 1


def test_a_claim_is_for_one(where: Path | str, log: CallLog) -> None:
    other = CallLog(where)
    write(log, Answer("said", "ok", "yes"))
    assert log.claim(["a", "b", "said", "a"]) == {
        "a": True,
        "b": True,
        "said": Answer("said", "ok", "yes", from_log=True),
    }
    assert other.claim(["b", "c"]) == {"b": False, "c": True}
    write(log, Answer("a", "timed_out"))
    log.release(["b"])
    assert other.claim(["a", "b"]) == {"a": True, "b": True}
    other.close()


def test_threads_share_one_log(log: CallLog) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: write(log, Answer(str(i), "ok")), range(200)))
    assert len(log.find(map(str, range(200)))) == 200


WRITER = """
import sys
from tests.resources.call_log.test_call_log import Answer, CallLog, write

log = CallLog(sys.argv[1])
for i in range(50):
    write(log, *(Answer(f"{sys.argv[2]}-{i}-{n}", "ok") for n in range(3)))
"""


def test_eight_processes_write_at_once(where: Path | str, log: CallLog) -> None:
    processes = [python(WRITER, str(where), str(p)) for p in range(8)]  # they make the tables at once, too
    assert [process.wait() for process in processes] == [0] * 8
    written = Counter(identity for (identity,) in log.execute("SELECT identity FROM calls"))
    assert written == Counter(f"{p}-{i}-{n}" for p in range(8) for i in range(50) for n in range(3))


def test_a_log_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself does not wait where the way that a file is written changes."""
    other = sqlite3.connect(tmp_path / "calls.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("CREATE TABLE t (k)")
    timer = Timer(0.5, other.execute, ["COMMIT"])
    timer.start()
    assert CallLog(tmp_path / "calls.sqlite").count() == 0
    timer.join()
    other.close()


CLAIMER = """
import sys
from synth_assets.resources.call_log.log import CallLog

log, names = CallLog(sys.argv[1]), [str(i) for i in range(600)]
print(log.count(), flush=True)
sys.stdin.readline()  # all start together
claimed = [log.claim(names[i : i + 60]) for i in range(0, 600, 60)]
print(*(name for claims in claimed for name, mine in claims.items() if mine), flush=True)
sys.stdin.readline()  # a claim ends with its process
"""


def test_what_processes_claim_at_the_same_time_is_claimed_once(where: Path | str) -> None:
    run = [sys.executable, "-c", CLAIMER, str(where)]
    processes = [subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]

    def all_say() -> list[bytes]:
        return [process.stdout.readline() for process in processes if process.stdout]

    def tell_all() -> None:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()

    assert all_say() == [b"0\n"] * 3
    tell_all()
    claimed = [name for names in all_say() for name in names.decode().split()]
    tell_all()
    assert [process.wait() for process in processes] == [0] * 3
    assert sorted(claimed) == sorted(str(i) for i in range(600))


def logged(log: CallLog) -> str:
    """Three calls in the log, under their own identities; that of the second."""
    names = []
    for replicate in "012":
        parameters: dict[str, Any] = {**PARAMETERS, "replicate": replicate}
        names.append(request_id(**QUESTION, **parameters))
        log.append([entry(Answer(names[-1], "ok"), parameters={**parameters, "seed": 7})])
    return names[1]


def test_the_log_verifies_itself(log: CallLog) -> None:
    logged(log)
    assert list(log.verify()) == []


def test_what_the_language_model_logs_is_verified(log: CallLog, tmp_path: Path) -> None:
    asked = ({"role": "user", "content": "é\0\u2028 \\u00e9"},)
    sampling = {"temperature": 1.0, "stop": ("\n", "é"), "seed": None}
    schema = Schema.of({"text": "text", "n": "integer"})
    with Endpoint() as endpoint:
        model = Model("small", base_url=endpoint.url, parameters={"top_p": 0.9})
        requests = [Request(asked, sampling, "0"), Request(asked, {}, "1"), Request(asked, {}, "0", schema)]
        LanguageModel(log, tmp_path).complete(model, requests)
    assert log.count() >= 3
    assert list(log.verify()) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("messages", '[{"role": "user", "content": "Another question"}]'),
        ("parameters", json.dumps({**PARAMETERS, "sampling": {"top_p": 0.9, "n": 1}})),
        ("model", "large"),
        ("endpoint", "http://there/v1"),
    ],
)
def test_a_row_that_somebody_edited_is_found(log: CallLog, column: str, value: str) -> None:
    name = logged(log)
    log.execute(f"UPDATE calls SET {column} = ? WHERE identity = ?", (value, name))
    ((id_, identity, expected, _),) = log.verify()
    assert log.execute("SELECT identity FROM calls WHERE id = ?", (id_,)) == [(name,)]
    assert identity == name
    assert expected not in (name, None)


def test_a_row_under_another_identity_is_found_with_its_own(log: CallLog) -> None:
    name = logged(log)
    log.execute("UPDATE calls SET identity = 'x' WHERE identity = ?", (name,))
    ((_, identity, expected, _),) = log.verify()
    assert (identity, expected) == ("x", name)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("messages", "[{"),
        ("messages", "5"),
        ("messages", "[NaN]"),
        ("parameters", "{}"),
        ("parameters", "[]"),
    ],
)
def test_a_row_that_holds_no_call_is_found(log: CallLog, column: str, value: str) -> None:
    name = logged(log)
    log.execute(f"UPDATE calls SET {column} = ? WHERE identity = ?", (value, name))
    ((id_, *_),) = log.execute("SELECT id FROM calls WHERE identity = ?", (name,))
    assert list(log.verify()) == [Mismatch(id_, name, None)]


def test_a_log_from_before_there_were_prices_goes_on(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "calls.sqlite") as old:
        old.execute(
            "CREATE TABLE calls (id INTEGER PRIMARY KEY AUTOINCREMENT, identity TEXT NOT NULL, "
            "messages TEXT NOT NULL, parameters TEXT NOT NULL, model TEXT NOT NULL, endpoint TEXT NOT NULL, "
            "outcome TEXT NOT NULL, text TEXT, finish_reason TEXT, logprobs TEXT, prompt_tokens INTEGER, "
            "completion_tokens INTEGER, latency_s REAL, attempts INTEGER NOT NULL, error TEXT, run_id TEXT, "
            "asset TEXT, partition_key TEXT, time TEXT NOT NULL)"
        )
        old.execute(
            "INSERT INTO calls (identity, messages, parameters, model, endpoint, outcome, attempts, time) "
            "VALUES ('a', '[]', '{}', 'm', 'e', 'ok', 1, '2026-11-22')"
        )
    log = CallLog(tmp_path / "calls.sqlite")
    write(log, Answer("b", "ok", cost=0.5, tokens_from="provider"))
    assert log.find(["a", "b"]) == {
        "a": Answer("a", "ok", from_log=True),
        "b": Answer("b", "ok", cost=0.5, tokens_from="provider", from_log=True),
    }


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    log = CallLog(tmp_path / "calls.sqlite")
    ((pages,),) = log.execute("PRAGMA page_count")
    log.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UserError, match=r"calls\.sqlite: .*full; free some space"):
        write(log, Answer("a", "ok", "x" * 100_000))


def test_a_file_that_is_no_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "calls.sqlite").write_text("not a database, but long enough to look at" * 50)
    with pytest.raises(UserError, match=r"calls\.sqlite: file is not a database"):
        CallLog(tmp_path / "calls.sqlite").count()
