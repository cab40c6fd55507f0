"""Who is who: canonical JSON, tagged hashes, and the ids of rows and requests.

An id is the hash of everything that decides the thing, and of nothing else. The tag carries the
algorithm's version, so that a change of algorithm is seen instead of silently mixed.

What is part of a request's identity, and what is left out:

=====================  ====  =====================================================================
part                   in    why
=====================  ====  =====================================================================
messages               yes   they are the question
output schema          yes   the same words with another schema ask for another answer
model name             yes   another model answers otherwise
endpoint identity      yes   the same model name at two providers need not be the same weights; it is
                             the address, or the name that the user gives where they are
api                    yes   a chat template around the same words changes what the model reads
sampling parameters    yes   temperature, top-p, stop, length, logprobs, penalties
replicate              yes   asks for another sample of the same question
seed                   no    derived from the identity
API key, organisation  no    who pays does not change the answer; and it is a secret
timeouts, retries      no    how long we wait does not change the answer
concurrency, order     no    nor does who stands in the queue
=====================  ====  =====================================================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces; the same value gives the same text everywhere. TypeError for what
    JSON does not know, ValueError for NaN and infinities: an identity must not rest on a silent `str()`."""
    _check_keys(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _check_keys(value: Any) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):  # json would turn 1 and "1" into the same key
                raise TypeError(f"keys of an identity must be text, not {key!r}")
            _check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_keys(item)


def tagged_hash(tag: str, value: Any) -> str:
    """Hex SHA-256 of the tag and the canonical JSON, cut to 128 bits (32 characters)."""
    return hashlib.sha256(f"{tag}\n{canonical(value)}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def request_id(
    *,
    messages: Sequence[Mapping[str, str]],
    model: str,
    endpoint: str,
    api: str,
    sampling: Mapping[str, Any],
    replicate: str = "0",
    schema: Mapping[str, Any] | None = None,
) -> str:
    """The call log's key (see the table above)."""
    asked = {"messages": [dict(m) for m in messages], "schema": schema, "sampling": dict(sampling)}
    whom = {"model": model, "endpoint": endpoint, "api": api}
    return tagged_hash("request/1", {**asked, **whom, "replicate": replicate})


def verify(
    messages: Sequence[Mapping[str, str]], parameters: Mapping[str, Any], model: str, endpoint: str
) -> str:
    """The identity that a logged call must have, from what the log keeps of it: `parameters` are api,
    sampling, schema and replicate. KeyError, TypeError or ValueError when they do not make up a call."""
    said = {name: parameters[name] for name in ("api", "sampling", "replicate", "schema")}
    return request_id(messages=messages, model=model, endpoint=endpoint, **said)


def row_id(*parts: Any) -> str:
    """Id of a row from the values that decide it."""
    return tagged_hash("row/1", parts)


def seed_from(*parts: Any) -> int:
    """A 31-bit seed (what every sampler takes) that depends on the parts alone."""
    return int(tagged_hash("seed/1", parts)[:8], 16) & 0x7FFFFFFF
