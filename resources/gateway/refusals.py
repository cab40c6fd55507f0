"""What a refusal concerns: this prompt, something in the request that it can do without, or all prompts.

One rule for calls and for lines of batches. What providers say is known from public reports; words that no
table has are `unsure`: whoever asks finds out, because a refusal of all prompts leaves none that is answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
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
    r"(?<!less than the .)context.?(length|window|size|limit)|max_new_tokens. must be"
    r"|could not finish the message because"
    r"|too many tokens|(sequence|input).?length|(input|prompt) token count|must have less than \d+ tokens"
    r"|max(imum)? (model|prompt) length|model (token limit|max length)|(prompt|input)( \w+)? exceed"
    r"|max_tokens must be at least 1, got -|(prompt|input|message|request)( \w+)? (is |are )?too (long|large)"
    r"|reduce (the|your) (length|message|prompt|input)|string_above_max_length"
    r"|content.?length.?exceed|max_seq_len"
    r"|(输入|内容|文本|消息|上下文|长度|prompt|tokens?).{0,12}(过长|太长|超长|超过|超出|超限)"
    r"|(超过|超出).{0,8}(长度|上下文|token)",
    re.IGNORECASE,
)
A_MINUTE = re.compile(r"limit:? ([\d,]+), requested:? ([\d,]+)", re.IGNORECASE)  # of tokens
NOT_ALLOWED = re.compile(
    r"content.?(filter|policy|management|exists risk)|invalid_prompt|data.?inspection|inappropriate"
    r"|flagged|moderation|usage (polic|guideline)|safety.?(check|system|filter|guideline|reason)|guardrail"
    r"|prohibited|(?<!case.)(?<!time.)sensitive|unsafe|harmful|high.?risk"
    r"|(prompt|response) (was |is |has been )?(blocked|rejected)|敏感|内容安全|不安全|违规|违法|审核",
    re.IGNORECASE,
)
EMPTY = re.compile(  # an account's purse, which is not full again in a minute
    r"insufficient.{0,12}(balance|fund|credit)|balance is insufficient|not.enough.(balance|credit)"
    r"|all available credits|exceeded_current_quota_error|overdue|account.{0,60}(not active|suspended)"
    r"|余额不足|欠费",
    re.IGNORECASE,
)
ACCOUNT = re.compile(  # what no other prompt helps against
    r"credit balance|(usage|spend(ing)?|hard).limits?\b|billing|budget.{0,12}exceed|arrearage"
    r"|key.{0,12}expired"
    r"|(account|organization|resource|project).{0,60}(suspend|disabled|deactivated|blocked|flagged|restricted)"
    r"|\bIP\b.{0,20}not in|账[号户].{0,12}(封|停|冻结|违规)",
    re.IGNORECASE,
)
KEY = re.compile(
    r"\b(invalid|incorrect|wrong|missing|no)\b.{0,12}(api|access|x-api).?(key|token)|unauthori[sz]ed"
    r"|(api|access).?(key|token).{0,30}(invalid|incorrect|not valid|wrong|missing|revoked|disabled)"
    r"|authentication.?(error|fail)|(country|region|territory|location).{0,20}not supported|密钥|无效的令牌",
    re.IGNORECASE,
)
MODEL = re.compile(
    r"model_not_(found|supported)|model not exist|not a valid model|(unknown|invalid|unavailable).model"
    r"|model\b.{0,80}(does not exist|not found|not exist|decommissioned|deprecated|identifier is invalid)"
    r"|model (is )?disabled|model_terms_required|no models? loaded|unable to access.{0,20} model"
    r"|access to (the )?model|模型.{0,20}不存在",
    re.IGNORECASE,
)
SCHEMA = re.compile(
    r"response.?format|json.?schema|structured.?output|ChatRequest\.format|additionalProperties"
    r"|response.?schema|\bschema\b|guided|grammar|json.?mode|output_(format|config)|requested parameters",
    re.IGNORECASE,
)
SYSTEM = re.compile(
    r"system.{0,12}(role|message|prompt|instruction)|role.{0,20}system|developer instruction"
    r"|roles must alternate|only user.{0,30}roles|messages(\W{1,3}0)?\W{1,3}role"
    r"|(start|begin|first message).{0,20}\buser\b",
    re.IGNORECASE,
)
# a name counts as refused where its sentence says so, and not where it is only named
REFUSES = re.compile(
    r"(not|n't) (yet |currently |a )?(support|permit|allow|avail|enabl|valid|recogni|accept|implement|expect)"
    r"|cannot (both |also )?be|unsupported|unknown|unrecogni|unexpected|extra|invalid(?!_request)|illegal"
    r"|deprecated|no longer|must|should|only|at most|maximum|max allowed|greater|out of|range|constraint"
    r"|too (large|small|high|low|many)|disabled|不支持|无效|非法|错误|有误|范围|不能|只能",
    re.IGNORECASE,
)
# so that an error of the endpoint's own (5xx) is one of a parameter
UNABLE = re.compile(r"unsupported|unexpected keyword|(not|n't) (yet )?(support|implement)", re.IGNORECASE)
BUSY = re.compile(r"throttl|too many requests|rate.?limit|\bqps\b", re.IGNORECASE)  # as 429 does
BOTH = re.compile(r"\bboth\b|only one|mutually exclusive|同时", re.IGNORECASE)
SENTENCE = re.compile(r"(?<=[.;!?])\s+|\n(?!\s)|[。；]")
# left out where they are refused; of two that exclude each other the first
OPTIONAL = ("seed", "n", "logprobs", "top_logprobs", "top_p", "temperature")
OTHER_NAME = {"max_tokens": "max_completion_tokens"}
WORDS = ("n", "stop", "user", "model")  # names that count in quotes only, or where they have a value
FITS = ("model", "messages", "prompt")  # of a body, what is no parameter
ECHO = re.compile(r"['\"]input['\"]: ")  # before what pydantic was given: the prompt, for one
SAYS = ("message", "detail", "error_msg", "status_msg", "msg")  # fields with an error's words


class Refusal(NamedTuple):
    """A status of 4xx or 5xx, as the provider says it; 0: not known."""

    status: int
    says: str
    code: str = ""
    type: str = ""
    parameter: str = ""
    text: str = ""  # an answer that the provider itself refused

    @classmethod
    def of(cls, error: APIStatusError, scrub: Callable[[str], str]) -> Refusal:
        """From what the client raised, whose body may lack what stands beside `error`."""
        body = error.body
        with suppress(ValueError, RecursionError):
            body = json.loads(error.response.content)
        return cls.said(error.status_code, body or error.response.reason_phrase or error.message, scrub)

    @classmethod
    def said(cls, status: int, body: Any, scrub: Callable[[str], str]) -> Refusal:
        """From the JSON of an error, with or without `error` and a list around it."""
        body = body[0] if isinstance(body, list) and len(body) == 1 else body
        inner = body
        if isinstance(body, dict) and isinstance(body.get("error"), dict | str):
            inner = body["error"] or body
        if isinstance(inner, str) and inner.lstrip().startswith("<"):
            inner = f"a web page{titled(inner)}"
        if not isinstance(inner, dict):
            return cls(status, scrub(str(inner)))
        inner = _opened(inner)
        names = ("code", "type", "param", "failed_generation")
        code, kind, parameter, text = (str(inner.get(name) or "") for name in names)
        says = scrub(_words(inner))
        status = 429 if status in (0, 400, 403) and BUSY.search(f"{code} {kind} {says}") else status
        return cls(status, says, code, kind, parameter or _place(inner), text)

    @classmethod
    def inside(cls, data: Any, scrub: Callable[[str], str] = str) -> Refusal | None:
        """From the JSON of status 200 that holds an error in the place of an answer, or in each choice; its
        code is its status, where it has one."""
        if not isinstance(data, dict):
            return None
        choices = data.get("choices")
        if choices:
            if not isinstance(choices, list):
                return None
            errors = [isinstance(choice, dict) and choice.get("error") for choice in choices]
            return cls.coded(errors[0], scrub) if all(errors) else None
        wrong = data.get("error") or data.get("base_resp") or data
        worded = not isinstance(wrong, dict) or any(wrong.get(name) for name in SAYS)
        return cls.coded(wrong, scrub) if worded or wrong is not data else None

    @classmethod
    def coded(cls, wrong: Any, scrub: Callable[[str], str] = str) -> Refusal:
        """From an error that came without a status of its own."""
        code = str(wrong.get("code") or "") if isinstance(wrong, dict) else ""
        return cls.said(int(code) if re.fullmatch("[45][0-9][0-9]", code) else 0, wrong, scrub)

    @property
    def heals(self) -> bool:
        """Whether asking again may bring an answer."""
        return (self.status in HEALING or self.status >= 500) and QUOTA not in (self.code, self.type)


def _opened(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """An error whose message is another one, or its JSON, with the fields of both."""
    message = error.get("message")
    if isinstance(message, str) and message.startswith("{"):
        with suppress(ValueError, RecursionError):
            message = json.loads(message)
    if not isinstance(message, dict):
        return error
    behind = message.get("error")
    return {**error, "message": None, **message, **(behind if isinstance(behind, dict) else {})}


def _words(error: Mapping[str, Any]) -> str:
    """What an error says of itself, and what a router was told by the provider behind it; not what it repeats
    of the request, whose words are the prompt's."""
    if found := _found(error):
        said = ([each.get("type"), *_loc(each), each.get("msg") or each.get("message")] for each in found)
        return "; ".join(" ".join(str(part) for part in parts if part is not None) for parts in said)
    behind = error["metadata"].get("raw") if isinstance(error.get("metadata"), dict) else None
    words = ECHO.split(str(next((error[name] for name in SAYS if error.get(name)), None) or dict(error)))[0]
    return f"{words}: {behind}" if behind else words


