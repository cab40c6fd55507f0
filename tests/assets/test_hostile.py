"""What endpoints and models do at their worst: faults all over a batch, and answers that try to break out."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from synth_assets.assets.factory import preview
from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import Answer
from synth_assets.core.templates import render
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway import sending
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request
from synth_assets.resources.storage.folder_lake import FolderLake

REQUESTS = 2_000
FAULTS = {"429": 0.05, "500": 0.02, "reset": 0.01, "cut": 0.01, "slow": 0.01}  # shares of the requests
SLOW = 2.0  # seconds
IN_A_ROW = 2  # faults of one prompt; with four attempts it is answered
SCHEMA = pa.schema([("round", pa.string()), ("call_id", pa.string()), ("text", pa.string())])
PARTITION = {"round": "2026-11-22"}
DEEP = "[" * 5_000 + "]" * 5_000
HOSTILE = {
    "nul and control characters": "a\0b\x01\x07\x1b[31m\x7f\x85\u2028\u202e\ufeff\r\n\t.",
    "10 MB": "né" * 3_300_000,
    "deep json": DEEP,
    "sql": "'); drop table calls; --",
    "jinja": "{{ 7*7 }}{% for x in y %}{# gone #}{{ ''.__class__.__mro__ }}",
    "html and markdown": "<script>alert(1)</script> a | b\n|---|\n[x](javascript:alert(1)) ![y](http://z)",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "BACKOFF", 0.01)


@pytest.fixture
def lm(tmp_path: Path) -> LanguageModel:
    return LanguageModel(CallLog(tmp_path / "calls.sqlite"), tmp_path / "server")


def ask(*questions: str, **more: Any) -> list[Request]:
    return [Request(({"role": "user", "content": q},), **more) for q in questions]


def answer_body(text: str, **more: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}, **more}
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def http(body: bytes, status: str = "200 OK", headers: str = "", missing: int = 0) -> bytes:
    """A response as it goes over the wire; `missing` bytes are promised and never sent."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body) + missing}\r\n\r\n".encode() + body


Send = Callable[[str, asyncio.StreamWriter], Any]  # an answer to this prompt; a coroutine function


@contextmanager
def serve(send: Send) -> Iterator[str]:
    """The base URL of an HTTP server in a thread that leaves every byte of its answers to `send`."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length:")[2].partition("\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                await send(body["messages"][-1]["content"], writer)
        except (EOFError, OSError, asyncio.CancelledError):
            pass  # the client has left, or the test is over
        finally:
            writer.close()

    async def run() -> None:
        async with await asyncio.start_server(talk, "127.0.0.1", 0, backlog=512) as server:
            ready.append(server.sockets[0].getsockname()[1])
            started.set()
            await stop.wait()

    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    ready: list[int] = []
    started = threading.Event()

    def main() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    assert started.wait(120)
    try:
        yield f"http://127.0.0.1:{ready[0]}/v1"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


class Chaos:
    """Answers `<prompt>!`, or not: `seen` counts what it did instead."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seen: Counter[str] = Counter()
        self.in_a_row: Counter[str] = Counter()

    def draw(self, prompt: str) -> str:
        fault = self.random.choices(["", *FAULTS], [1 - sum(FAULTS.values()), *FAULTS.values()])[0]
        if self.in_a_row[prompt] == IN_A_ROW:
            fault = ""
        self.in_a_row[prompt] = self.in_a_row[prompt] + 1 if fault else 0
        self.seen[fault] += 1
        return fault

    async def __call__(self, prompt: str, writer: asyncio.StreamWriter) -> None:
        error, answer = b'{"error": {"message": "not now"}}', answer_body(prompt + "!")
        match self.draw(prompt):
            case "429":
                writer.write(http(error, "429 Too Many Requests", "Retry-After: 1\r\n"))
            case "500":
                writer.write(http(error, "500 Internal Server Error"))
            case "reset":
                writer.transport.abort()
            case "cut":
                writer.write(http(answer, missing=50))
                writer.close()
            case "slow":
                await asyncio.sleep(SLOW)
                writer.write(http(answer))
            case _:
                writer.write(http(answer))


