"""Three short questions to an endpoint, and what its entry in models.yaml should say after the answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from synth_assets.core.answer_schema import REASON, SHOWN, Schema
from synth_assets.core.asking import Answer
from synth_assets.core.errors import UserError
from synth_assets.resources.gateway.budget import Use, total
from synth_assets.resources.gateway.embedded_server import ensure
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request, most_of
from synth_assets.resources.gateway.transport import connect

SCHEMA = Schema.of({"text": "text", "number": "integer"})
LIMIT = 300  # tokens of an answer: a little thinking has room
ROOM = 4000  # tokens for thoughts, where they took all of it
SYSTEM = {"role": "system", "content": "Answer in a few words."}


class Question(NamedTuple):
    """What is asked, and what it is about."""

    about: str
    request: Request


def questions() -> list[Question]:
    """They are asked anew each time: a text (under a system, at temperature 0, with a seed), an answer that
    fits a schema, and log-probabilities."""
    sampling, asked = {"temperature": 0.0, "max_tokens": LIMIT}, f"check/{time.time()}"

    def question(words: str, schema: Schema | None = None, **more: Any) -> Request:
        messages = (SYSTEM, {"role": "user", "content": words})
        return Request(messages, {**sampling, **more}, asked, schema)

    return [
        Question("text", question("Say hello.")),
        Question("schema", question("Name a fruit, and the number of its letters.", SCHEMA)),
        Question("log-probabilities", question("Is water wet? Answer yes or no.", logprobs=20)),
    ]


def most(asked: list[Question], model: Model) -> Use:
    """The most that it costs, with a second try where JSON does not fit. UserError for a model without any
    limit."""
    wrong = Answer("", "invalid", text="x" * SHOWN, error="x" * REASON)
    again = [request.corrected(wrong) for _, request in asked if request.schema]
    requests = [*(request for _, request in asked), *again]
    return total(most_of(request, model, model.price, in_words=True) for request in requests)


def probe(lm: LanguageModel, model: Model, asked: list[Question], changes: dict[str, Any]) -> Iterator[str]:
    """What is found, in words; `changes` gets the fields that the entry should have. UserError when it is not
    even asked for a text: a wrong key, an unknown model."""
    connection = connect(model, model.base_url or ensure(model.file(), lm.server_folder))
    connection.learnt.clear()
    nulls: dict[str, Any] = {}
    for about, request in asked:
        try:
            (answer,) = lm.complete(model, [request])
        except UserError as refusal:
            if about == "text":
                raise
            answer = Answer("", "refused", error=str(refusal))
        yield f"{about}: {_said(answer)}"
        if _left_nothing(answer):
            changes["reasoning"] = {"tokens": ROOM}
        elif about == "schema" and answer.outcome != "ok" and model.structured != "words":
            changes["structured"] = "words"
        elif about == "log-probabilities" and not _begins(answer) and "logprobs" not in model.does_without:
            nulls["logprobs"] = None
    for name, instead in connection.learnt.items():
        if name == "schema":
            changes["structured"] = instead
        elif name == "system":
            changes["system"] = instead
        elif not isinstance(instead, int):
            nulls[name] = None
            nulls |= {instead: LIMIT} if instead else {}
    if nulls:
        changes["parameters"] = nulls


def entry(said: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an entry with those that were found."""
    parameters = {**said.get("parameters", {}), **changes.get("parameters", {})}
    return {**said, **changes, **({"parameters": parameters} if parameters else {})}


def _said(answer: Answer) -> str:
    seen = ["answered" if answer.outcome == "ok" else answer.outcome]
    if answer.thoughts:
        seen.append("with thoughts before it")
    if answer.logprobs:
        seen.append(f"with {len(answer.logprobs[0].top)} alternatives a token")
        seen += [] if _begins(answer) else ["of which none begins the answer"]
    return ", ".join(seen) + (f" ({answer.error})" if answer.error else "")


def _begins(answer: Answer) -> bool:
    """Whether the answer begins with one of the tokens whose log-probabilities are given."""
    top = [token.strip() for token in answer.logprobs[0].top] if answer.logprobs else []
    return any(token and (answer.text or "").strip().startswith(token) for token in top)


def _left_nothing(answer: Answer) -> bool:
    return bool(answer.thoughts) and not (answer.text or "").strip()
