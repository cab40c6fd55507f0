"""What the refusals of real endpoints concern, and what becomes of the rows; `shapes` has the table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import Answer
from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway import sending, trial
from synth_assets.resources.gateway.batches import submit
from synth_assets.resources.gateway.batches.collect import collect
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.refusals import ALL, Refusal, concern
from synth_assets.resources.gateway.request import Request
from synth_assets.resources.gateway.wire import body_of
from tests.batch_endpoint import BatchEndpoint
from tests.endpoint import Played
from tests.resources.gateway.shapes import REFUSED

SCHEMA = Schema.of({"text": "text"})
SAMPLING = {"temperature": 0.0, "max_tokens": 30, "logprobs": 20, "top_k": 3}


def request(prompt: str, schema: Schema | None = SCHEMA) -> Request:
    messages = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": prompt})
    return Request(messages, SAMPLING, schema=schema)


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_refusal_concerns(name: str) -> None:
    refused, sent = REFUSED[name], body_of(Model("m"), request("Write."), 7)
    found = concern(Refusal.said(refused.status, refused.body, str), sent)
    assert (found.kind, found.name, found.instead) == (refused.kind, refused.name, refused.instead)
    if found.kind == "feature":  # and without it, it is not asked for
        assert refused(sent)
        assert refused(body_of(Model("m"), request("Write."), 7, 1, {found.name: found.instead})) is None


OTHERS = [  # status, words, what they concern
    (400, "Your credit balance is too low to access the Anthropic API.", "account"),
    (400, "You have reached your specified API usage limits.", "account"),
    (403, "Your resource has been temporarily blocked because it may violate our content policy", "account"),
    (412, "Account acme is suspended, please contact support", "account"),
    (403, "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO", "prompt"),
    (400, "input length and `max_tokens` exceed context limit: 199000 + 30 > 200000", "prompt"),
    (400, "Could not finish the message because max_tokens or model output limit was reached", "prompt"),
    (422, "`inputs` tokens + `max_new_tokens` must be <= 4097", "prompt"),
    (424, "Request failed during generation", "heals"),
]


@pytest.mark.parametrize(("status", "words", "kind"), OTHERS)
def test_what_other_words_concern(status: int, words: str, kind: str) -> None:
    refusal = Refusal.said(status, {"error": {"message": words}}, str)
    assert concern(refusal, body_of(Model("m"), request("Write."), 7)).kind == kind


def test_what_a_provider_repeats_of_the_request_says_nothing_and_a_routers_words_are_those_behind_it() -> (
    None
):
    wrong = {"type": "int_parsing", "loc": ["body", "top_k"], "msg": "Input should be an integer"}
    told = Refusal.said(422, {"detail": [{**wrong, "input": "a prompt on prohibited, flagged things"}]}, str)
    assert told.says == "int_parsing body top_k Input should be an integer"
    assert concern(told, body_of(Model("m"), request("Write."), 7)).kind == "parameter"
    raw = '{"error": {"message": "This model\'s maximum context length is 4096 tokens"}}'
    routed = {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}}
    assert concern(Refusal.said(400, routed, str), {}).kind == "prompt"


def test_the_system_is_told_to_the_user() -> None:
    sent = body_of(Model("m"), request("Write.", None), 7, 1, {"system": "user"})
    assert sent["messages"] == [{"role": "user", "content": "Be kind.\n\nWrite."}]


class Asked:
    """The same questions, online or by way of a batch."""

    def __init__(self, mode: str, folder: Path, endpoint: BatchEndpoint) -> None:
        self.mode, self.endpoint, self.told = mode, endpoint, Counter[str]()
        context = {"run_id": "1", "asset": "a", "partition_key": "p"}
        log = CallLog(folder / "calls.sqlite")
        self.lm = LanguageModel(log, folder, context, tell=lambda words: self.told.update([words]))
        self.model = Model("m", base_url=endpoint.url)

    def __call__(self, requests: list[Request]) -> list[Answer]:
        if self.mode == "online":
            return self.lm.complete(self.model, requests)
        for _ in range(4):
            try:
                return submit.answers(self.lm, self.model, requests)
            except submit.Pending:
                self.told.update(collect(self.lm.call_log, "a").ended)
        raise AssertionError("there is no end to it")


@pytest.fixture(params=["online", "batch"])
def asked(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    monkeypatch.setattr(sending, "BACKOFF", 0.01)
    monkeypatch.setattr(trial, "FIRST", 60.0)
    with BatchEndpoint(polls=0, say=lambda _: '{"text": "hello"}') as endpoint:
        endpoint.logprobs = False
        yield Asked(request.param, tmp_path, endpoint)


BY_PROMPT = [name for name, refused in REFUSED.items() if refused.kind in ("prompt", "unsure")]
FEATURES = [name for name, refused in REFUSED.items() if refused.kind == "feature"]


@pytest.mark.parametrize("name", BY_PROMPT, ids=lambda name: name.replace(" ", "-"))
def test_a_refused_prompt_is_one_row(asked: Asked, name: str) -> None:
    """And the next time it is known."""
    refused = REFUSED[name]

    def play(body: dict[str, Any]) -> Played | None:
        return (
            Played(refused.status, refused.body)
            if body["messages"][-1]["content"].startswith("bad")
            else None
        )

    asked.endpoint.play = play
    requests = [request(f"{'bad' if n % 10 == 0 else 'good'} {n}", None) for n in range(30)]
    answers = asked(requests)
    assert [answer.outcome for answer in answers] == ["refused" if n % 10 == 0 else "ok" for n in range(30)]
    said = Refusal.said(refused.status, refused.body, str).says
    assert {answer.error for answer in answers if answer.outcome == "refused"} == {said}
    arrived = len(asked.endpoint.requests)
    assert [answer.outcome for answer in asked(requests)].count("refused") == 3
    assert len(asked.endpoint.requests) == arrived


@pytest.mark.parametrize("name", FEATURES, ids=lambda name: name.replace(" ", "-"))
def test_what_a_request_can_do_without_is_left_out_once_and_said_once(asked: Asked, name: str) -> None:
    refused = REFUSED[name]
    asked.endpoint.delay_s, asked.endpoint.play = 0.02, refused  # all are in flight when the first is refused
    answers = asked([request(f"good {n}") for n in range(20)])
    assert {answer.outcome for answer in answers} == {"ok"}
    says = [words for words in asked.told.elements() if "models.yaml spares" in words or "at most" in words]
    assert len(says) == 1
    if asked.mode == "online":
        asked.endpoint.play = None
        fresh = asked([request("later")])
        assert (fresh[0].outcome, refused(asked.endpoint.requests[-1])) == ("ok", None)


FOR_ALL = [name for name, refused in REFUSED.items() if refused.kind in (*ALL, "unsure")]


@pytest.mark.parametrize("name", FOR_ALL, ids=lambda name: name.replace(" ", "-"))
def test_what_all_prompts_are_refused_for_stops_a_run(asked: Asked, name: str) -> None:
    """With the same words online and in a batch; when it is mended, all are asked."""
    refused, requests = REFUSED[name], [request(f"q{n}", None) for n in range(20)]
    asked.endpoint.play = lambda _: Played(refused.status, refused.body)
    with pytest.raises(UserError) as raised:
        asked(requests)
    says = Refusal.said(refused.status, refused.body, str).says
    words = {"key": "refused the key", "proxy": "the proxy", "tls": "write https://"}
    assert words.get(refused.kind, says) in str(raised.value)
    if refused.kind == "unsure":
        assert re.search(r"The prompt ends with 'q\d+'", str(raised.value))
    if refused.kind == "parameter":
        assert f"`parameters: {{{refused.name}: null}}` under 'm'" in str(raised.value)
    assert len(asked.endpoint.requests) <= trial.FEW + sending.DOUBTS
    asked.endpoint.play = None
    assert {a.outcome for a in asked(requests)} == {"ok"}


def test_what_a_provider_found_to_be_no_json_is_an_answer_that_does_not_fit(asked: Asked) -> None:
    """It is asked for once more, with the reason, and not again."""
    refused = REFUSED["Groq, what the model wrote is no JSON"]
    asked.endpoint.play = lambda body: Played(400, refused.body) if len(body["messages"]) == 2 else None
    (answer,) = asked([request("q")])
    assert (answer.outcome, answer.text) == ("ok", '{"text": "hello"}')
    asked.endpoint.play = lambda _: Played(400, refused.body)
    (answer,) = asked([request("another")])
    assert (answer.outcome, answer.text) == ("invalid", '{"text": ')
