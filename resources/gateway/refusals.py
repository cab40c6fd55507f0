"""What a refusal concerns: this prompt, something in the request that it can do without, or all prompts.

One rule for calls and for lines of batches. What providers say is known from public reports; words that no
table has are `unsure`: whoever asks finds out, because a refusal of all prompts leaves none that is answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from synth_assets.resources.gateway.network import LOG_IN, titled

if TYPE_CHECKING:
    from openai import APIStatusError

HEALING = (408, 409, 424, 425, 429, 499)  # and 5xx: asking again may bring an answer
ALL = ("key", "account", "model", "parameter", "proxy", "tls")  # kinds that concern all prompts
MISFIT = "json_validate_failed"  # Groq: what the model wrote does not fit
QUOTA = "insufficient_quota"
PLAIN = re.compile(r"plain HTTP.{0,40}(HTTPS|SSL)|HTTP request to an HTTPS server", re.IGNORECASE)
TOO_LONG = re.compile(  # codes and words of what is wrong with this prompt alone
    r"context.?(length|window|size|limit)|max_new_tokens. must be|could not finish the message because"
    r"|too many tokens|(sequence|input) length|input token count|maximum model length"
    r"|max_tokens must be at least 1, got -|(prompt|input|message|request) is too (long|large)"
    r"|input tokens exceed"
    r"|reduce (the|your) (length|message|prompt|input)|string_above_max_length|request too large",
    re.IGNORECASE,
)
NOT_ALLOWED = re.compile(
    r"content.?(filter|policy|management|exists risk)|invalid_prompt|data.?inspection|inappropriate"
    r"|flagged|moderation|usage (polic|guideline)|safety_check"
    r"|prohibited|sensitive (content|word|information)|unsafe",
    re.IGNORECASE,
)
ACCOUNT = re.compile(  # what no other prompt helps against
    r"credit balance|(usage|spend|hard).limits?\b|billing|arrearage|key.{0,12}expired"
    r"|(account|organization|resource|project).{0,60}(suspend|disabled|deactivated|blocked|flagged|restricted)"
    r"|\bIP\b.{0,20}not in",
    re.IGNORECASE,
)
MODEL = re.compile(
    r"model_not_found|model not exist|not a valid model|unknown model|invalid model"
    r"|model\b.{0,80}(does not exist|not found|not exist)|access to (the )?model",
    re.IGNORECASE,
)
SCHEMA = re.compile(
    r"response.?format|json.?schema|structured.?output|ChatRequest\.format|additionalProperties"
    r"|guided|grammar|json.?mode",
    re.IGNORECASE,
)
SYSTEM = re.compile(
    r"system.{0,12}(role|message|prompt|instruction)|role.{0,20}system|developer instruction"
    r"|roles must alternate|messages\[0\]\.role",
    re.IGNORECASE,
)
# left out where they are refused
OPTIONAL = ("seed", "n", "logprobs", "top_logprobs", "top_p", "temperature")
OTHER_NAME = {"max_tokens": "max_completion_tokens"}
WORDS = ("n", "stop", "user", "model")  # names that count in quotes only
FITS = ("model", "messages", "prompt")  # of a body, what is no parameter


class Refusal(NamedTuple):
    """A status of 4xx or 5xx, as the provider says it."""

    status: int
    says: str
    code: str = ""
    parameter: str = ""
    text: str = ""  # an answer that the provider itself refused

    @classmethod
    def of(cls, error: APIStatusError, scrub: Callable[[str], str]) -> Refusal:
        """From what the client raised."""
        return cls.said(error.status_code, error.body or error.response.reason_phrase or error.message, scrub)

    @classmethod
    def said(cls, status: int, body: Any, scrub: Callable[[str], str]) -> Refusal:
        """From the JSON of an error, with or without `error` and a list around it."""
        body = body[0] if isinstance(body, list) and len(body) == 1 else body
        inner = body.get("error", body) if isinstance(body, dict) else body
        if isinstance(inner, str) and inner.lstrip().startswith("<"):
            inner = f"a web page{titled(inner)}"
        if not isinstance(inner, dict):
            return cls(status, scrub(str(inner)))
        code, parameter, text = (str(inner.get(n) or "") for n in ("code", "param", "failed_generation"))
        return cls(status, scrub(_words(inner)), code, parameter, text)

    @property
    def heals(self) -> bool:
        """Whether asking again may bring an answer."""
        return (self.status in HEALING or self.status >= 500) and self.code != QUOTA


def _words(error: Mapping[str, Any]) -> str:
    """What an error says of itself, and what a router was told by the provider behind it; not what it repeats
    of the request, whose words are the prompt's."""
    detail = error.get("detail")
    if isinstance(detail, list) and all(isinstance(each, dict) for each in detail):
        said = ([each.get("type"), *(each.get("loc") or ()), each.get("msg")] for each in detail)
        return "; ".join(" ".join(str(part) for part in parts if part is not None) for parts in said)
    behind = error["metadata"].get("raw") if isinstance(error.get("metadata"), dict) else None
    words = str(error.get("message") or error)
    return f"{words}: {behind}" if behind else words


