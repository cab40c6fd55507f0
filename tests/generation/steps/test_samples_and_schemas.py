"""Several samples of one question, and answers that have to fit a schema: against an endpoint on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.cli import main
from synth_assets.contracts.model_spec import Price
from synth_assets.core.answer_schema import Schema
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request
from synth_assets.resources.home import warehouse
from tests.assets.test_round import ROUND
from tests.endpoint import Endpoint

SCHEMA = Schema.of({"text": "text", "rating": "integer"})
GOOD, BAD = '{"text": "fine", "rating": 4}', '{"text": "fine", "rating": "4"}'


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def lm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LanguageModel:
    monkeypatch.setattr("synth_assets.resources.gateway.sending.BACKOFF", 0.01)
    return LanguageModel(CallLog(tmp_path / "calls.sqlite"), tmp_path / "server")


def samples(n: int, question: str = "q") -> list[Request]:
    return [Request([{"role": "user", "content": question}], {"max_tokens": 9}, str(i)) for i in range(n)]


def rows(lm: LanguageModel, what: str) -> list[tuple[Any, ...]]:
    return lm.call_log.execute(f"SELECT {what} FROM calls ORDER BY id")


def test_samples_of_one_question_go_in_one_call(lm: LanguageModel, endpoint: Endpoint) -> None:
    endpoint.samples = 4
    price = Price.model_validate({"from": "2026-01-01", "prompt": 1, "completion": 1})
    model = Model("m", base_url=endpoint.url, samples=4, price=price)
    answers = lm.complete(model, [*samples(6), *samples(2, "other")])
    assert sorted(body.get("n", 1) for body in endpoint.requests) == [2, 2, 4]
    assert [a.text for a in answers] == [
        "q!",
        "q! (1)",
        "q! (2)",
        "q! (3)",
        "q!",
        "q! (1)",
        "other!",
        "other! (1)",
    ]
    assert len({a.identity for a in answers}) == 8
    # tokens are counted a call: its samples share them, and their sum is what was paid
    assert lm.calls.prompt_tokens == sum(a.prompt_tokens or 0 for a in answers) == 3 * 5
    assert lm.calls.completion_tokens == 3 * 2
    assert lm.calls.cost == pytest.approx(3 * 7e-6)
    assert set(rows(lm, "tokens_from")) == {("estimated",)}
    again = LanguageModel(lm.call_log, lm.server_folder).complete(model, samples(6))
    assert [a.text for a in again] == [a.text for a in answers[:6]]
    assert len(endpoint.requests) == 3


def test_without_n_samples_are_replicates(lm: LanguageModel, endpoint: Endpoint) -> None:
    lm.complete(Model("m", base_url=endpoint.url), samples(3))
    assert [body.get("n") for body in endpoint.requests] == [None] * 3
    assert len({body["seed"] for body in endpoint.requests}) == 3
    assert set(rows(lm, "tokens_from")) == {("provider",)}


def test_samples_that_an_endpoint_did_not_give_are_asked_for(lm: LanguageModel, endpoint: Endpoint) -> None:
    answers = lm.complete(Model("m", base_url=endpoint.url, samples=4), samples(4))
    assert [a.text for a in answers] == ["q!"] * 4
    assert [body.get("n", 1) for body in endpoint.requests] == [4, 1, 1, 1]


def asking(schema: Schema = SCHEMA) -> list[Request]:
    return [Request([{"role": "user", "content": "Rate it."}], {"max_tokens": 50}, schema=schema)]


def saying(*answers: str) -> Callable[[dict[str, Any]], str]:
    """The answers one after the other, the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_an_answer_that_fits_is_asked_for_once(lm: LanguageModel, endpoint: Endpoint) -> None:
    endpoint.say = saying(GOOD)
    answer = lm.complete(Model("m", base_url=endpoint.url), asking())[0]
    assert (answer.outcome, answer.text) == ("ok", GOOD)
    sent = endpoint.requests[0]["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"] == {"name": "answer", "schema": SCHEMA.json, "strict": True}


def test_one_that_does_not_is_corrected_in_one_turn(lm: LanguageModel, endpoint: Endpoint) -> None:
    endpoint.say = saying(BAD, GOOD)
    model = Model("m", base_url=endpoint.url)
    answer = lm.complete(model, asking())[0]
    assert (answer.outcome, answer.text) == ("ok", GOOD)
    roles = [[m["role"] for m in body["messages"]] for body in endpoint.requests]
    assert roles == [["user"], ["user", "assistant", "user"]]
    assert "rating" in endpoint.prompts[1]
    assert rows(lm, "outcome") == [("invalid",), ("ok",)]
    assert (lm.calls.calls, len(lm.used)) == (2, 2)
    again = LanguageModel(lm.call_log, lm.server_folder)
    assert again.complete(model, asking())[0].text == GOOD
    assert (again.calls.from_log, len(endpoint.requests)) == (2, 2)


