"""What an entry of models.yaml may say of its provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.contracts.model_spec import NamedModel
from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import Answer
from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.batches import submit
from synth_assets.resources.gateway.batches.collect import collect
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model, resolve_model, what_answers
from synth_assets.resources.gateway.request import Request, longest_answer
from tests.batch_endpoint import BatchEndpoint

SECRET, PLACE = "sk-header-0123456789", "eu-0123456789"
SCHEMA = Schema.of({"text": "text"})
JSON = '{"text": "hello"}'
Asks = Callable[..., Answer]


def entry(**said: Any) -> Model:
    return resolve_model(NamedModel.model_validate({"name": "m", **said}))


def request(sampling: dict[str, Any] | None = None, schema: Schema | None = None) -> Request:
    messages = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Write."})
    return Request(messages, sampling or {}, schema=schema)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchEndpoint]:
    for name, value in {"HEADER": SECRET, "REGION": PLACE}.items():
        monkeypatch.setenv(name, value)
    for name in ("OPENAI_API_KEY", "NOT_SET"):
        monkeypatch.delenv(name, raising=False)
    with BatchEndpoint(polls=0) as served:
        yield served


@pytest.fixture
def lm(tmp_path: Path) -> LanguageModel:
    context = {"run_id": "1", "asset": "a", "partition_key": "p"}
    return LanguageModel(CallLog(tmp_path / "calls.sqlite"), tmp_path, context)


def test_headers_and_query_go_to_each_call_and_are_written_nowhere(
    endpoint: BatchEndpoint, lm: LanguageModel, tmp_path: Path
) -> None:
    azure = endpoint.url.removesuffix("/v1") + "/openai/deployments/d"
    model = entry(
        base_url=f"{azure}?api-version=2024-10-21",
        headers={"api-key": "HEADER"},
        query={"region": "REGION"},
        api="chat",
    )
    endpoint.fail_next(400, message=f"{SECRET} may not come from {PLACE}")
    with pytest.raises(UserError, match=r"\*\*\* may not come from \*\*\*"):
        lm.complete(model, [request()])
    (answer,) = lm.complete(model, [request()])
    assert answer.outcome == "ok"
    path = f"/openai/deployments/d/chat/completions?api-version=2024-10-21&region={PLACE}"
    assert set(endpoint.paths) == {path}
    assert {h["api-key"] for h in endpoint.headers} == {SECRET}
    assert all("authorization" not in h for h in endpoint.headers)
    assert model.endpoint == azure
    batched = entry(base_url=endpoint.url, headers={"api-key": "HEADER"})
    with pytest.raises(submit.Pending):
        submit.answers(lm, batched, [request()])
    assert collect(lm.call_log, "a").ended == ["batch_1 completed: 1 ok"]
    lm.call_log.close()
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert SECRET.encode() not in written
    assert PLACE.encode() not in written


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"headers": {"api-key": "NOT_SET"}}, "sends it along: set the variable NOT_SET"),
        (
            {"base_url": "http://h/v1?api_key=abc"},
            r"variable that holds it as `query: \{api_key: VAR",
        ),
    ],
)
def test_a_secret_stands_in_a_variable(endpoint: BatchEndpoint, said: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as raised:
        entry(**{"base_url": endpoint.url, **said})
    assert "abc" not in str(raised.value)


def test_one_model_at_two_addresses_is_paid_once_where_they_have_one_name(lm: LanguageModel) -> None:
    with BatchEndpoint() as first, BatchEndpoint() as second:
        at_first = entry(base_url=first.url)
        lm.complete(at_first, [request()])
        # it has moved: the address that it had is its name, however that is written
        moved = entry(base_url=second.url, endpoint_name=f"{first.url}/")
        (answer,) = lm.complete(moved, [request()])
        assert answer.from_log
        named = [entry(base_url=at.url, endpoint_name="ours") for at in (first, second)]
        assert [lm.complete(model, [request()])[0].from_log for model in named] == [False, True]
        assert (len(first.requests), len(second.requests)) == (2, 0)
        assert [each.address for each in named] == [first.url, second.url]
    assert list(lm.call_log.verify()) == []


def test_an_endpoint_name_holds_no_password(endpoint: BatchEndpoint) -> None:
    with pytest.raises(ValueError, match="leave them out"):
        NamedModel(name="m", base_url=endpoint.url, endpoint_name="http://me:hunter2@here/v1")


def test_null_leaves_a_parameter_out_whatever_a_recipe_says(
    endpoint: BatchEndpoint, lm: LanguageModel
) -> None:
    nulls = dict.fromkeys(("max_tokens", "temperature", "seed", "logprobs"))
    model = entry(base_url=endpoint.url, parameters={**nulls, "max_completion_tokens": 2000})
    judge = request({"temperature": 0.0, "max_tokens": 1, "logprobs": 20})
    lm.complete(model, [judge])
    assert {n: v for n, v in endpoint.requests[0].items() if n != "messages"} == {
        **{"model": "m", "top_p": 1.0, "max_completion_tokens": 2000}
    }
    assert longest_answer(judge, model) == 2000
    assert judge.sampling_for(model)["max_tokens"] == 1  # and counts in the identity, as before
    with pytest.raises(ValueError, match="n is said by the request itself"):
        NamedModel(name="m", parameters={"n": 2})


def test_a_system_that_is_told_to_the_user(endpoint: BatchEndpoint, lm: LanguageModel) -> None:
    lm.complete(entry(base_url=endpoint.url, system="user"), [request()])
    assert endpoint.requests[0]["messages"] == [{"role": "user", "content": "Be kind.\n\nWrite."}]


def test_reasoning_has_its_effort_and_room_beside_the_answers(
    endpoint: BatchEndpoint, lm: LanguageModel
) -> None:
    plain, asked = entry(base_url=endpoint.url), request({"max_tokens": 1})
    model = entry(base_url=endpoint.url, reasoning={"effort": "low", "tokens": 500})
    lm.complete(model, [asked])
    assert (endpoint.requests[0]["max_tokens"], endpoint.requests[0]["reasoning_effort"]) == (501, "low")
    assert "reasoning_tokens" not in endpoint.requests[0]
    assert longest_answer(asked, model) == 501
    assert asked.identity(model) != asked.identity(plain)  # it thinks otherwise, and answers otherwise
    assert list(lm.call_log.verify()) == []
    spec = NamedModel(name="m", headers={"a": "B"}, system="user", structured="words")
    assert what_answers(spec) == what_answers(NamedModel(name="m"))


@pytest.mark.parametrize(
    ("structured", "says", "outcome"),
    [
        ("json_schema", JSON, "ok"),
        ("json_object", JSON, "ok"),
        ("words", JSON, "ok"),
        ("words", f"```json\n{JSON}\n```\nI hope this helps.", "ok"),
        ("words", f"Here it is:\n```\n{JSON}\n```", "ok"),
        ("words", f"{JSON}\n\nNote: it is short.", "ok"),
        ("words", "```json\n{}\n```", "invalid"),
        ("words", "hello", "invalid"),
        ("json_schema", f"```json\n{JSON}\n```", "invalid"),
        ("json_object", f"{JSON} so", "invalid"),
    ],
    ids=range(10),
)
def test_how_a_schema_is_asked_for_and_read(
    endpoint: BatchEndpoint, lm: LanguageModel, structured: str, says: str, outcome: str
) -> None:
    endpoint.say = lambda _: says
    model = entry(base_url=endpoint.url, structured=structured)
    (answer,) = lm.complete(model, [request(schema=SCHEMA)])
    assert answer.outcome == outcome
    if outcome == "ok":
        assert json.loads(str(answer.text)) == {"text": "hello"}
        assert (answer.error is None) == (says == JSON)  # what was taken off is said
    sent = endpoint.requests[0]
    wanted = {"json_schema": "json_schema", "json_object": "json_object", "words": None}[structured]
    assert sent.get("response_format", {}).get("type") == wanted
    assert ("JSON schema" in sent["messages"][-1]["content"]) == (structured != "json_schema")
