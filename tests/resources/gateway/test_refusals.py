"""What the refusals of real endpoints concern, and what becomes of the rows; `shapes` has the table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import Answer
from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway import sending, trial
from synth_assets.resources.gateway.batches import records, submit
from synth_assets.resources.gateway.batches.collect import collect
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.refusals import ALL, Refusal, concern
from synth_assets.resources.gateway.request import Request
from synth_assets.resources.gateway.wire import body_of
from tests.batch_endpoint import BatchEndpoint
from tests.endpoint import Endpoint, Played
from tests.resources.gateway.shapes import REFUSED, Refused

SCHEMA = Schema.of({"text": "text"})
SAMPLING = {"temperature": 0.0, "max_tokens": 30, "logprobs": 20, "top_k": 3}


def request(prompt: str, schema: Schema | None = SCHEMA) -> Request:
    messages = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": prompt})
    return Request(messages, SAMPLING, schema=schema)


def refusal_of(refused: Refused) -> Refusal:
    """As it is read; that inside of an answer has status 200."""
    inside = Refusal.inside(refused.body) if refused.status == 200 else None
    return inside or Refusal.said(refused.status, refused.body, str)


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_refusal_concerns(name: str) -> None:
    refused, sent = REFUSED[name], body_of(Model("m"), request("Write."), 7)
    found = concern(refusal_of(refused), sent)
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
    (400, "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]", "prompt"),
    (400, "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000", "prompt"),
    (400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens", "prompt"),
    (400, "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)", "prompt"),
    (400, "model max length exceeded, max length:8192", "prompt"),
    (400, "Prompt 超长", "prompt"),
    (400, "输入长度超过模型上限", "prompt"),
    (400, "输入内容过长", "prompt"),
    (400, "系统检测到输入或生成内容可能包含不安全或敏感内容", "prompt"),
    (400, "内容安全审核未通过", "prompt"),
    (400, "Your request was rejected as a result of our safety system.", "prompt"),
    (400, "The content was blocked by guardrail.", "prompt"),
    (424, "Prompt blocked due to security configurations", "prompt"),
    (446, "The guardrail checks defined in the config failed", "prompt"),
    (400, "length of prompt_tokens (40000) must be less than max_seq_len (32768).", "prompt"),
    (400, "InputTextSensitiveContentDetected", "prompt"),
    (451, "Unavailable", "prompt"),
    (400, "Prompt tokens exceed the limit", "prompt"),
    (400, "Too many requests, please wait before trying again.", "heals"),
    (0, "rate limit exceeded(RPM)", "heals"),
    (429, "Your team has used all available credits or reached its spending limit", "account"),
    (400, "Your team has reached its monthly spending limit.", "account"),
    (400, "Unable to access non-serverless model x.", "model"),
    (403, "You are not allowed to request logprobs from this model", "feature logprobs"),
    (501, "logprobs are not implemented", "feature logprobs"),
    (500, "Sampler got an unexpected keyword argument 'seed'", "feature seed"),
    (422, "body -> seed\n  Extra inputs are not permitted (type=extra_forbidden)", "feature seed"),
    (400, "top_p参数非法。请检查文档。", "feature top_p"),
    (400, "API 调用参数有误：temperature", "feature temperature"),
    (400, "Invalid n value (currently only n = 1 is supported)", "feature n"),
    (400, "`max_tokens` must be <= 8192, which is less than the `context_window`", "parameter max_tokens"),
    (404, "No endpoints found that can handle the requested parameters.", "feature schema"),
    (400, "output_format: this model does not take it", "feature schema"),
    (400, "'system' is not one of ['user', 'assistant'] - 'messages.0.role'", "feature system"),
    (400, "Conversation must start with a user message", "feature system"),
    (429, "Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s.", "heals"),
    (429, "This would exceed 20,000 input tokens per minute. Please reduce the prompt length", "heals"),
    (429, "Your account is not active, please check your billing details", "account"),
    (429, "余额不足或无可用资源包,请充值。", "account"),
    (403, "Sorry, your account balance is insufficient", "account"),
    (403, "not enough balance", "account"),
    (403, "The request failed because your account has an overdue balance", "account"),
    (400, "Budget has been exceeded! Current cost: 10.1, Max budget: 10.0", "account"),
    (400, "API key not valid. Please pass a valid API key.", "key"),
    (400, "User location is not supported for the API use.", "key"),
    (400, "The model `x` has been decommissioned and is no longer supported.", "model"),
    (400, "The provided model identifier is invalid.", "model"),
    (400, "No models loaded. Please load a model in the developer page", "model"),
    (403, "Model disabled.", "model"),
    (
        400,
        "gpt-5 models don't support temperature=0.84. Only temperature=1 is supported.",
        "feature temperature",
    ),
    (400, "invalid temperature: only 1 is allowed for this model", "feature temperature"),
    (400, "Gaudi doesn't support logprobs. Please remove 'logprobs'/'top_logprobs'", "feature logprobs"),
    (
        400,
        "max_tokens is too large: 30. This model supports at most 20 completion tokens",
        "parameter max_tokens",
    ),
    (
        500,
        "After the optional system message, conversation roles must alternate user and assistant",
        "feature system",
    ),
    (500, "Only user, assistant and tool roles are supported, got system", "feature system"),
    (400, "Invalid value at 'generation_config.seed' (TYPE_INT32), 3000000000", "feature seed"),
    (400, "Value at 'inferenceConfig.temperature' failed to satisfy constraint", "feature temperature"),
    (400, "Malformed input request: #: extraneous key [seed] is not permitted", "feature seed"),
    (400, "`temperature` is deprecated for this model.", "feature temperature"),
    (400, "Model x does not support the temperature parameter.", "feature temperature"),
    (422, "Input validation error: `top_p` must be > 0.0 and < 1.0", "feature top_p"),
    (400, "`temperature` and `top_p` cannot both be specified for this model.", "feature top_p"),
    (400, "top_p and temperature are mutually exclusive", "feature top_p"),
    (400, "Unsupported parameters: temperature, seed", "feature temperature"),
    (
        400,
        "max_tokens: 30 > 20, which is the maximum allowed number of output tokens",
        "parameter max_tokens",
    ),
    (400, "The specified schema produces a constraint that has too many states", "feature schema"),
    (400, "parameter messages.role should be one of 'user','assistant'", "feature system"),
    # a parameter that is only named is not what is refused
    (400, "computer says no to this request (seed=7, temperature=0.0, max_tokens=30)", "unsure"),
    (400, "Upstream gave up. Request: temperature 0.0, seed 7. This is not supported.", "unsure"),
    (403, "computer says no", "unsure key"),
    (401, "computer says no", "key"),
]


@pytest.mark.parametrize(("status", "words", "about"), OTHERS)
def test_what_other_words_concern(status: int, words: str, about: str) -> None:
    sampling = {**SAMPLING, "top_p": 0.9}
    sent = body_of(Model("m"), Request(request("Write.").messages, sampling, schema=SCHEMA), 7, 2)
    found = concern(Refusal.said(status, {"error": {"message": words}}, str), sent)
    assert f"{found.kind} {found.name}".strip() == about


def test_where_an_error_names_the_parameter_no_words_are_needed() -> None:
    sent = body_of(Model("m"), request("Write."), 7)
    for error in ({"param": "seed"}, {"message": {"detail": [{"loc": ["body", "seed"], "msg": "no"}]}}):
        refusal = Refusal.said(400, {"error": {"message": "computer says no", **error}}, str)
        assert concern(refusal, sent) == ("feature", "seed", None)
    role = {"type": "literal_error", "loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user'"}
    for field in ("detail", "errors"):
        assert concern(Refusal.said(422, {field: [role]}, str), sent) == ("feature", "system", "user")
    refusal = Refusal.said(400, {"error": {"message": "no provider has it", "param": "model"}}, str)
    assert concern(refusal, sent).kind == "model"


def test_what_a_provider_repeats_of_the_request_says_nothing_and_a_routers_words_are_those_behind_it() -> (
    None
):
    wrong = {"type": "int_parsing", "loc": ["body", "top_k"], "msg": "Input should be an integer"}
    told = Refusal.said(422, {"detail": [{**wrong, "input": "a prompt on prohibited, flagged things"}]}, str)
    assert told.says == "int_parsing body top_k Input should be an integer"
    assert concern(told, body_of(Model("m"), request("Write."), 7)).kind == "parameter"
    vllm = "1 validation error: {'loc': ('body',), 'input': {'prompt': 'too many tokens', 'seed': 7}}"
    assert concern(Refusal.said(400, {"message": vllm}, str), {"seed": 7}).kind == "unsure"
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

    @property
    def arrived(self) -> int:
        """Requests at the endpoint, online or in batches."""
        return len(self.endpoint.requests) + sum(map(len, self.endpoint.lines))

    def next_run(self) -> None:
        """What a run does once its partition is made."""
        records.forget(self.lm.call_log, "a", "p")

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


BY_PROMPT = [name for name, refused in REFUSED.items() if refused.kind == "prompt"]
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
    said = refusal_of(refused).says
    said = f"{refusal_of(refused).code}: {said}" if refused.status == 200 else said
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
    says = refusal_of(refused).says
    words = {"key": "refused the key", "proxy": "the proxy", "tls": "write https://"}
    assert words.get(refused.name or refused.kind, says) in str(raised.value)
    if refused.kind == "unsure":
        assert re.search(r"The prompt ends with 'q\d+'", str(raised.value))
    if refused.kind == "parameter":
        assert f"`parameters: {{{refused.name}: null}}` under 'm'" in str(raised.value)
    assert len(asked.endpoint.requests) <= trial.FEW + trial.DOUBTS
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


def test_a_limit_that_is_told_with_status_200_is_waited_for_and_a_wanted_parameter_can_be_written(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BACKOFF", 0.01)
    busy = {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit exceeded(RPM)"}}
    wants = {"error": {"message": "parameter.enable_thinking must be set to false."}}
    with Endpoint() as endpoint:
        endpoint.play = lambda _: busy if len(endpoint.requests) <= 5 else None
        (answer,) = lm.complete(Model("m", base_url=endpoint.url), [request("q", None)])
        assert (answer.outcome, answer.attempts) == ("ok", 6)
        endpoint.play = lambda body: None if body.get("enable_thinking") is False else Played(400, wants)
        with pytest.raises(UserError, match=r"Write `parameters: \{enable_thinking: false\}` under 'm'"):
            lm.complete(Model("m", base_url=endpoint.url), [request("another", None)])
        model = Model("m", base_url=endpoint.url, parameters={"enable_thinking": False})
        assert lm.complete(model, [request("another", None)])[0].outcome == "ok"


UNSURE = {400: "words that nobody knows", 403: "a web page that says no"}


@pytest.mark.parametrize("status", UNSURE)
def test_a_refusal_for_a_reason_unknown_is_that_row_and_is_asked_again_by_the_next_run(
    asked: Asked, status: int
) -> None:
    """Once others were answered with the same key; a key that is refused then (401) stops the run."""
    refused, requests = REFUSED[UNSURE[status]], [request(f"{n % 10} {n}", None) for n in range(30)]
    asked.endpoint.play = played(refused, lambda prompt: prompt.startswith("7"))
    answers = asked(requests)
    assert Counter(a.outcome for a in answers) == {"ok": 27, "provider_error": 3}
    says = f"{status}: {refusal_of(refused).says}"
    assert {a.error for a in answers if a.outcome != "ok"} == {says}
    arrived = asked.arrived
    asked.next_run()
    assert Counter(a.outcome for a in asked(requests)) == {"ok": 27, "provider_error": 3}
    assert asked.arrived == arrived + 3
    asked.endpoint.play = None
    asked.next_run()
    assert {a.outcome for a in asked(requests)} == {"ok"}


def played(refused: Refused, whom: Callable[[str], bool]) -> Callable[[dict[str, Any]], Played | None]:
    """Refuses these prompts."""

    def play(body: dict[str, Any]) -> Played | None:
        bad = whom(body["messages"][-1]["content"])
        return Played(refused.status, refused.body) if bad else None

    return play


@pytest.fixture
def lm(tmp_path: Path) -> LanguageModel:
    return LanguageModel(CallLog(tmp_path / "calls.sqlite"), tmp_path)


def test_many_refusals_in_a_row_for_the_same_unknown_reason_stop_a_run(lm: LanguageModel) -> None:
    """Whatever was answered before; the numbers in the words may differ. What was asked in vain before does
    not count: these prompts may be what is refused, and the rest of a round is not to wait for them."""
    requests = [request(f"{n}", None) for n in range(60)]
    with Endpoint() as endpoint:
        asked, model = endpoint.requests, Model("m", base_url=endpoint.url, max_concurrency=2)

        def play(body: dict[str, Any]) -> Played | None:
            bad = int(body["messages"][-1]["content"]) >= 20
            return Played(400, {"error": f"computer says no (request {len(asked)})"}) if bad else None

        endpoint.play = play
        for run in range(2):
            with pytest.raises(UserError, match=r"computer says no.* the same command goes on"):
                lm.complete(model, requests)
            assert 20 + trial.DOUBTS <= len(asked) <= 20 + (run + 1) * (2 * trial.DOUBTS + 2)
        few = requests[:28]
        assert Counter(a.outcome for a in lm.complete(model, few)) == {"ok": 20, "provider_error": 8}
        endpoint.play = None
        assert {a.outcome for a in lm.complete(model, requests)} == {"ok"}


@pytest.mark.parametrize("status", [200, 429, 503])
def test_what_may_heal_is_asked_again(asked: Asked, status: int) -> None:
    """An error of code 502 inside of an answer too."""
    seen: set[str] = set()
    error = {"error": {"code": 502 if status == 200 else status, "message": "upstream is away"}}

    def play(body: dict[str, Any]) -> Played | None:
        prompt = body["messages"][-1]["content"]
        first = prompt.startswith("bad") and prompt not in seen
        seen.add(prompt)
        return Played(status, error) if first else None

    asked.endpoint.play = play
    requests = [request(f"{'bad' if n % 5 == 0 else 'good'} {n}", None) for n in range(10)]
    assert {a.outcome for a in asked(requests)} == {"ok"}
    assert asked.arrived == 12