def test_one_that_does_not_fit_twice_is_invalid_and_says_why(lm: LanguageModel, endpoint: Endpoint) -> None:
    endpoint.say = saying(BAD)
    model = Model("m", base_url=endpoint.url)
    answer = lm.complete(model, asking())[0]
    assert (answer.outcome, answer.text) == ("invalid", BAD)
    assert "rating" in str(answer.error)
    assert len(endpoint.requests) == 2
    lm.complete(model, asking())
    assert len(endpoint.requests) == 2


def test_a_correction_that_a_kill_prevented_is_made_up_for(lm: LanguageModel, endpoint: Endpoint) -> None:
    endpoint.say = saying(BAD, GOOD)
    model = Model("m", base_url=endpoint.url)
    lm.complete(model, asking())
    lm.call_log.execute("DELETE FROM calls WHERE outcome = 'ok'")  # as if it had never come
    endpoint.say = saying(GOOD)
    assert LanguageModel(lm.call_log, lm.server_folder).complete(model, asking())[0].text == GOOD
    assert len(endpoint.requests) == 3


def test_an_answer_that_was_cut_is_truncated_and_not_corrected(lm: LanguageModel, endpoint: Endpoint) -> None:
    endpoint.say, endpoint.finish_reason = saying('{"text": "fi'), "length"
    assert lm.complete(Model("m", base_url=endpoint.url), asking())[0].outcome == "truncated"
    assert len(endpoint.requests) == 1


def test_an_endpoint_without_schemas_is_asked_in_words(lm: LanguageModel, endpoint: Endpoint) -> None:
    endpoint.say = saying(GOOD)
    endpoint.fail_next(400, message="'response_format' of type 'json_schema' is not supported")
    model = Model("m", base_url=endpoint.url)
    answer = lm.complete(model, asking())[0]
    assert (answer.outcome, answer.attempts) == ("ok", 1)
    assert "response_format" not in endpoint.requests[1]
    assert endpoint.prompts[1] == f"Rate it.\n\n{SCHEMA.instruction()}"
    other = Schema.of({"text": "text", "rating": ["3", "4"]})
    endpoint.say = saying('{"text": "fine", "rating": "4"}')
    assert lm.complete(model, asking(other))[0].outcome == "ok"
    assert "response_format" not in endpoint.requests[2]  # it was told once


def test_a_model_whose_entry_says_words_is_asked_in_words(lm: LanguageModel, endpoint: Endpoint) -> None:
    endpoint.say = saying(GOOD)
    lm.complete(Model("m", base_url=endpoint.url, structured="words"), asking())
    assert "response_format" not in endpoint.requests[0]
    assert endpoint.prompts == [f"Rate it.\n\n{SCHEMA.instruction()}"]


def test_a_recipe_with_fields_and_samples(
    project: Path, edit, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a whole round: a step's `output` becomes columns, and a question has several answers."""
    monkeypatch.setenv("SYNTH_MODEL", "scripted")
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
    text = (project / "recipes" / "reviews.yaml").read_text(encoding="utf-8")
    old = text[text.index("    complete: |") : text.index("rows: 6")]
    edit(
        old,
        '    prompt: "Write a {{ tone }} {{ label }} review."\n    samples: 3\n'
        "    output: {text: text, rating: integer, mood: [good, bad], tags: [text]}\n",
    )

    def reviewer(body: dict[str, Any]) -> str:
        n, first = body["seed"], len(body["messages"]) == 1
        rating: Any = str(n % 5) if first and n % 2 else n % 5
        return json.dumps({"text": f"review number {n}", "rating": rating, "mood": "bad", "tags": ["a", "b"]})

    endpoint.say = reviewer
    assert main(["run", "reviews", "--round", ROUND]) == 0
    corrected = sum(len(body["messages"]) == 3 for body in endpoint.requests)
    assert 0 < corrected < 12
    assert len(endpoint.requests) == 12 + corrected
    kept = (
        warehouse()
        .query("select rating, mood, tags, tone, cell from reviews.filtered order by row_id")
        .fetchall()
    )
    assert len(kept) == 12
    assert {(type(rating), mood, tuple(tags)) for rating, mood, tags, *_ in kept} == {
        (int, "bad", ("a", "b"))
    }
    questions = (
        warehouse()
        .query("select cell, replicate // 3, count(distinct tone) from reviews.conditions group by all")
        .fetchall()
    )
    assert [tones for *_, tones in questions] == [1] * 4
    calls = (
        warehouse().query("select outcome, count(*) from reviews.calls group by all order by all").fetchall()
    )
    assert calls == [("invalid", corrected), ("ok", 12)]
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert len(endpoint.requests) == 12 + corrected
