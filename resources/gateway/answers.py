"""An answer taken apart: its text, its thoughts, a refusal, tool calls, and how it ended.

Providers differ in where they put each; whoever uses an answer (rows, ratings, lists, labels, dialogues) sees
only what this module makes of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import TokenLogprob
from synth_assets.core.text.thoughts import apart
from synth_assets.core.text.utf8 import clean
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.refusals import Refusal, concern
from synth_assets.resources.gateway.request import LIMITS, Request, longest_answer

# words of how an answer ended (see `_ending`) -> what that means; of any other reason the answer is kept
FINISH = {
    "refused": r"filter|safety|refus|sensitive|recitation|prohibited|blocklist|blocked|spii|guardrail|toxic"
    r"|policy|moderat|unsafe|flagged|^language$",
    "truncated": r"length|(?<!rate)(?<!rate_)limit|max|context|incomplete",
    "provider_error": r"error|abort|malformed|insufficient|unexpected|timeout|cancel|overload|^load$"
    r"|rate_?limit|not_finished",
}
STOPPED = (  # it ended as it should: without a text, it is an empty one
    *("", "stop", "end_turn", "stop_sequence", "complete", "eos", "eos_token", "null"),
    *("tool_calls", "tool_use", "function_call"),
)
# type of a part of a content -> what it holds, where it is no part of thoughts
PARTS: dict[str | None, str] = {
    **dict.fromkeys(("text", "output_text", "summary_text", "message", None), "text"),
    **dict.fromkeys(("thinking", "reasoning", "redacted_thinking", "reasoning_content"), "thoughts"),
    **dict.fromkeys(("reasoning.text", "reasoning.summary", "reasoning.encrypted"), "thoughts"),
    **dict.fromkeys(("reasoning_text", "thought"), "thoughts"),
    "refusal": "refusal",
}
# fields with thoughts, of a message or a part
THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks")
THOUGHTS_INSIDE = (*THOUGHTS, "reasoningContent", "reasoningText")
INSIDE = ("text", "refusal", "content", "value", "summary", *THOUGHTS_INSIDE)  # fields of a part
FENCE = re.compile(r"```[a-z]*\n(.*?)\n?```", re.DOTALL)


@dataclass
class _Said:
    """What a message holds."""

    text: str = ""
    thoughts: str = ""
    refusal: str = ""
    ended: bool = True  # False: it broke off in its thoughts
    cut: int = 0  # characters of the content that are thoughts
    tools: list[Mapping[str, Any]] = field(default_factory=list)


def answer_of(choice: Any, request: Request, model: Model, usage: Any) -> dict[str, Any]:
    """Fields of an Answer. ValueError, or what Python raises, for a shape that is none."""
    said = _said(choice.get("message") or choice.get("delta") or {"content": choice.get("text")}, request)
    reason = choice.get("finish_reason")
    reason = reason.get("type") or reason.get("reason") if isinstance(reason, dict) else reason
    reason = clean(reason) if isinstance(reason, str) else None
    ending = _ending(reason)
    outcome, error = next((meant for meant, words in FINISH.items() if re.search(words, ending)), "ok"), None
    text = said.refusal or said.text or _arguments(said, request)
    if choice.get("error"):
        outcome, error = broken(Refusal.coded(choice["error"]))
    elif outcome == "provider_error":
        error = f"the answer ended with {reason!r}"
    elif said.refusal:
        outcome = "refused"
    elif outcome == "ok" and not said.ended:
        outcome = "truncated"
    if not text.strip() and outcome in ("ok", "truncated"):
        if said.thoughts or _thought(usage):
            # all of it is thoughts: another setting of the server may bring an answer to the same request
            outcome = "provider_error" if outcome == "ok" else outcome
            error = _only_thoughts(request, model, usage)
        elif said.tools:
            error = f"the model called the tool {_name(said.tools[0])}, and none was offered"
        elif outcome == "ok" and ending not in STOPPED:
            outcome, error = "provider_error", f"the answer ended with {reason!r}, without a text"
    elif outcome == "ok" and request.schema is not None:
        outcome, text, error = _fitting(text, request.schema, model.structured == "words")
    return {
        "outcome": outcome,
        "text": clean(text),
        "thoughts": clean(said.thoughts) or None,
        "finish_reason": reason,
        "logprobs": _after(_logprobs(choice.get("logprobs")), said.cut),
        "error": error and clean(error),
    }


def broken(refusal: Refusal) -> tuple[str, str]:
    """Outcome and words of an error that came with status 200, in the place of an answer or inside of one."""
    words = ": ".join(filter(None, (refusal.code, refusal.says)))[:500]
    if concern(refusal, {}).kind == "prompt":
        return "refused", words
    return "rate_limited" if refusal.status == 429 else "provider_error", words


def _ending(reason: str | None) -> str:
    """A finish reason in one spelling: `SAFETY`, `contentFilter`, `function_call_filter: MALFORMED_...`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", reason or "")
    return words.lower().rpartition(":")[2].strip()


