"""What is asked, what is asked again, and what never is: against an endpoint on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synth_assets.contracts.model_spec import NamedModel
from synth_assets.core.asking import TokenLogprob
from synth_assets.core.errors import UserError
from synth_assets.core.identity import seed_from
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway import language_model, sending
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model, resolve_model
from synth_assets.resources.gateway.request import Request
from tests.endpoint import RESET, Endpoint
from tests.forked import python

KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SYNTH_MODEL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(sending, "BACKOFF", 0.01)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def model(endpoint: Endpoint) -> Model:
    return Model("small", base_url=endpoint.url, max_concurrency=8, timeout_s=10)


@pytest.fixture
def lm(tmp_path: Path) -> LanguageModel:
    context = {"run_id": "r1", "asset": "bank/generations", "partition_key": "2026-11-22|lost_card"}
    return LanguageModel(CallLog(tmp_path / "calls.sqlite"), tmp_path / "server", context)


def ask(*questions: str, **more: Any) -> list[Request]:
    return [Request(({"role": "user", "content": q},), {"temperature": 1.0}, **more) for q in questions]


def test_answers_come_in_order_and_many_at_once(lm: LanguageModel, model: Model, endpoint: Endpoint) -> None:
    endpoint.delay_s = 0.01
    questions = [f"q{i}" for i in range(40)]
    answers = lm.complete(model, ask(*questions))
    assert [a.text for a in answers] == [f"q{i}!" for i in range(40)]
    assert 2 <= endpoint.most_at_once <= 8
    assert {(a.outcome, a.attempts, a.prompt_tokens, a.from_log) for a in answers} == {("ok", 1, 5, False)}


def test_a_second_run_asks_nothing(lm: LanguageModel, model: Model, endpoint: Endpoint) -> None:
    first = lm.complete(model, ask("a", "b"))
    later = LanguageModel(CallLog(lm.call_log.name), lm.server_folder)
    again = later.complete(model, ask("b", "a", "c"))
    assert sorted(endpoint.prompts) == ["a", "b", "c"]
    assert [a.text for a in again] == ["b!", "a!", "c!"]
    assert [a.from_log for a in again] == [True, True, False]
    assert replace(again[1], from_log=False) == first[0]
    assert (later.calls.calls, later.calls.from_log) == (1, 2)
    assert set(later.used) == {a.identity for a in again}


def test_the_log_is_enough_without_an_endpoint(lm: LanguageModel, model: Model, endpoint: Endpoint) -> None:
    lm.complete(model, ask("a"))
    endpoint.__exit__()
    assert lm.complete(model, ask("a"))[0].text == "a!"


def test_equal_requests_are_asked_once_unless_replicated(
    lm: LanguageModel, model: Model, endpoint: Endpoint
) -> None:
    requests = [*ask("a", "a", "b"), *ask("a", replicate="1")]
    assert [a.text for a in lm.complete(model, requests)] == ["a!", "a!", "b!", "a!"]
    assert sorted(endpoint.prompts) == ["a", "a", "b"]
    seeds = {body["seed"] for body in endpoint.requests}
    assert seeds == {seed_from(request.identity(model)) for request in requests}


def test_progress_counts_what_was_done(lm: LanguageModel, model: Model) -> None:
    LanguageModel(lm.call_log, lm.server_folder).complete(model, ask("a"))
    seen: list[tuple[int, int | None, int, int | None]] = []
    lm.complete(
        model,
        ask("a", "b", "c"),
        lambda done, total, calls: seen.append((done, total, calls.calls, calls.completion_tokens)),
    )
    assert seen == [(2, 3, 1, 2), (3, 3, 2, 4)]


def test_it_works_inside_an_event_loop(lm: LanguageModel, model: Model) -> None:
    async def inside() -> list[str | None]:
        return [a.text for a in lm.complete(model, ask("a"))]

    assert asyncio.run(inside()) == ["a!"]


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_logprobs_of_either_api(lm: LanguageModel, model: Model, endpoint: Endpoint, api: Any) -> None:
    messages = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"})
    request = Request(messages, {"logprobs": 2, "max_tokens": 3})
    answer = lm.complete(replace(model, api=api), [request])[0]
    assert answer.logprobs == [TokenLogprob("a", -0.5, {"a": -0.5, "b": -1.5})]
    assert endpoint.requests[0]["max_tokens"] == 3
    assert endpoint.prompts == [{"chat": "Hi", "completions": "Be kind.\n\nHi"}[api]]


def test_outcomes_of_what_was_said(lm: LanguageModel, model: Model, endpoint: Endpoint) -> None:
    endpoint.usage = None
    assert lm.complete(model, ask("a"))[0].prompt_tokens is None
    endpoint.finish_reason = "length"
    assert lm.complete(model, ask("b"))[0].outcome == "truncated"
    endpoint.finish_reason = "content_filter"
    assert lm.complete(model, ask("c"))[0].outcome == "refused"
    endpoint.finish_reason = "stop"


@pytest.mark.parametrize("status", [429, 500, 503, RESET])
def test_what_may_heal_is_tried_again(
    lm: LanguageModel, model: Model, endpoint: Endpoint, status: int
) -> None:
    lm.complete(model, ask("warm"))
    endpoint.fail_next(status, 2)
    answer = lm.complete(model, ask("a"))[0]
    assert (answer.outcome, answer.text, answer.attempts) == ("ok", "a!", 3)


def test_a_call_that_is_told_to_wait_spends_no_attempt(
    lm: LanguageModel, model: Model, endpoint: Endpoint
) -> None:
    endpoint.fail_next(429, 7)
    endpoint.fail_next(500, 3)
    answer = lm.complete(model, ask("a"))[0]
    assert (answer.outcome, answer.attempts) == ("ok", 11)


def test_retry_after_is_honoured(lm: LanguageModel, model: Model, endpoint: Endpoint) -> None:
    endpoint.fail_next(429, headers={"Retry-After": "1"})
    started = time.monotonic()
    lm.complete(model, ask("a"))
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("status", "outcome"), [(429, "rate_limited"), (500, "provider_error"), (RESET, "provider_error")]
)
def test_a_call_that_failed_is_a_row_and_is_asked_again_later(
    lm: LanguageModel,
    model: Model,
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    outcome: str,
) -> None:
    monkeypatch.setattr(sending, "PATIENCE", 0.0)
    endpoint.fail_next(status, 4)
    answer = lm.complete(model, ask("a"))[0]
    assert (answer.outcome, answer.text, answer.attempts) == (outcome, None, 4)
    assert answer.error
    assert lm.call_log.count() == 1
    assert (lm.calls.calls, lm.calls.failed, lm.calls.completion_tokens) == (1, 1, 0)
    assert lm.complete(model, ask("a"))[0].text == "a!"


def test_a_slow_answer_times_out(lm: LanguageModel, model: Model, endpoint: Endpoint) -> None:
    endpoint.delay_s = 0.5
    answer = lm.complete(replace(model, timeout_s=0.05), ask("a"))[0]
    assert (answer.outcome, answer.attempts) == ("timed_out", 4)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, r"refused the key \(401\).*OPENAI_API_KEY"),
        (404, r"does not know the model 'small' \(404: scripted\)"),
    ],
)
def test_what_cannot_heal_stops_at_once(
    lm: LanguageModel, model: Model, endpoint: Endpoint, status: int, says: str
) -> None:
    endpoint.delay_s = 0.05
    endpoint.fail_next(status)
    with pytest.raises(UserError, match=says) as raised:
        lm.complete(model, ask(*(f"q{i}" for i in range(50))))
    assert model.endpoint in str(raised.value)
    assert len(endpoint.requests) <= 2 * 8  # what was in flight, or just then sent; no more
    assert lm.call_log.count() == len(endpoint.requests)  # the answers, and the call that failed


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_an_unreachable_endpoint_is_named(lm: LanguageModel, host: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=rf"nobody answers at http://{host}:{port}/v1.*OPENAI_BASE_URL"):
        lm.complete(Model("small", base_url=f"http://{host}:{port}/v1"), ask("a"))
    assert lm.call_log.count() == 0


def test_secrets_are_written_nowhere(
    lm: LanguageModel, model: Model, endpoint: Endpoint, tmp_path: Path
) -> None:
    errors = []
    endpoint.fail_next(500, 4, message=f"bad key {KEY}")
    errors.append(lm.complete(model, ask("a"))[0].error)
    for status in (400, 401, 404):
        endpoint.fail_next(status, message=f"bad key {KEY}")
        with pytest.raises(UserError) as raised:
            lm.complete(model, ask("a"))
        errors.append(str(raised.value))
    assert endpoint.headers[0]["authorization"] == f"Bearer {KEY}"
    lm.call_log.close()
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"bad key ***" in written
    assert KEY.encode() not in written
    assert KEY not in repr(errors)


KILLED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from pathlib import Path
from synth_assets.resources.call_log.log import CallLog
from tests.resources.gateway.test_language_model import LanguageModel, Model, ask
lm = LanguageModel(CallLog(sys.argv[2]), Path("unused"))
model = Model("small", base_url=sys.argv[1], max_concurrency=8)
lm.complete(model, ask(*(f"q{i}" for i in range(80))))
"""


