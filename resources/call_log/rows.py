"""A row of the call log: what it is made from, and what is made of it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from synth_assets.core.asking import Answer, TokenLogprob
from synth_assets.core.identity import verify
from synth_assets.core.text.thoughts import apart
from synth_assets.core.text.utf8 import clean

PLAIN = (  # columns that are fields of an Answer
    *("identity", "outcome", "text", "finish_reason", "prompt_tokens", "completion_tokens", "tokens_from"),
    *("cost", "latency_s", "attempts", "error", "thoughts"),
)
FOUND = (*PLAIN, "logprobs")  # the columns that make an Answer
WHO = ("run_id", "asset", "partition_key")
COLUMNS = (*FOUND, "messages", "parameters", "model", "endpoint", *WHO, "time", "digest")
# what a digest is of, as places in FOUND: not what no row is made of, and a price may be learnt later
PROVEN = [i for i, name in enumerate(FOUND) if name not in ("cost", "latency_s", "attempts")]


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer with what was asked. `context`: run_id, asset, partition_key of who asked."""

    answer: Answer
    messages: Sequence[Mapping[str, str]]
    parameters: Mapping[str, Any]  # api, sampling, schema, seed, replicate
    model: str
    endpoint: str
    context: Mapping[str, str | None] = field(default_factory=dict)


def row_of(entry: Entry, now: str) -> tuple[Any, ...]:
    """The values of COLUMNS."""
    answer = entry.answer
    tokens = None if answer.logprobs is None else [[t.token, t.logprob, t.top] for t in answer.logprobs]
    found = (*_plain(answer), None if tokens is None else as_json(tokens))
    return (
        *found,
        clean(as_json(list(entry.messages))),
        clean(_sorted_json(entry.parameters)),
        entry.model,
        entry.endpoint,
        *(entry.context.get(name) for name in WHO),
        now,
        digest_of(found),
    )


_plain = attrgetter(*PLAIN)
as_json = json.JSONEncoder(ensure_ascii=False, default=dict).encode
_sorted_json = json.JSONEncoder(ensure_ascii=False, default=dict, sort_keys=True).encode


def answer_in(row: Sequence[Any]) -> Answer:
    """The answer, from the values of FOUND."""
    known = dict(zip(FOUND, row, strict=True))
    if known["logprobs"] is not None:
        known["logprobs"] = [TokenLogprob(*token) for token in json.loads(known["logprobs"])]
    if known["thoughts"] is None and known["text"] and known["outcome"] != "refused":
        # logs of older versions have them in the text
        known["text"], known["thoughts"], ended = apart(known["text"])
        if not ended and known["outcome"] == "ok":
            known["outcome"] = "truncated"
    return Answer(**known, from_log=True)


def identity_in(row: Mapping[str, Any]) -> str | None:
    """The identity that belongs to a row; None when it holds no call."""
    try:
        asked = json.loads(row["messages"]), json.loads(row["parameters"])
        return verify(*asked, row["model"], row["endpoint"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def digest(row: Mapping[str, Any]) -> str:
    """The hash of a row's answer."""
    return digest_of(list(map(row.get, FOUND)))


def holds(row: Mapping[str, Any]) -> bool:
    """Whether a row has the answer that was stored, as far as that is known."""
    return row["digest"] is None or row["digest"] == digest(row)


def digest_of(found: Sequence[Any]) -> str:
    """The same, from the values of FOUND, as the database gives them; 128 bits, which nobody has to guess."""
    values = ["\0" if found[i] is None else str(found[i]) for i in PROVEN]
    return blake2b("\x1f".join(values).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