def _said(message: Mapping[str, Any], request: Request) -> _Said:
    content, said = message.get("content"), _Said()
    if isinstance(content, dict):  # one part; or the JSON that was asked for, read already
        json_of_it = request.schema is not None and "type" not in content
        content = json.dumps(content, ensure_ascii=False) if json_of_it else [content]
    if isinstance(content, list):
        parts = list(_parts(content))
        unknown = [told for kind, told in parts if not kind]
        if unknown and len(unknown) == len(parts):
            raise ValueError(f"a part of an answer is of the type {unknown[0]}")
        for name in ("text", "thoughts", "refusal"):
            setattr(said, name, "".join(text for kind, text in parts if kind == name))
    elif isinstance(content, str):
        said.text = content
    elif content is not None:
        raise ValueError(f"an answer's content is {type(content).__name__}, and neither text nor a list")
    if not said.thoughts:
        whole, found = said.text, apart(said.text, request.messages)
        while found.thoughts == "" and (more := apart(found.text, request.messages)).thoughts is not None:
            found = more  # so that the log, which keeps no empty thoughts, finds the same text again
        said.text, said.thoughts, said.ended = found.text, found.thoughts or "", found.ended
        at = whole.rfind(found.text)  # something behind it may be taken off as well
        said.cut = (at if at >= 0 else len(whole) - len(found.text)) if found.thoughts is not None else 0
    if isinstance(refusal := message.get("refusal"), str):
        said.refusal = refusal
    for beside in filter(None, map(message.get, THOUGHTS)):
        blocks = "".join(text for kind, text in _parts(beside, "thoughts") if kind)
        said.thoughts = said.thoughts or blocks.strip()
    calls = message.get("tool_calls") or [{"function": message.get("function_call")}]
    said.tools = [call["function"] for call in calls if isinstance(call.get("function"), dict)]
    return said


def _parts(given: Any, kind: str = "text") -> Iterator[tuple[str, str]]:
    """What the parts of a content hold, however deep, and their text; kind "" for a part that is none of
    PARTS, with its type."""
    if isinstance(given, str):
        yield kind, given
    elif isinstance(given, list):
        for part in given:
            yield from _parts(part, kind)
    elif isinstance(given, dict):
        told = given.get("type")
        holds = PARTS.get(told if isinstance(told, str) else None, "")
        field = next((name for name in INSIDE if given.get(name)), "")
        if not holds or not (field or told):
            yield "", repr(told)
        elif field:
            thoughts = given.get("thought") is True or field in THOUGHTS_INSIDE
            inner = "thoughts" if thoughts else holds if kind == "text" else kind
            yield from _parts(given[field], inner)
    elif given is not None:
        yield "", type(given).__name__


def _arguments(said: _Said, request: Request) -> str:
    """Some endpoints make a schema a tool, and its call the answer."""
    if request.schema is None or len(said.tools) != 1:
        return ""
    arguments = said.tools[0].get("arguments")
    if isinstance(arguments, dict):
        return json.dumps(arguments, ensure_ascii=False)
    return arguments if isinstance(arguments, str) else ""


