"""What goes over the wire: the JSON of the two OpenAI APIs, chat and completions, to and from our words."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from resources.call_log import TokenLogprob, clean

if TYPE_CHECKING:
    from openai import APIStatusError

    from resources.language_model import Model, Request


def body_of(model: Model, request: Request, seed: int) -> dict[str, Any]:
    """The JSON to send. What the API has no name of its own for goes as the recipe's sampling says it."""
    body = {key: value for key, value in request.sampling.items() if value is not None}
    alternatives = body.pop("logprobs", False)
    body |= {"model": model.name, "seed": seed}
    if model.api == "chat":
        body["messages"] = [dict(message) for message in request.messages]
        if alternatives is not False:
            body |= {"logprobs": True, "top_logprobs": min(max(1, alternatives), 20)}
        if request.schema is not None:
            strict = request.schema.get("additionalProperties") is False  # strict mode insists on it
            named = {"name": "answer", "schema": dict(request.schema), "strict": strict}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
    else:
        body["prompt"] = "\n\n".join(message["content"] for message in request.messages)
        if alternatives is not False:
            body["logprobs"] = max(1, alternatives)
        if request.schema is not None:
            body["json_schema"] = dict(request.schema)  # llama.cpp's name; OpenAI's own API has none here
    return body


def read(data: Any, request: Request) -> dict[str, Any]:
    """Fields of an Answer from the JSON of either API. Raises ValueError when it is neither's."""
    try:
        choice = data["choices"][0]
        message = choice.get("message") or {"content": choice.get("text")}
        refusal = message.get("refusal")
        text = clean(refusal or message.get("content") or "")
        usage, reason = data.get("usage"), choice.get("finish_reason")
        logprobs = _logprobs(choice.get("logprobs"))
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"not an answer of an OpenAI-compatible API: {str(data)[:200]}") from error
    outcome = "ok"
    if refusal or reason == "content_filter":
        outcome = "refused"
    elif reason == "length":
        outcome = "truncated"
    elif request.schema is not None and not _is_json(text):
        outcome = "invalid"
    return {
        "outcome": outcome,
        "text": text,
        "finish_reason": clean(reason) if isinstance(reason, str) else None,
        "logprobs": logprobs,
        "prompt_tokens": _count(usage, "prompt_tokens"),
        "completion_tokens": _count(usage, "completion_tokens"),
    }


def _count(usage: Any, name: str) -> int | None:
    """A number of tokens, or None for whatever is none: text, a fraction, less than nothing, 400 digits."""
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if type(count) is int and 0 <= count < 2**63 else None


def _logprobs(given: Mapping[str, Any] | None) -> list[TokenLogprob] | None:
    """From the chat API's form (a `content` list), or the older one (three parallel lists)."""
    if not given:
        return None
    if given.get("content") is not None:
        rows = [
            (t["token"], t["logprob"], {a["token"]: a["logprob"] for a in t.get("top_logprobs") or ()})
            for t in given["content"]
        ]
    elif given.get("tokens") is not None:
        tops = given.get("top_logprobs") or [None] * len(given["tokens"])
        rows = list(zip(given["tokens"], given["token_logprobs"], tops, strict=True))
    else:
        return None
    return [TokenLogprob(clean(token), _number(p), _numbers(top)) for token, p, top in rows]


def _number(logprob: float | None) -> float:
    return -9999.0 if logprob is None else logprob  # what OpenAI says for "very unlikely"


def _numbers(top: Mapping[str, float | None] | None) -> dict[str, float]:
    return {clean(token): _number(logprob) for token, logprob in (top or {}).items()}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def message_of(error: APIStatusError) -> str:
    body = error.body
    return str(body["message"] if isinstance(body, dict) and body.get("message") else body or error.message)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a Retry-After header asks for (a number, or a date); 0 without one."""
    from email.utils import parsedate_to_datetime

    value = headers.get("retry-after", "0")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0
