"""What goes over the wire: the JSON of the two OpenAI APIs, chat and completions, to and from our words."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from synth_assets.resources.gateway.answers import LIMITS, answer_of, broken
from synth_assets.resources.gateway.pace import duration, headroom
from synth_assets.resources.gateway.refusals import Refusal

if TYPE_CHECKING:
    from synth_assets.resources.gateway.models import Model
    from synth_assets.resources.gateway.request import Request

MOST_TOKENS = 10**8  # of a call: ten times what the largest models read
# in the body of a refusal: Google's field, and the words of OpenAI, Groq, Azure, Moonshot
DELAY = re.compile(
    r"(?:retryDelay\W+|try again (?:in|after) |retry (?:in|after) )((?:\d+(?:\.\d+)? ?[a-z]+)+)"
)
UNITS = re.compile(r" ?(ms|h|m|s)[a-z]*")


def body_of(
    model: Model, request: Request, seed: int, samples: int = 1, learnt: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """The JSON to send. Sampling that the API has no other name for goes as the recipe has it. `learnt`: what
    this endpoint refuses, and what is sent in its place (None: nothing, a word: under this name, a number: no
    more than that), `schema` and `system` among it; without it, as the model's entry says."""
    learnt = {**model.does_without, **learnt} if model.does_without else learnt
    body = {key: value for key, value in request.sampling_for(model).items() if value is not None}
    if thoughts := body.pop("reasoning_tokens", 0):
        body |= {name: body[name] + thoughts for name in LIMITS if name in body}
    alternatives = body.pop("logprobs", False)
    body |= {"model": model.name, "seed": seed} | ({"n": samples} if samples > 1 else {})
    messages, schema = [dict(message) for message in request.messages], request.schema
    asked_by = learnt.get("schema", model.structured)
    if schema is not None and asked_by != "json_schema":
        messages[-1]["content"] += f"\n\n{schema.instruction()}"
        schema = None
    if model.api == "chat":
        body["messages"] = _as_user(messages) if learnt.get("system") == "user" else messages
        if alternatives is not False:
            body |= {"logprobs": True, "top_logprobs": min(max(1, alternatives), 20)}
        if schema is not None:
            named = {"name": "answer", "schema": schema.json, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        elif request.schema is not None and asked_by == "json_object":
            body["response_format"] = {"type": "json_object"}
    else:
        body["prompt"] = "\n\n".join(message["content"] for message in messages)
        if alternatives is not False:
            body["logprobs"] = max(1, alternatives)
        if schema is not None:
            body["json_schema"] = schema.json  # llama.cpp's name; OpenAI's own API has none here
    return _without(body, learnt) if learnt else body


def _as_user(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """What the system is told, before the first message of the user, for templates without a system."""
    told_first = [message["content"] for message in messages if message["role"] == "system"]
    rest = [message for message in messages if message["role"] != "system"]
    if not told_first:
        return rest
    if not rest or rest[0]["role"] != "user":
        rest.insert(0, {"role": "user", "content": ""})
    rest[0]["content"] = "\n\n".join(filter(None, [*told_first, rest[0]["content"]]))
    return rest


def _without(body: dict[str, Any], learnt: Mapping[str, Any]) -> dict[str, Any]:
    """The body without the parameters that the endpoint refuses."""
    for name in learnt.keys() & body.keys():
        value, instead = body.pop(name), learnt[name]
        if isinstance(instead, str):
            body.setdefault(instead, value)
        elif instead is not None:
            body[name] = min(value, instead)
    if "logprobs" not in body:
        body.pop("top_logprobs", None)
    return body


def read(data: Any, request: Request, model: Model) -> list[dict[str, Any]]:
    """Fields of an Answer from the JSON of either API, one a sample. ValueError when it is neither's. Tokens
    are counted for a call as a whole: its samples share them by the length of their texts, an estimate. Of
    several samples, those that are broken are left out."""
    try:
        if not data.get("choices") and (wrong := Refusal.inside(data)):
            outcome, words = broken(wrong)
            return [{"outcome": outcome, "error": words}]
        usage, choices = data.get("usage"), list(data["choices"])
        answers = [*_answers(choices, request, model, usage)]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"not an answer of an OpenAI-compatible API: {str(data)[:200]}") from error
    if not answers:
        raise ValueError(f"an answer without choices: {str(data)[:200]}")
    answers = [a for a in answers if a["outcome"] != "provider_error"] or answers[:1]
    counts = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    sizes = [len(a["text"]) + len(a["thoughts"] or "") for a in answers]
    shares = [_shares(counts[0], [1] * len(answers)), _shares(counts[1], sizes)]
    told_by = None if None in counts else "provider" if len(answers) == 1 else "estimated"
    return [
        {**answer, "prompt_tokens": prompt, "completion_tokens": completion, "tokens_from": told_by}
        for answer, prompt, completion in zip(answers, *shares, strict=True)
    ]


def parsed(content: bytes) -> Any:
    """The JSON of an answer. ValueError says what came instead."""
    try:
        return json.loads(content)
    except ValueError:
        text = content[:200].decode("utf-8", "replace")
        stream = text.startswith(("data:", "event:", ": "))
        what = "a stream of events, which nobody asked for" if stream else "no JSON"
        raise ValueError(f"{what}: {text!r}" if text else "an empty answer") from None


def _answers(choices: list[Any], request: Request, model: Model, usage: Any) -> list[dict[str, Any]]:
    """Fields of an Answer of each choice that can be read. Raises what is wrong where none can."""
    answers, wrong = [], None
    for choice in choices:
        try:
            answers.append(answer_of(choice, request, model, usage))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            wrong = error
    if wrong is not None and not answers:
        raise wrong
    return answers


def _shares(total: int | None, sizes: Sequence[int]) -> list[int | None]:
    """`total` in whole parts that grow with `sizes` and sum up to it."""
    if total is None:
        return [None] * len(sizes)
    whole = sum(sizes) or 1
    ends = [0, *(total * size // whole for size in accumulate(sizes[:-1])), total]
    return [end - before for before, end in pairwise(ends)]


def _count(usage: Any, name: str) -> int | None:
    """A number of tokens, or None for whatever is none: text, a fraction, less than nothing, more than any
    model reads or writes in a call."""
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if type(count) is int and 0 <= count <= MOST_TOKENS else None


def retry_after(headers: Mapping[str, str], body: Any = None) -> float:
    """Seconds that a Retry-After header asks for (a number, a date, or in -ms milliseconds), or the body, or
    until more is left by other headers; else 0."""
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after", "")
    if not milliseconds and not value:
        delay = DELAY.search(str(body))
        return duration(UNITS.sub(r"\1", delay[1])) if delay else headroom(headers)
    try:
        return max(0.0, float(milliseconds) / 1000 if milliseconds else float(value or 0))
    except ValueError:
        with suppress(ValueError):
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        return 0.0
