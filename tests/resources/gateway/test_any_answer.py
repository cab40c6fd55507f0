"""Whatever JSON an endpoint answers with status 200: there is a row with an outcome, and no third call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from synth_assets.annotation.annotators import read as read_label
from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import OUTCOMES
from synth_assets.core.errors import UserError
from synth_assets.core.text.arithmetic import rating
from synth_assets.generation.steps.prompt import parsed
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway import sending
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.refusals import within
from synth_assets.resources.gateway.request import Request
from tests.endpoint import Endpoint
from tests.resources.gateway.shapes import FINISHED

SCHEMA = Schema.of({"text": "text", "n": "integer"})
TEXTS = ("", "5", "hello", "<think>so", "</think>5", '{"text": "a", "n": 1}', "\ud83d", "\x00")
words = st.sampled_from(TEXTS)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | words, inner, max_size=3)
    ),
    max_leaves=6,
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with some of these fields, each as it should be, or now and then anything."""
    kinds = {name: st.one_of(likely, likely, likely, anything) for name, likely in fields.items()}
    return st.fixed_dictionaries({}, optional=kinds)


part = some(type=st.sampled_from(["text", "thinking", "refusal", "image"]), text=words, thinking=words)
function = some(name=words, arguments=words)
message = some(
    content=words | st.lists(part | words, max_size=3),
    reasoning_content=words,
    refusal=st.none() | words,
    tool_calls=st.lists(some(function=function), max_size=2),
)
token = some(token=words, logprob=st.floats(), top_logprobs=st.lists(some(token=words, logprob=st.floats())))
choice = some(
    message=message,
    finish_reason=st.sampled_from(FINISHED),
    logprobs=some(content=st.lists(token, max_size=2)),
    error=some(code=st.integers(), message=words),
)
details = some(reasoning_tokens=st.integers())
usage = some(prompt_tokens=st.integers(), completion_tokens=st.integers(), completion_tokens_details=details)
right = st.fixed_dictionaries(
    {"choices": st.lists(st.builds(lambda m, c: {**c, "message": m}, message, choice))}
)
answers = right | some(choices=st.lists(choice, max_size=2), usage=usage, error=anything) | anything


def whatever(number: int) -> list[Any]:
    """So many answers, the same each time."""
    found: list[Any] = []

    @settings(max_examples=number, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(answers)
    def take(body: Any) -> None:
        found.append(body)

    take()
    return found


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LanguageModel, Endpoint]]:
    folder: Path = tmp_path_factory.mktemp("any")
    with Endpoint() as endpoint, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending, "BACKOFF", 0.0)
        patch.setattr(sending, "PATIENCE", 0.0)
        lm = LanguageModel(CallLog(folder / "calls.sqlite"), folder)
        yield lm, endpoint
        assert list(lm.call_log.verify()) == []


questions = count()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(answers, st.sampled_from([None, SCHEMA]), st.sampled_from(["words", "json_schema"]))
def test_any_json_is_a_row_with_an_outcome(
    asked: tuple[LanguageModel, Endpoint], body: Any, schema: Schema | None, structured: Any
) -> None:
    lm, endpoint = asked
    endpoint.requests.clear()
    endpoint.play = lambda _: [] if body is None else body
    model = Model("m", base_url=endpoint.url, structured=structured)
    question = Request([{"role": "user", "content": f"q{next(questions)}"}], {"logprobs": 5}, schema=schema)
    try:
        (answer,) = lm.complete(model, [question])
    except UserError:  # an error whose code says that no prompt is answered
        assert within(body, endpoint.requests[-1], str)
        return
    assert answer.outcome in OUTCOMES
    most = sending.ATTEMPTS if answer.outcome == "rate_limited" else 2
    assert max(Counter(str(sent["messages"]) for sent in endpoint.requests).values()) <= most
    row = parsed(answer, schema, one_line=False)
    assert (row["reason"] is None) <= (answer.outcome == "ok")
    assert row["reason"] or row["text"].strip()
    read_label(answer, {"a": "hello", "b": "5"})
    rating(answer.text or "", 0, 5)
    (known,) = lm.call_log.find([answer.identity]).values() or [answer]
    assert (known.text, known.thoughts, known.logprobs) == (answer.text, answer.thoughts, answer.logprobs)
    event(answer.outcome)