def stop_in_the_middle(lm: LanguageModel, endpoint: Endpoint, how: signal.Signals) -> None:
    endpoint.delay_s = 0.05
    process = python(KILLED, endpoint.url, lm.call_log.name)
    while len(endpoint.requests) < 30:
        assert process.poll() is None
        time.sleep(0.01)
    endpoint.delay_s = 0.5  # however busy the machine is, the signal comes before the last answer
    process.send_signal(how)
    process.wait()
    endpoint.delay_s = 0.0


def test_after_ctrl_c_what_was_in_flight_is_in_the_log(lm: LanguageModel, endpoint: Endpoint) -> None:
    stop_in_the_middle(lm, endpoint, signal.SIGINT)
    assert 30 <= lm.call_log.count() == len(endpoint.requests) < 80


def test_after_kill_9_only_the_missing_calls_are_made(
    lm: LanguageModel, model: Model, endpoint: Endpoint
) -> None:
    stop_in_the_middle(lm, endpoint, signal.SIGKILL)
    answers = lm.complete(model, ask(*(f"q{i}" for i in range(80))))
    assert [a.text for a in answers] == [f"q{i}!" for i in range(80)]
    assert sum(a.from_log for a in answers) >= 30 - 8
    assert len(endpoint.requests) <= 80 + 8


