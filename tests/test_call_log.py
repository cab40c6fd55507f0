"""The call log: what is appended is found, by any thread and process, and nothing is found by mistake."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from resources.call_log import OUTCOMES, REUSABLE, Answer, CallLog, TokenLogprob
from synth_assets.errors import UserError


def write(log: CallLog, answer: Answer, **more: Any) -> None:
    given: dict[str, Any] = {"messages": [{"role": "user", "content": "é?"}], "parameters": {"seed": 1}}
    log.append(answer, **{**given, "model": "small", "endpoint": "http://here/v1", **more})


@pytest.fixture
def log(tmp_path: Path) -> CallLog:
    return CallLog(tmp_path / "deep" / "calls.sqlite")


def test_an_answer_comes_back_as_it_was(log: CallLog) -> None:
    said = Answer(
        "a", "ok", "yes", "stop", [TokenLogprob("yes", -0.1, {"yes": -0.1, "no": -2.0})], 5, 1, 0.2, 2
    )
    write(log, said)
    found = log.find(["a", "b"])
    assert list(found) == ["a"]
    assert found["a"].from_log
    assert {**vars(found["a"]), "from_log": False} == vars(said)


def test_unknown_stays_none(log: CallLog) -> None:
    write(log, Answer("a", "ok", ""))
    answer = log.find(["a"])["a"]
    assert answer.text == ""
    assert (answer.prompt_tokens, answer.completion_tokens, answer.logprobs) == (None, None, None)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_only_what_the_model_said_is_reused(log: CallLog, outcome: str) -> None:
    write(log, Answer("a", outcome))
    assert ("a" in log.find(["a"])) == (outcome in REUSABLE)
    assert log.count() == 1


def test_the_latest_answer_counts_and_a_later_failure_does_not(log: CallLog) -> None:
    for answer in (Answer("a", "ok", "old"), Answer("a", "ok", "new"), Answer("a", "timed_out")):
        write(log, answer)
    assert log.find(["a"])["a"].text == "new"


def test_many_identities(log: CallLog) -> None:
    write(log, Answer("7", "ok"))
    assert list(log.find(str(i) for i in range(2000))) == ["7"]
    assert log.find([]) == {}


def test_anybody_can_query_it(log: CallLog) -> None:
    write(log, Answer("a", "ok"), context={"run_id": "r", "asset": "bank/generations", "partition_key": "p"})
    query = "SELECT json_extract(messages, '$[0].content'), run_id, asset, partition_key FROM calls"
    assert sqlite3.connect(log.path).execute(query).fetchall() == [("é?", "r", "bank/generations", "p")]


def test_half_an_emoji_can_be_kept(log: CallLog) -> None:
    write(log, Answer("a", "ok", "x"), messages=[{"role": "user", "content": "\ud83d"}])
    assert log.count() == 1


def test_threads_share_one_log(log: CallLog) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: write(log, Answer(str(i), "ok")), range(200)))
    assert len(log.find(map(str, range(200)))) == 200


def test_processes_share_one_log(log: CallLog) -> None:
    program = (
        "import sys; from tests.test_call_log import *; log = CallLog(sys.argv[1])\n"
        "for i in range(200): write(log, Answer(f'{sys.argv[2]}-{i}', 'ok'))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, log.path, str(p)]) for p in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert log.count() == 800


def test_a_full_disk_names_the_file(log: CallLog) -> None:
    log.count()
    assert log._connection
    pages = log._connection.execute("PRAGMA page_count").fetchone()[0]
    log._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UserError, match=r"calls\.sqlite: .*full; free some space"):
        write(log, Answer("a", "ok", "x" * 100_000))


def test_a_file_that_is_no_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "calls.sqlite").write_text("not a database, but long enough to look at" * 50)
    with pytest.raises(UserError, match=r"calls\.sqlite: file is not a database"):
        CallLog(tmp_path / "calls.sqlite").count()