def test_a_batch_survives_an_endpoint_that_fails_in_every_way(lm: LanguageModel) -> None:
    questions = [f"q{i}" for i in range(REQUESTS)]
    chaos = Chaos(seed=7)
    with serve(chaos) as url:
        model = Model("small", base_url=url, max_concurrency=128)
        answers = lm.complete(model, ask(*questions))
        assert set(chaos.seen) == {"", *FAULTS}  # each has happened
        asked = chaos.seen.total()
        again = lm.complete(model, ask(*questions))
        assert chaos.seen.total() == asked
    assert Counter(a.outcome for a in answers) == {"ok": REQUESTS}
    assert [a.text for a in answers] == [q + "!" for q in questions]
    assert sum(a.attempts for a in answers) == asked  # nobody else tries again behind our back
    rows = in_the_log(lm, "select identity, count(*) from calls where outcome = 'ok' group by identity")
    assert rows == dict.fromkeys((a.identity for a in answers), 1)
    assert lm.call_log.count() == REQUESTS
    assert [replace(a, from_log=False) for a in again] == answers


def in_the_log(lm: LanguageModel, query: str) -> dict[Any, Any]:
    with sqlite3.connect(lm.call_log.name) as connection:
        return dict(connection.execute(query).fetchall())


def told(lm: LanguageModel, body: bytes, **request: Any) -> Answer:
    """What becomes of an answer with this body, asked once over the wire."""

    async def send(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(http(body))

    with serve(send) as url:
        return lm.complete(Model("small", base_url=url, timeout_s=20), ask("a", **request))[0]


def in_the_lake(folder: Path, *answers: Answer) -> list[str | None]:
    """The texts, after a way through the lake, as DuckDB reads them."""
    columns = {
        "round": [PARTITION["round"]] * len(answers),
        "call_id": [a.identity for a in answers],
        "text": [a.text for a in answers],
    }
    lake = FolderLake(folder / "lake")
    lake.write("r", "generations", PARTITION, pa.table(columns, schema=SCHEMA))
    scan = lake.scan_sql("r", "generations", [PARTITION])
    return [text for (text,) in duckdb.sql(f"select text from {scan}").fetchall()]


def test_hostile_texts_stay_as_they_are(lm: LanguageModel, tmp_path: Path) -> None:
    async def send(prompt: str, writer: asyncio.StreamWriter) -> None:
        writer.write(http(answer_body(HOSTILE[prompt])))

    with serve(send) as url:
        answers = lm.complete(Model("small", base_url=url, timeout_s=20), ask(*HOSTILE))
    assert [a.outcome for a in answers] == ["ok"] * len(HOSTILE)
    assert [a.text for a in answers] == list(HOSTILE.values())
    found = CallLog(lm.call_log.name).find(a.identity for a in answers)
    assert [replace(found[a.identity], from_log=False) for a in answers] == answers
    assert in_the_lake(tmp_path, *answers) == list(HOSTILE.values())
    assert lm.call_log.count() == len(HOSTILE)


def test_half_an_emoji_becomes_a_question_mark(lm: LanguageModel, tmp_path: Path) -> None:
    half = {"token": "\ud800", "logprob": -0.5, "top_logprobs": [{"token": "\udfff", "logprob": -1.5}]}
    answer = told(lm, answer_body("a\ud800b", logprobs={"content": [half]}))
    assert (answer.outcome, answer.text) == ("ok", "a?b")
    assert answer.logprobs is not None
    assert (answer.logprobs[0].token, answer.logprobs[0].top) == ("?", {"?": -1.5})
    assert replace(lm.call_log.find([answer.identity])[answer.identity], from_log=False) == answer
    assert in_the_lake(tmp_path, answer) == ["a?b"]


@pytest.mark.parametrize(
    "body",
    [
        answer_body("abc").replace(b"abc", b"a\xff\xc3b"),
        b"",
        b"null",
        b'{"choices": []}',
        answer_body("a").replace(b'"a"', b"[1]"),
        answer_body("a").replace(b'"a"', b"NaN"),
    ],
    ids=["invalid utf-8", "empty", "null", "no choice", "a list", "a number"],
)
def test_what_is_no_answer_is_a_row_and_no_text(lm: LanguageModel, tmp_path: Path, body: bytes) -> None:
    answer = told(lm, body)
    assert (answer.outcome, answer.text) == ("provider_error", None)
    assert answer.attempts == 2  # each may have been billed
    assert answer.error
    assert lm.call_log.find([answer.identity]) == {}  # so it is asked again
    row = next(lm.call_log.rows([answer.identity]))
    assert (row["outcome"], row["error"]) == ("provider_error", answer.error)
    assert in_the_lake(tmp_path, answer) == [None]


def test_json_that_is_too_deep_to_read_is_invalid(lm: LanguageModel) -> None:
    answer = told(lm, answer_body(DEEP), schema=Schema.of({"text": "text"}))
    assert (answer.outcome, answer.text) == ("invalid", DEEP)


def test_a_body_that_is_too_deep_to_read_is_no_answer(lm: LanguageModel) -> None:
    answer = told(lm, answer_body("a").replace(b'"a"', DEEP.encode()))
    assert (answer.outcome, answer.text) == ("provider_error", None)


@pytest.mark.parametrize("usage", ["null", "{}", '{"prompt_tokens": null}'])
def test_a_token_count_that_is_not_told_is_unknown(lm: LanguageModel, usage: str) -> None:
    check_tokens_unknown(lm, usage)


@pytest.mark.parametrize(
    "tokens", ['"5"', "-1", "1e400", "9000000000000000000", "123456789012345678901", "{}"]
)
def test_a_token_count_that_is_no_count_is_unknown(lm: LanguageModel, tokens: str) -> None:
    check_tokens_unknown(lm, f'{{"prompt_tokens": {tokens}}}')


@pytest.mark.parametrize("usage", ['"none"', "[5]"])
def test_a_usage_that_is_none_is_unknown(lm: LanguageModel, usage: str) -> None:
    check_tokens_unknown(lm, usage)


def check_tokens_unknown(lm: LanguageModel, usage: str) -> None:
    body = answer_body("a")
    answer = told(lm, body[: body.index(b'"usage": ')] + f'"usage": {usage}}}'.encode())
    assert (answer.outcome, answer.text, answer.prompt_tokens) == ("ok", "a", None)
    assert lm.call_log.find([answer.identity])[answer.identity].prompt_tokens is None


@pytest.mark.parametrize("reason", ["\ud800", {"type": "stop"}, 5])
def test_a_strange_finish_reason_does_not_cost_the_answer(lm: LanguageModel, reason: Any) -> None:
    answer = told(lm, answer_body("a", finish_reason=reason))
    assert (answer.outcome, answer.text) == ("ok", "a")
    assert replace(lm.call_log.find([answer.identity])[answer.identity], from_log=False) == answer


def test_a_generated_text_in_a_prompt_is_not_rendered_again() -> None:
    template = "{% for d in demonstrations %}\n- {{ d.text }}\n{% endfor %}\n{{ tone }}: "
    evil = HOSTILE["jinja"]
    prompt = render(template, {"demonstrations": [{"text": evil}, {"text": "{{ tone }}"}], "tone": "angry"})
    assert prompt == f"- {evil}\n- {{{{ tone }}}}\nangry: "


def table(rows: pd.DataFrame) -> list[str]:
    """The lines of a preview."""
    return (preview(rows).md_str or "").split("\n")


def cells(line: str) -> int:
    """Cells of a row of a Markdown table: a backslash and what follows it is no border."""
    return re.sub(r"\\.", "", line).count("|") - 1


@pytest.mark.parametrize("text", list(HOSTILE.values()), ids=list(HOSTILE))
def test_a_preview_is_a_table_of_one_line_a_row(text: str) -> None:
    rows = pd.DataFrame({"text": [text, "fine"], "label": ["a", "b"], "probabilities": [{"a": text}, None]})
    lines = table(rows)
    assert [cells(line) for line in lines] == [3] * (2 + len(rows))
    assert "<" not in "".join(lines)
    assert "![" not in "".join(lines)  # nothing is fetched because somebody looks
    assert max(len(line) for line in lines) < 1_000


@pytest.mark.parametrize("text", ["a \\| b", "a \\\\\\| b"])
def test_a_backslash_does_not_open_a_cell_of_a_preview(text: str) -> None:
    assert cells(table(pd.DataFrame({"text": [text]}))[2]) == 1


def test_the_names_in_a_preview_are_as_harmless_as_the_values() -> None:
    lines = table(pd.DataFrame({"text": ["a"], "probabilities": [{"<b> | c": 0.5}]}))
    assert "<" not in "".join(lines)
    assert cells(lines[2]) == 2