def _name(tool: Mapping[str, Any]) -> str:
    return repr(str(tool.get("name"))[:60])


def _fitting(text: str, schema: Schema, asked_in_words: bool) -> tuple[str, str, str | None]:
    """Outcome, text and error of an answer that is to fit. Where an entry of models.yaml has a schema put in
    words, a code fence and words around the JSON are taken off, and the error says so."""
    try:
        schema.parse(text)
        return "ok", text, None
    except ValueError as misfit:
        bare = _bare(text) if asked_in_words else ""
        with suppress(ValueError):
            schema.parse(bare)
            return "ok", bare, "taken without the code fence or the words around it"
        return "invalid", text, str(misfit)


def _bare(text: str) -> str:
    """The JSON in a code fence, or with words behind it."""
    if fenced := FENCE.search(text):
        return fenced[1].strip()
    start = text.lstrip()
    with suppress(ValueError, RecursionError):
        return start[: json.JSONDecoder().raw_decode(start)[1]]
    return ""


def _only_thoughts(request: Request, model: Model, usage: Any) -> str:
    """Why there is no answer, and what to raise."""
    spent = _thought(usage) or (usage.get("completion_tokens") if isinstance(usage, dict) else None)
    spent = f"{spent:,}" if type(spent) is int else "all"
    limit = longest_answer(request, model)
    of = f"of {limit:,} " if type(limit) is int else ""
    name = next((n for n in LIMITS if request.sampling_for(model).get(n) and n not in model.does_without), "")
    fix = f"raise {name or LIMITS[0]}, or write `reasoning: {{tokens: 4000}}` in models.yaml"
    return f"thinking used {spent} {of}tokens and left no answer: {fix}"


def _thought(usage: Any) -> int:
    """How many tokens of thoughts a provider counts, which may keep them to itself: in a field, or in the sum
    alone (Gemini)."""
    if not isinstance(usage, dict):
        return 0
    details = usage.get("completion_tokens_details")
    counted = (details if isinstance(details, dict) else usage).get("reasoning_tokens")
    named: list[Any] = [usage.get(f"{name}_tokens") for name in ("total", "prompt", "completion")]
    counts = [counted]
    if all(type(n) is int for n in named):
        counts.append(named[0] - named[1] - named[2])
    return next((n for n in counts if type(n) is int and n > 0), 0)


def _logprobs(given: Any) -> list[TokenLogprob] | None:
    """From the chat API's form (a `content` list), or the older one (three parallel lists); None when it is
    neither, for an answer is worth more than its log-probabilities."""
    try:
        if given and given.get("content") is not None:
            rows = [
                (t["token"], t["logprob"], {a["token"]: a["logprob"] for a in t.get("top_logprobs") or ()})
                for t in given["content"]
            ]
        elif given and given.get("tokens") is not None:
            tops = given.get("top_logprobs") or [None] * len(given["tokens"])
            rows = list(zip(given["tokens"], given["token_logprobs"], tops, strict=True))
        else:
            return None
        return [
            TokenLogprob(clean(token), _number(p), {clean(t): _number(q) for t, q in (top or {}).items()})
            for token, p, top in rows
        ]
    except (LookupError, TypeError, AttributeError, ValueError):
        return None


def _number(logprob: Any) -> float:
    """A log-probability; -9999 is what OpenAI says for "very unlikely"."""
    if logprob is None:
        return -9999.0
    if isinstance(logprob, bool) or not isinstance(logprob, int | float) or not logprob <= 1:
        raise ValueError(f"{logprob!r} is no log-probability")
    return max(logprob, -9999.0)


def _after(tokens: list[TokenLogprob] | None, cut: int) -> list[TokenLogprob] | None:
    """The tokens behind so many characters of thoughts."""
    if not tokens or not cut:
        return tokens
    seen = 0
    for i, token in enumerate(tokens):
        if seen >= cut:
            return tokens[i:]
        seen += len(token.token)
    return None