class Concern(NamedTuple):
    """`kind`: prompt, feature, misfit, heals, unsure, or one of ALL. Of a feature, `name` is what is refused
    and `instead` what is sent in its place (see `wire.body_of`)."""

    kind: str
    name: str = ""
    instead: Any = None


def concern(refusal: Refusal, body: Mapping[str, Any]) -> Concern:
    """What a refusal of this body concerns."""
    status, says = refusal.status, f"{refusal.code} {refusal.says}"
    if status in LOG_IN:
        return Concern("proxy")
    if status == 400 and PLAIN.search(says):
        return Concern("tls")
    if refusal.code == QUOTA or status == 402:
        return Concern("account")
    if refusal.code == MISFIT:
        return Concern("misfit")
    if status in HEALING:
        return Concern("heals")
    if status < 500 and ACCOUNT.search(says):
        return Concern("account")
    if (status <= 500 and TOO_LONG.search(says)) or (status < 500 and NOT_ALLOWED.search(says)):
        return Concern("prompt")
    if status == 403 and MODEL.search(says):
        return Concern("model")
    if status in (401, 403):
        return Concern("key")
    if feature := _feature(refusal, body):
        return feature
    if refusal.heals:
        return Concern("heals")
    if status == 404 or MODEL.search(says):
        return Concern("model")
    if status == 413:
        return Concern("prompt")
    name = _named(refusal, body)
    return Concern("parameter", name) if name else Concern("unsure")


def _feature(refusal: Refusal, body: Mapping[str, Any]) -> Concern | None:
    """What the request can do without, if that is what is refused."""
    says = f"{refusal.parameter} {refusal.says}"
    if {"response_format", "json_schema"} & set(body) and SCHEMA.search(says):
        return Concern("feature", "schema", "words")
    roles = [message["role"] for message in body.get("messages", ())]
    if "system" in roles and SYSTEM.search(says):
        return Concern("feature", "system", "user")
    if refusal.status >= 500:
        return None
    name = _named(refusal, body)
    other = OTHER_NAME.get(name, "")
    if other and other in says:
        return Concern("feature", name, other)
    if name in ("logprobs", "top_logprobs"):  # too many of them, or none at all
        number = "top_logprobs" if "top_logprobs" in body else "logprobs"
        fewer = [int(n) for n in re.findall(r"\b\d+\b", says) if 0 < int(n) < body[number]]
        return Concern("feature", number, max(fewer)) if fewer else Concern("feature", "logprobs")
    return Concern("feature", name) if name in OPTIONAL else None


def _named(refusal: Refusal, body: Mapping[str, Any]) -> str:
    """The parameter of the body that a refusal names, or nothing."""
    names = [name for name in body if name not in FITS]
    if refusal.parameter in names:
        return refusal.parameter
    if place := re.search(r"loc\W+body\W+(\w+)", refusal.says):
        return place[1] if place[1] in names else ""
    found = {}
    for name in names:
        quoted = rf"['\"`]{name}['\"`]"
        pattern = quoted if name in WORDS else rf"(?<![\w.]){name}(?!\w)"
        if match := re.search(pattern, refusal.says, re.IGNORECASE):
            found[name] = match.start()
    return min(found, key=lambda name: found[name], default="")