def test_a_progress_callback_that_fails_loses_nothing(
    lm: LanguageModel, model: Model, endpoint: Endpoint
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the screen is gone")

    with pytest.raises(RuntimeError, match="the screen is gone"):
        lm.complete(model, ask(*(f"q{i}" for i in range(50))), fail)
    assert lm.call_log.count() == len(endpoint.requests) <= 16


def test_prompts_are_rendered_a_little_ahead_and_answers_come_as_they_are(
    lm: LanguageModel, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "CHUNK", 10)
    monkeypatch.setattr(sending, "BACKLOG", 20)
    rendered = []

    def prompts() -> Iterator[Request]:
        for i in range(300):
            rendered.append(i)
            yield from ask(f"q{i}")

    answers = lm.stream(model, prompts())
    assert next(answers).text == "q0!"
    assert len(rendered) <= 60
    assert [a.text for a in answers] == [f"q{i}!" for i in range(1, 300)]


def test_one_slow_answer_holds_nobody_up_but_those_after_it(
    lm: LanguageModel, model: Model, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "CHUNK", 10)

    def say(body: dict[str, Any]) -> str:
        until = time.monotonic() + 60
        while body["seed"] == slow and len(endpoint.requests) <= 50 and time.monotonic() < until:
            time.sleep(0.01)
        return "yes"

    endpoint.say = say
    questions = ask(*(f"q{i}" for i in range(100)))
    slow = seed_from(questions[0].identity(model))
    arrived = []
    for answer in lm.stream(model, questions):
        arrived.append(len(endpoint.requests))
        assert answer.text == "yes"
    assert arrived[0] > 50


def test_who_leaves_early_starts_nothing_more_and_loses_nothing(
    lm: LanguageModel, model: Model, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "CHUNK", 10)
    monkeypatch.setattr(sending, "BACKLOG", 10)
    endpoint.delay_s = 0.02
    answers = lm.stream(model, ask(*(f"q{i}" for i in range(200))))
    next(answers)
    answers.close()
    assert lm.call_log.count() == len(endpoint.requests) < 100
    assert lm.call_log.execute("SELECT count(*) FROM claims") == [(0,)]


def test_an_answer_that_the_log_did_not_take_is_tried_once_more(
    lm: LanguageModel, model: Model, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, failures = lm.call_log.append, iter([UserError("the disk is full")])

    def sometimes(*entries: Any) -> None:
        for failure in failures:
            raise failure
        append(*entries)

    monkeypatch.setattr(lm.call_log, "append", sometimes)
    with pytest.raises(UserError, match="the disk is full"):
        lm.complete(model, ask(*(f"q{i}" for i in range(30))))
    assert lm.call_log.count() == len(endpoint.requests) < 30


def test_a_prompt_that_cannot_be_rendered_loses_nothing(
    lm: LanguageModel, model: Model, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "CHUNK", 10)

    def prompts() -> Iterator[Request]:
        yield from ask(*(f"q{i}" for i in range(25)))
        raise UserError("the prompt cannot be rendered")

    with pytest.raises(UserError, match="cannot be rendered"):
        lm.complete(model, prompts())
    assert lm.call_log.count() == len(endpoint.requests) <= 25


def test_what_a_models_entry_says_is_sent_and_counts(
    lm: LanguageModel, model: Model, endpoint: Endpoint
) -> None:
    model = replace(model, parameters={"temperature": 0.3, "frequency_penalty": 0.5, "max_tokens": None})
    lm.complete(model, [Request(({"role": "user", "content": "a"},), {"temperature": 1.0})])
    sent = endpoint.requests[0]
    assert (sent["temperature"], sent["frequency_penalty"]) == (1.0, 0.5)  # the request's own word counts
    assert "max_tokens" not in sent
    warmer = replace(model, parameters={**model.parameters, "frequency_penalty": 0.6})
    assert lm.complete(warmer, ask("a"))[0].from_log is False
    assert list(lm.call_log.verify()) == []


def test_half_an_emoji_is_asked_as_a_question_mark(
    lm: LanguageModel, model: Model, endpoint: Endpoint
) -> None:
    assert lm.complete(model, ask("a\ud83d"))[0].text == "a?!"
    assert endpoint.prompts == ["a?"]
    assert list(lm.call_log.verify()) == []


def test_what_model_means() -> None:
    environ = {"OPENAI_API_KEY": KEY}
    assert resolve_model("gpt-x", environ).endpoint == "https://api.openai.com/v1"
    assert resolve_model("gpt-x", {**environ, "OPENAI_BASE_URL": "http://gpu:8000/v1/"}).endpoint == (
        "http://gpu:8000/v1"
    )
    assert resolve_model(NamedModel(name="m", base_url="http://localhost:1/v1"), {}).api == "chat"
    assert resolve_model("embedded", {**environ, "SYNTH_MODEL": "gpt-y"}).name == "gpt-y"
    assert resolve_model("gpt-x", {**environ, "SYNTH_MODEL": "gpt-y"}).name == "gpt-x"
    embedded = resolve_model(None, {})
    assert embedded.api == "completions"
    assert embedded.endpoint == "embedded:b179c9523d0e6a0f"
    assert embedded.price is not None
    assert embedded.price.free


def test_synth_model_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    model = resolve_model(None, {"SYNTH_MODEL": str(file)})
    assert (model.name, model.model_path) == ("tiny", file)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("gpt-x", "set the variable OPENAI_API_KEY"),
        (NamedModel(name="m", key_env="MY_KEY"), "set the variable MY_KEY"),
        (NamedModel(name="m", base_url="http://me:hunter2@127.0.0.1/v1"), "holds a user or password"),
        ("missing.gguf", "no file missing.gguf"),
    ],
)
def test_what_model_cannot_mean(spec: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        resolve_model(spec, {})


TWIN = """
import sys
from pathlib import Path
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request

root, url = Path(sys.argv[1]), sys.argv[2]
asked = [Request([{"role": "user", "content": f"q{i}"}]) for i in range(40)]
answers = LanguageModel(CallLog(root / "calls.sqlite"), root).complete(Model("m", base_url=url), asked)
assert [a.text for a in answers] == [f"q{i}!" for i in range(40)]
"""


def test_a_call_log_that_restarts_costs_no_answer(postgres: str, tmp_path: Path) -> None:
    """The server puts everybody out in the middle of a batch. A statement that is under way just then stops
    the batch; what was answered until then is written all the same."""
    with Endpoint(delay_s=0.02) as endpoint:
        lm = LanguageModel(CallLog(postgres), tmp_path)
        model = Model("m", base_url=endpoint.url, max_concurrency=4)
        questions = ask(*(f"q{i}" for i in range(60)))
        with contextlib.suppress(UserError):
            lm.complete(model, questions, put_out(postgres, after=20))
        assert [a.text for a in lm.complete(model, questions)] == [f"q{i}!" for i in range(60)]
        assert lm.call_log.count() == len(endpoint.requests) == 60


def put_out(url: str, after: int) -> Any:
    """A progress callback that ends all connections to a Postgres server once so many rows are done."""
    import psycopg

    def progress(done: int, *_: Any) -> None:
        if done == after:
            with psycopg.connect(url) as connection:
                others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                connection.execute(f"SELECT pg_terminate_backend(pid) {others}")

    return progress


def test_processes_that_ask_the_same_at_the_same_time_pay_once(tmp_path: Path) -> None:
    with Endpoint(delay_s=0.1) as endpoint:
        twins = [python(TWIN, str(tmp_path), endpoint.url) for _ in range(3)]
        assert [twin.wait() for twin in twins] == [0, 0, 0]
        assert sorted(endpoint.prompts) == sorted(f"q{i}" for i in range(40))


def test_the_claims_of_a_killed_process_hold_nobody_up(tmp_path: Path) -> None:
    with Endpoint(delay_s=5) as endpoint:
        killed = python(TWIN, str(tmp_path), endpoint.url)
        while len(endpoint.requests) < 16:
            time.sleep(0.01)
        killed.kill()
        killed.wait()
        endpoint.delay_s = 0.0
        started = time.monotonic()
        assert python(TWIN, str(tmp_path), endpoint.url).wait() == 0
        assert time.monotonic() - started < 60  # and not the minutes of a lease
        assert len(endpoint.requests) == 16 + 40


def test_whoever_waits_for_another_process_says_whom(
    lm: LanguageModel, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SAY_WAITING", 0.1)
    (question,) = ask("a")
    identity, said = question.identity(model, model.endpoint), []
    lm.call_log.claim([identity])
    until = "UPDATE claims SET process = 'elsewhere:7@1', until = until - 55"
    lm.call_log.execute(until)
    lm.tell = said.append
    assert [answer.outcome for answer in lm.complete(model, [question])] == ["ok"]
    assert said[0].startswith("waits for what others are asking: 1 of process 7 of another machine or")
