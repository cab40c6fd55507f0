"""What is made of the answers of real endpoints; `shapes` is the table of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import Answer
from synth_assets.core.text.thoughts import apart
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway import sending
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request
from synth_assets.resources.gateway.wire import read
from tests.endpoint import Endpoint
from tests.resources.gateway.shapes import NO_ANSWERS, SHAPES, TEXT, THOUGHTS, message

USAGE = {"prompt_tokens": 5, "completion_tokens": 30}


def request(schema: Schema | None = None, max_tokens: int = 30) -> Request:
    return Request(({"role": "user", "content": "Write."},), {"max_tokens": max_tokens}, schema=schema)


@pytest.mark.parametrize("name", SHAPES)
def test_an_answer_is_taken_apart(name: str) -> None:
    shape = SHAPES[name]
    (part,) = read({"choices": [shape.choice], "usage": USAGE}, request(), Model("m"))
    assert (part["outcome"], part["text"], part["thoughts"]) == (shape.outcome, shape.text, shape.thoughts)
    assert shape.error in (part["error"] or "")
    assert (part["error"] is None) == (not shape.error)
    reason = shape.choice["finish_reason"]
    assert part["finish_reason"] == (reason["type"] if isinstance(reason, dict) else reason)


HIDDEN = {"total_tokens": 35, "completion_tokens": 0}, {"completion_tokens_details": {"reasoning_tokens": 30}}


@pytest.mark.parametrize("counts", HIDDEN, ids=["Gemini", "OpenAI"])
def test_thoughts_that_a_provider_keeps_to_itself_and_that_used_all_tokens(counts: dict[str, Any]) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 30, **counts}
    for finish, outcome in {"length": "truncated", "stop": "provider_error"}.items():
        (part,) = read({"choices": [message("", finish)], "usage": usage}, request(), Model("m"))
        assert (part["outcome"], part["thoughts"]) == (outcome, None)
        assert "thinking used 30 of 30 tokens and left no answer: raise max_tokens" in part["error"]
    (part,) = read({"choices": [message("", "length")], "usage": USAGE}, request(), Model("m"))
    assert (part["outcome"], part["error"]) == ("truncated", None)


def test_json_is_looked_for_behind_the_thoughts_and_in_the_call_of_a_tool() -> None:
    schema, answer = Schema.of({"text": "text"}), json.dumps({"text": TEXT})
    tool = {"tool_calls": [{"type": "function", "function": {"name": "answer", "arguments": answer}}]}
    for choice in (message(f"<think>{{}}</think>{answer}"), message(None, "tool_calls", **tool)):
        (part,) = read({"choices": [choice]}, request(schema), Model("m"))
        assert (part["outcome"], part["text"]) == ("ok", answer)


def test_json_that_was_read_already_is_the_answer() -> None:
    (part,) = read({"choices": [message({"text": "é"})]}, request(Schema.of({"text": "text"})), Model("m"))
    assert (part["outcome"], part["text"]) == ("ok", '{"text": "é"}')


def test_of_several_samples_the_broken_ones_are_asked_again(lm: LanguageModel) -> None:
    whole, broken = message(TEXT), SHAPES["broken off by the provider"].choice
    with Endpoint() as endpoint:
        played = {"choices": [message(7), broken, whole], "usage": USAGE}
        endpoint.play = lambda _: played if len(endpoint.requests) == 1 else None
        model = Model("m", base_url=endpoint.url, samples=3)
        asked = [Request(({"role": "user", "content": "Write."},), {}, str(n)) for n in range(3)]
        answers = lm.complete(model, asked)
        assert sorted(str(a.text) for a in answers) == [TEXT, "Write.!", "Write.!"]
        assert len(endpoint.requests) == 3
    assert sum(a.completion_tokens or 0 for a in answers) == 30 + 2 * 2


def test_an_error_with_status_200_is_read_as_one(lm: LanguageModel) -> None:
    flagged = {"error": {"code": 403, "message": "Input was flagged by moderation"}}
    answer, asked = ask(lm, flagged)
    assert (answer.outcome, answer.error, asked) == ("refused", "403: Input was flagged by moderation", 1)
    busy = {"error": {"code": 429, "message": "busy"}}
    assert read(busy, request(), Model("m")) == [{"outcome": "rate_limited", "error": "429: busy"}]


def test_log_probabilities_are_those_of_the_answer() -> None:
    tokens = [{"token": t, "logprob": -1.0, "top_logprobs": []} for t in ("<think>", "so", "</think>", "yes")]
    choice = {**message("<think>so</think>yes"), "logprobs": {"content": tokens}}
    (part,) = read({"choices": [choice]}, request(), Model("m"))
    assert [t.token for t in part["logprobs"]] == ["yes"]
    tokens = [
        {"token": t, "logprob": -1.0} for t in ("<think>", "so", "</think>", "<answer>", "yes", "</answer>")
    ]
    choice = {**message("<think>so</think><answer>yes</answer>"), "logprobs": {"content": tokens}}
    (part,) = read({"choices": [choice]}, request(), Model("m"))
    assert (part["text"], part["logprobs"][0].token) == ("yes", "yes")
    for broken in ({"content": [{"token": 1}]}, {"content": [{"token": "a", "logprob": "x"}]}, [], 7):
        (part,) = read({"choices": [{**message(TEXT), "logprobs": broken}]}, request(), Model("m"))
        assert (part["outcome"], part["logprobs"]) == ("ok", None)


@pytest.fixture
def lm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LanguageModel:
    monkeypatch.setattr(sending, "BACKOFF", 0.01)
    return LanguageModel(CallLog(tmp_path / "calls.sqlite"), tmp_path)


def ask(lm: LanguageModel, play: Any) -> tuple[Answer, int]:
    """The answer of an endpoint that plays this each time, and how often it was asked."""
    with Endpoint() as endpoint:
        endpoint.play = lambda body: play
        (answer,) = lm.complete(Model("m", base_url=endpoint.url), [request()])
        return answer, len(endpoint.requests)


@pytest.mark.parametrize("name", NO_ANSWERS, ids=lambda name: name.replace(" ", "-"))
def test_what_is_no_answer_is_asked_for_twice_at_the_most(lm: LanguageModel, name: str) -> None:
    body, says = NO_ANSWERS[name]
    answer, asked = ask(lm, body if body is not None else "null")
    assert (answer.outcome, asked) == ("provider_error", 2)
    if body is not None:
        assert says in str(answer.error)


def test_an_answer_that_broke_off_is_asked_once_more(lm: LanguageModel) -> None:
    shape = SHAPES["broken off by the provider"]
    with Endpoint() as endpoint:
        endpoint.play = lambda _: {"choices": [shape.choice]} if len(endpoint.requests) == 1 else None
        (answer,) = lm.complete(Model("m", base_url=endpoint.url), [request()])
        assert (answer.outcome, answer.text, answer.attempts) == ("ok", "Write.!", 2)


def test_thoughts_are_kept_in_the_log_and_taken_off_what_older_versions_logged(lm: LanguageModel) -> None:
    shape = SHAPES["DeepSeek R1, thoughts in the text"]
    answer, _ = ask(lm, {"choices": [shape.choice], "usage": USAGE})
    assert lm.call_log.execute("SELECT text, thoughts FROM calls") == [(TEXT, THOUGHTS)]
    old = "UPDATE calls SET thoughts = NULL, digest = NULL, text = ?"
    lm.call_log.execute(old, (shape.choice["message"]["content"],))
    found = lm.call_log.find([answer.identity])[answer.identity]
    assert (found.text, found.thoughts, found.outcome) == (TEXT, THOUGHTS, "ok")
    lm.call_log.execute(old, (f"<think>{THOUGHTS}",))
    assert lm.call_log.find([answer.identity])[answer.identity].outcome == "truncated"


def test_a_log_without_the_column_gets_it(tmp_path: Path) -> None:
    log = CallLog(tmp_path / "calls.sqlite")
    log.count()
    log.execute("ALTER TABLE calls DROP COLUMN thoughts")
    log.close()
    assert CallLog(tmp_path / "calls.sqlite").execute("SELECT thoughts FROM calls") == []


def test_thoughts_apart() -> None:
    assert apart("no thoughts") == ("no thoughts", None, True)
    assert apart("x</think>y</think>z") == ("y</think>z", "x", True)


def test_a_block_that_the_prompt_asks_for_is_the_answers_own() -> None:
    text = "<reasoning>It is a film.</reasoning>A good film."
    asked = [{"role": "user", "content": "Think in <reasoning>, then write."}]
    assert apart(text, [{"role": "user", "content": "Write."}]) == ("A good film.", "It is a film.", True)
    assert apart(text, asked) == apart(text) == (text, None, True)  # as in logs of older versions
    around = "<think>So.</think><answer>A good film.</answer>"
    assert apart(around, [{"role": "user", "content": "Write in <answer>."}]).text.startswith("<answer>")
    said = "It ends with <|im_end|>"
    assert apart(said, [{"role": "user", "content": "What is <|im_end|>?"}]) == (said, None, True)
    said = "Analysis of the film: a final word."
    assert apart(said, [{"role": "user", "content": "Write."}]) == (said, None, True)
