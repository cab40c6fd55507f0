"""Whole rounds against endpoints that answer and refuse as real ones do."""

from __future__ import annotations

import json
from collections import Counter
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from synth_assets.cli import main
from synth_assets.core.asking import OUTCOMES
from synth_assets.resources.gateway import sending, trial
from synth_assets.resources.gateway.refusals import Refusal, within
from tests.assets.test_round import ROUND, ask
from tests.endpoint import ADJECTIVES, Endpoint, Played, reviewer
from tests.resources.gateway.networks import Proxy, forget_the_network
from tests.resources.gateway.shapes import REFUSED, SHAPES, TEXT, message
from tests.resources.gateway.test_any_answer import whatever

PLAYED = (
    *("DeepSeek R1, thoughts in the text", "Qwen3, whose template holds the beginning", "Mistral, parts"),
    *("thoughts without an end", "DeepSeek, vLLM, SGLang", "thinking used all tokens"),
    *("all of it is thoughts", "a refusal in its field", "broken off by the provider"),
    *("ended with MAX_TOKENS", "ended with SAFETY", "ended with a word that nobody knows"),
)


def test_each_shape_of_an_answer_is_a_row_with_its_outcome(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    """Thoughts are in no row and in no rating; what broke off is asked once more; the trace tells it all."""
    edit("  duplicate: {}", "  judge: {at_least: 4}")
    turns, shapes = count(), {}

    def play(body: dict[str, Any]) -> Any:
        if "from 0 to 5" in body["messages"][-1]["content"]:
            said = "<think>Rating: 1 would be far too low</think>\n\n5"
            return {"choices": [{"finish_reason": "stop", "message": {"content": said}}]}
        name = shapes.setdefault(body["seed"], PLAYED[next(turns) % len(PLAYED)])
        return {"choices": [SHAPES[name].choice], "usage": {"prompt_tokens": 5, "completion_tokens": 30}}

    endpoint.play = play
    assert main(["run", "reviews", "--round", ROUND]) == 75  # two rows are without an answer
    made = ask(
        "select parameters, reason, g.text, g.error, thoughts "
        "from reviews.generations as g join reviews.calls using (call_id)"
    )
    assert len(made) == len(shapes) == len(PLAYED) == 12
    for parameters, reason, text, error, thoughts in made:
        shape = SHAPES[shapes[json.loads(parameters)["seed"]]]
        assert (reason or "ok", text or "", thoughts) == (shape.outcome, shape.text, shape.thoughts)
        assert shape.error in (error or "")
    twice = sum(SHAPES[name].outcome == "provider_error" for name in PLAYED)
    judged = 2  # the same text in two cells
    assert len(endpoint.requests) == 12 + twice + judged
    assert set(ask("select text, weight from reviews.weighted")) == {(TEXT, 1.0)}
    assert ask("select distinct judge from reviews.scores where judge is not null") == [(5.0,)]
    ((row,),) = ask(
        "select row_id from reviews.generations join reviews.calls using (call_id) "
        "where finish_reason like 'a word%'"
    )
    capsys.readouterr()
    assert main(["trace", row]) == 0
    assert "ended with a word that nobody knows" in " ".join(capsys.readouterr().out.split())


def test_refused_prompts_are_rows_with_reasons_and_do_not_stop_the_round(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    """200 rows, 5 of them refused, by an endpoint that knows no temperature and no system either."""
    names = ("OpenAI, context", "DeepSeek", "Alibaba", "OpenRouter, moderation", "Moonshot")
    refused, lock = {}, Lock()

    def play(body: dict[str, Any]) -> Any:
        for name in ("OpenAI, temperature", "Gemma's template"):
            if answer := REFUSED[name](body):
                return answer
        prompt = body["seed"]
        with lock:
            answered.append(prompt)
            if len(refused) < len(names) and len(answered) % 7 == 0:
                refused.setdefault(prompt, names[len(refused)])
        told = REFUSED.get(refused.get(prompt, "nothing"))
        text = f"the film number {len(answered)} is {ADJECTIVES[len(answered) % 10]}"
        return (told and Played(told.status, told.body)) or {"choices": [message(text)]}

    answered: list[int] = []
    edit("rows: 6", "rows: 100")
    endpoint.play = play
    assert main(["run", "reviews", "--round", ROUND]) == 0
    log = capsys.readouterr().err
    rows = Counter(ask("select coalesce(reason, 'ok') from reviews.generations"))
    assert rows == {("ok",): 195, ("refused",): 5}
    errors = {error for (error,) in ask("select error from reviews.generations where reason = 'refused'")}
    assert errors == {Refusal.said(REFUSED[n].status, REFUSED[n].body, str).says for n in names}
    assert (log.count("parameters: {temperature: null}"), log.count("system: user")) == (1, 1)


def test_a_reasoning_model_generates_judges_and_labels(project: Path, endpoint: Endpoint, edit) -> None:
    """One that refuses the limit by its old name, temperatures, log-probabilities and a system; and whose
    thoughts are in no text, list, rating or label."""
    (project / "models.yaml").write_text(
        f"thinker:\n  name: m\n  base_url: {endpoint.url}\n  system: user\n  reasoning: {{tokens: 500}}\n"
        "  parameters: {max_tokens: null, max_completion_tokens: 100, temperature: null, logprobs: null}\n"
    )
    edit("rows: 6", "rows: 6\nmodel: thinker\nannotator: {k: 4, max_tokens: 20}\nmetrics: {model_alone: 2}")
    edit("  duplicate: {}", "  judge: {at_least: 4, max_tokens: 30}\n  label_agreement: {}")
    edit("tone: [angry, calm, witty]", 'tone: {ask: "List {n} tones.", n: 2}')
    names = ("OpenAI, limit", "OpenAI, temperature", "OpenAI, log-probabilities", "Gemma's template")

    def play(body: dict[str, Any]) -> Any:
        if answer := next(filter(None, (REFUSED[name](body) for name in names)), None):
            return answer
        asked = body["messages"][-1]["content"]
        label = "**Score (0-5):** 5" if "from 0 to 5" in asked else reviewer(body)
        label = "Sentiment: **Negative**" if "Sentiment:" in asked else label
        label = "Sure:\n1、angry\n2、calm" if asked.startswith("List") else label
        return {"choices": [message(f"<thought>- Is it positive, 1 or 2?\n- so</thought>\n\n{label}")]}

    endpoint.play = play
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert {body["max_completion_tokens"] for body in endpoint.requests} == {600}
    assert ask("select min(judge), max(judge) from reviews.scores") == [(5.0, 5.0)]
    assert ask("select distinct tone from reviews.conditions order by 1") == [("angry",), ("calm",)]
    assert ask("select count(*) from reviews.scores where label_logprobs is null") == [(0,)]
    assert all(answered is None for name in names for answered in map(REFUSED[name], endpoint.requests))


def test_a_row_that_no_passage_fits_is_dropped_with_the_reason(
    project: Path, endpoint: Endpoint, edit
) -> None:
    passages = ("如何办理房屋贷款，需要收入证明。", "A card that is lost.")
    (project / "bank.txt").write_text("\n".join(passages), encoding="utf-8")
    edit(
        "tone: [angry, calm, witty]}",
        'tone: [房屋贷款, "lost cards", whales],\n  passage: {passages: bank.txt, query: "{{ tone }}"}}',
    )
    edit("({{ tone }})", "({{ tone }}: {{ passage }})")
    assert main(["run", "reviews", "--round", ROUND]) == 0
    made = set(ask("select tone, passage, coalesce(reason, 'ok'), error from reviews.generations"))
    assert made == {
        ("房屋贷款", passages[0], "ok", None),
        ("lost cards", passages[1], "ok", None),
        ("whales", None, "no_value", "passage: no passage of bank.txt shares a word with 'whales'"),
    }
    assert all("whales" not in json.dumps(body) for body in endpoint.requests)


def test_what_an_endpoint_does_not_take_is_left_out_of_all_that_is_in_flight(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schema, and a seed, of an endpoint whose address has a query and which knows who asks by a header."""
    address = endpoint.url.removesuffix("/v1") + "/openai/deployments/d?api-version=2024-10-21"
    secret = "headers: {api-key: HEADER}, query: {region: REGION}"
    (project / "models.yaml").write_text(f"azure: {{name: m, base_url: '{address}', {secret}}}\n")
    monkeypatch.setattr(trial, "FIRST", 60.0)
    monkeypatch.setenv("HEADER", "sk-header-0123456789")
    monkeypatch.setenv("REGION", "eu-0123456789")
    edit("rows: 6", "rows: 12\nmodel: azure")
    edit("complete: |", "prompt: |")
    edit('stop: ["\\n"]', "output: {text: text, stars: integer}")
    said = iter(range(1_000))

    def play(body: dict[str, Any]) -> Any:
        for name in ("DeepSeek, schema", "pydantic, seed"):
            if answer := REFUSED[name](body):
                return answer
        text = f"the film number {next(said)} is {ADJECTIVES[len(endpoint.requests) % 10]}"
        return {"choices": [message(f"<think>{{}}</think>{json.dumps({'text': text, 'stars': 4})}")]}

    endpoint.delay_s, endpoint.play = 0.05, play
    assert main(["run", "reviews", "--round", ROUND]) == 0
    log = capsys.readouterr().err
    assert (log.count("structured: words"), log.count("parameters: {seed: null}")) == (1, 1)
    assert ask("select count(*), count(distinct text), min(stars) from reviews.generations") == [(24, 24, 4)]
    assert len(endpoint.requests) <= 24 + 2 * trial.FEW
    region = "api-version=2024-10-21&region=eu-0123456789"
    assert set(endpoint.paths) == {f"/openai/deployments/d/chat/completions?{region}"}
    assert {headers["api-key"] for headers in endpoint.headers} == {"sk-header-0123456789"}
    ((row, endpoint_said),) = ask(
        "select row_id, endpoint from reviews.generations join reviews.calls using (call_id) limit 1"
    )
    assert endpoint_said == address.partition("?")[0]
    assert main(["trace", row]) == 0
    assert "0123456789" not in capsys.readouterr().out


def test_whatever_json_an_endpoint_answers_with_the_round_is_whole(
    project: Path, endpoint: Endpoint, edit
) -> None:
    """Each row has an outcome, and no answer is paid for a third time; so have those of a judge."""
    edit("rows: 6", "rows: 45")
    edit("  words: {between: [2, 40]}\n  duplicate: {}", "  judge: {at_least: 0}")
    bodies = [body for body in whatever(60) if not within(body, {}, str)]  # codes that stop a run
    turns, given = count(), dict[int, Any]()

    def play(body: dict[str, Any]) -> Any:
        turn = given.setdefault(body["seed"], next(turns))
        if turn % 3 == 0:
            judged = "from 0 to 5" in body["messages"][-1]["content"]
            return {"choices": [message("3" if judged else reviewer(body))]}
        answer = bodies[turn % len(bodies)]
        return Played(200, b"null") if answer is None else answer

    endpoint.play = play
    assert main(["run", "reviews", "--round", ROUND]) == 75  # some calls are without an answer
    made = ask("select text, reason, accepted from reviews.generations")
    assert len(made) == 90
    assert all(bool(text and text.strip()) if accepted else reason for text, reason, accepted in made)
    assert {outcome for (outcome,) in ask("select distinct outcome from reviews.calls")} <= {*OUTCOMES}
    assert max(Counter(body["seed"] for body in endpoint.requests).values()) == 2
    assert ask("select count(*) from reviews.scores where judge = 3.0") != [(0,)]


def test_a_round_of_which_nothing_is_answered_stops_after_a_few_calls(
    project: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that wants to know who asks is asked once; an endpoint that is down, a few times."""
    forget_the_network(monkeypatch)
    with Proxy(407, "Proxy Authentication Required") as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:hunter2@{proxy.address}")
        assert main(["run", "reviews", "--round", ROUND]) == 2
        assert len(proxy.asked) == 1
    said = capsys.readouterr().err
    assert f"the proxy {proxy.address} answers 407: Proxy Authentication Required: write a log-in" in said
    assert "hunter2" not in said
    monkeypatch.delenv("http_proxy")
    forget_the_network(monkeypatch)
    monkeypatch.setattr(sending, "BACKOFF", 0.001)
    endpoint.fail_next(503, 1_000, message="no upstream")
    assert main(["run", "reviews", "--round", ROUND]) == 69
    assert "has answered nothing: 7 calls failed (each time: 503: no upstream)" in capsys.readouterr().err
    assert len(endpoint.requests) == 7
    endpoint.failures.clear()
    endpoint.play = lambda _: Played(400, {"error": "Unrecognized request argument supplied: 'stop'"})
    assert main(["run", "reviews", "--round", ROUND]) == 2
    said = capsys.readouterr().err
    assert "refused the parameter 'stop' (400: Unrecognized request argument supplied: 'stop')" in said
    assert "leave it out: `parameters: {stop: null}` under" in said