def _found(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What pydantic found wrong in a request."""
    detail = error.get("detail") or error.get("errors")
    return detail if isinstance(detail, list) and all(isinstance(each, dict) for each in detail) else []


def _place(error: Mapping[str, Any]) -> str:
    """The field of the body where pydantic found something wrong."""
    return next((str(loc[1]) for loc in map(_loc, _found(error)) if len(loc) == 2), "")


def _loc(found: Mapping[str, Any]) -> list[Any]:
    loc = found.get("loc")
    return loc if isinstance(loc, list) else []


class Concern(NamedTuple):
    """`kind`: prompt, feature, misfit, heals, unsure, or one of ALL. Of a feature, `name` is what is refused
    and `instead` what is sent in its place (see `wire.body_of`); of `unsure`, `name` is what it may be."""

    kind: str
    name: str = ""
    instead: Any = None


def concern(refusal: Refusal, body: Mapping[str, Any]) -> Concern:
    """What a refusal of this body concerns."""
    status, says = refusal.status, f"{refusal.code} {refusal.type} {refusal.says}"
    if status in LOG_IN:
        return Concern("proxy")
    if status == 400 and PLAIN.search(says):
        return Concern("tls")
    if QUOTA in (refusal.code, refusal.type) or status == 402 or (status < 500 and EMPTY.search(says)):
        return Concern("account")
    if refusal.code == MISFIT:
        return Concern("misfit")
    if status == 429 and _too_large(says):
        return Concern("prompt")
    if status in HEALING and not (status == 424 and NOT_ALLOWED.search(says)):
        return Concern("heals")
    if status < 500 and ACCOUNT.search(says):
        return Concern("account")
    if (status <= 500 and TOO_LONG.search(says)) or (status < 500 and NOT_ALLOWED.search(says)):
        return Concern("prompt")
    if status == 403 and MODEL.search(says):
        return Concern("model")
    if status == 401 or (status < 500 and KEY.search(says)):
        return Concern("key")
    if feature := _feature(refusal, body):
        return feature
    if status == 403:
        return Concern("unsure", "key")
    if refusal.heals:
        return Concern("heals")
    if status == 404 or refusal.parameter == "model" or MODEL.search(says):
        return Concern("model")
    if status in (413, 451):
        return Concern("prompt")
    name = _named(refusal, body)
    return Concern("parameter", name) if name else Concern("unsure")


def within(data: Any, body: Mapping[str, Any], scrub: Callable[[str], str]) -> tuple[Refusal, Concern] | None:
    """An error with status 200 that means more than that this answer is none: what it would with the status
    that it names, or by its words."""
    if (refusal := Refusal.inside(data, scrub)) is None:
        return None
    about = concern(refusal, body)
    waits = refusal.status == 429 and not data.get("choices")
    if about.kind in ("prompt", "misfit") or (about.kind == "heals" and not waits):
        return None
    return None if about.kind == "unsure" and not refusal.status else (refusal, about)


def _too_large(says: str) -> bool:
    """Whether a limit a minute is less than this request alone takes, so that no wait helps."""
    numbers = A_MINUTE.search(says)
    limit, asked = (int(n.replace(",", "")) for n in numbers.groups()) if numbers else (0, 0)
    return asked > limit or (not numbers and "request too large" in says.lower())


def _feature(refusal: Refusal, body: Mapping[str, Any]) -> Concern | None:
    """What the request can do without, if that is what is refused."""
    says = f"{refusal.parameter} {refusal.says}"
    if {"response_format", "json_schema"} & set(body) and SCHEMA.search(says):
        return Concern("feature", "schema", "words")
    roles = [message["role"] for message in body.get("messages", ())]
    if "system" in roles and SYSTEM.search(says):
        return Concern("feature", "system", "user")
    if refusal.status >= 500 and not UNABLE.search(refusal.says):
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
    """The parameter of the body that is refused, or nothing: the one that a field of the error names, or of
    those in a sentence that refuses something the first."""
    names = [name for name in body if name not in FITS]
    found: dict[str, tuple[int, int]] = {}
    for name in names:
        as_name = name.replace("_", "_?")  # or topP
        pattern = rf"(?:(?<![\w.])|(?<=config\.)|(?<=body\.)){as_name}(?!\w)"
        pattern = rf"['\"`\[]{name}['\"`\]]|\b{name} ?(=|value|must)" if name in WORDS else pattern
        for number, sentence in enumerate(SENTENCE.split(refusal.says)):
            match = re.search(pattern, sentence, re.IGNORECASE | re.ASCII)
            if match and (REFUSES.search(sentence) or BOTH.search(sentence)):
                found.setdefault(name, (number, match.start()))
    if len(found) > 1 and BOTH.search(refusal.says):
        return next((name for name in OPTIONAL if name in found), "")
    if refusal.parameter in names:
        return refusal.parameter
    return min(found, key=lambda name: found[name], default="")
