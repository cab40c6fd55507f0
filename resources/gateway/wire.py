"""What goes over the wire: the JSON of the two OpenAI APIs, chat and completions, to and from our words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from synth_assets.resources.gateway.answers import answer_of, told

if TYPE_CHECKING:
    from openai import APIStatusError

    from synth_assets.resources.gateway.models import Model
    from synth_assets.resources.gateway.request import Request


def body_of(
    model: Model, request: Request, seed: int, samples: int = 1, in_words: bool = False
) -> dict[str, Any]:
    """The JSON to send. Sampling that the API has no other name for goes as the recipe has it. `in_words`:
    the endpoint knows no schemas, so it is asked in words for an answer that fits."""
    body = {key: value for key, value in request.sampling_for(model).items() if value is not None}
    alternatives = body.pop("logprobs", False)
    body |= {"model": model.name, "seed": seed} | ({"n": samples} if samples > 1 else {})
    messages, schema = [dict(message) for message in request.messages], request.schema
    if schema is not None and in_words:
        messages[-1]["content"] += f"\n\n{schema.instruction()}"
        schema = None
    if model.api == "chat":
        body["messages"] = messages
        if alternatives is not False:
            body |= {"logprobs": True, "top_logprobs": min(max(1, alternatives), 20)}
        if schema is not None:
            named = {"name": "answer", "schema": schema.json, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
    else:
        body["prompt"] = "\n\n".join(message["content"] for message in messages)
        if alternatives is not False:
            body["logprobs"] = max(1, alternatives)
        if schema is not None:
            body["json_schema"] = schema.json  # llama.cpp's name; OpenAI's own API has none here
    return body


def read(data: Any, request: Request) -> list[dict[str, Any]]:
    """Fields of an Answer from the JSON of either API, one a sample. ValueError when it is neither's. Tokens
    are counted for a call as a whole: its samples share them by the length of their texts, an estimate."""
    try:
        if not data.get("choices") and data.get("error"):
            raise ValueError(told(data["error"]))
        usage = data.get("usage")
        answers = [answer_of(choice, request, usage) for choice in data["choices"]]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"not an answer of an OpenAI-compatible API: {str(data)[:200]}") from error
    if not answers:
        raise ValueError(f"an answer without choices: {str(data)[:200]}")
    counts = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    sizes = [len(a["text"]) + len(a["thoughts"] or "") for a in answers]
    shares = [_shares(counts[0], [1] * len(answers)), _shares(counts[1], sizes)]
    told_by = None if None in counts else "provider" if len(answers) == 1 else "estimated"
    return [
        {**answer, "prompt_tokens": prompt, "completion_tokens": completion, "tokens_from": told_by}
        for answer, prompt, completion in zip(answers, *shares, strict=True)
    ]


def _shares(total: int | None, sizes: Sequence[int]) -> list[int | None]:
    """`total` in whole parts that grow with `sizes` and sum up to it."""
    if total is None:
        return [None] * len(sizes)
    whole = sum(sizes) or 1
    ends = [0, *(total * size // whole for size in accumulate(sizes[:-1])), total]
    return [end - before for before, end in pairwise(ends)]


def _count(usage: Any, name: str) -> int | None:
    """A number of tokens, or None for whatever is none: text, a fraction, less than nothing, 400 digits."""
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if type(count) is int and 0 <= count < 2**63 else None


def message_of(error: APIStatusError) -> str:
    """What the provider says is wrong."""
    body = error.body
    return str(body["message"] if isinstance(body, dict) and body.get("message") else body or error.message)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a Retry-After header asks for (a number, a date, or in -ms milliseconds); else 0."""
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after", "0")
    try:
        return max(0.0, float(milliseconds) / 1000 if milliseconds else float(value))
    except ValueError:
        with suppress(ValueError):
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        return 0.0
