"""The provider's Batch API: files of requests that are answered within a day, at a lower price.

What goes wrong comes out as a UserError, when it takes a person, or as Unavailable, when it may heal.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeVar

from synth_assets.core.errors import UserError
from synth_assets.resources.gateway.refusals import Refusal, concern
from synth_assets.resources.gateway.transport import PATHS, Connection, event_loop
from synth_assets.resources.gateway.wire import retry_after

if TYPE_CHECKING:
    from openai import APIStatusError

ENDED = ("completed", "expired", "failed", "cancelled")
ATTEMPTS = 4
BACKOFF = 1.0  # seconds before the second attempt; doubles
WORD_S = 20.0  # for an answer
TRANSFER_S = 600.0  # for a whole file
LISTED = 10_000  # batches of the provider's list that are looked through
CLOCKS = 3600.0  # seconds that the provider's clock may differ from ours
KEY = "synth_batch"  # of the metadata that say which batch of ours it is
T = TypeVar("T")


class Unavailable(Exception):
    """The provider does not answer, or not now. `done`: what was asked may have been done all the same."""

    def __init__(self, why: str, done: bool, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.done, self.wait_s = done, wait_s


class Gone(Exception):
    """The provider does not know the batch or the file."""


@dataclass(frozen=True)
class State:
    """How a batch is: one of ENDED, or anything else while it is under way."""

    status: str
    files: tuple[str, ...] = ()  # of its results: answers first, then errors
    says: str = ""  # what was wrong with the batch as a whole
    crowded: bool = False  # it was refused because too many tokens wait already


def line(identity: str, api: str, body: dict[str, Any]) -> bytes:
    """One request of a file."""
    request = {"custom_id": identity, "method": "POST", "url": f"/v1{PATHS[api]}", "body": body}
    return json.dumps(request, default=dict).encode() + b"\n"


def upload(connection: Connection, key: str, content: bytes) -> str:
    """The provider's id of a file of requests."""
    file = (f"{key}.jsonl", content, "application/jsonl")
    return _made(
        connection, lambda: connection.client.files.create(file=file, purpose="batch"), seconds=TRANSFER_S
    )


def create(connection: Connection, key: str, file: str) -> str:
    """The provider's id of a new batch. Unavailable with `done`: it may have been made, `find` tells."""
    url = f"/v1{PATHS[connection.model.api]}"
    asked: Any = {"input_file_id": file, "endpoint": url, "completion_window": "24h", "metadata": {KEY: key}}
    return _made(connection, lambda: connection.client.batches.create(**asked), does=True, file=file)


def find(connection: Connection, key: str, since: float) -> str | None:
    """The provider's id of our batch, if it was created (after `since`, seconds since 1970)."""

    async def search() -> str | None:
        looked = 0
        async for batch in connection.client.batches.list(limit=100):
            looked += 1
            if isinstance(batch.metadata, dict) and batch.metadata.get(KEY) == key:
                return str(batch.id)
            made = batch.created_at
            if looked >= LISTED or (isinstance(made, int) and made < since - CLOCKS):
                break
        return None

    return _ask(connection, search())


def state(connection: Connection, provider_id: str) -> State:
    """How the batch is. Gone when the provider does not know it."""
    batch = _ask(connection, connection.client.batches.retrieve(provider_id), known=True)
    status = str(getattr(batch, "status", "")).lower()
    files = [getattr(batch, f"{kind}_file_id", None) for kind in ("output", "error")]
    errors: Any = getattr(batch, "errors", None)  # providers differ in their form
    told = getattr(errors, "data", None) or ()
    says = [f"{error.code}: {error.message}" if error.code else str(error.message) for error in told]
    says = [errors] if isinstance(errors, str) else says
    return State(
        status=status,
        files=tuple(str(file) for file in files if file),
        says=connection.scrub("; ".join(dict.fromkeys(says))),
        crowded=bool(told) and all(error.code == "token_limit_exceeded" for error in told),
    )


def download(connection: Connection, file: str) -> IO[bytes]:
    """The file's content, on disk. Gone when the provider does not have it."""

    async def load() -> IO[bytes]:
        content = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        async with connection.client.files.with_streaming_response.content(file) as response:
            async for part in response.iter_bytes():
                content.write(part)
        content.seek(0)
        return content

    return _ask(connection, load(), TRANSFER_S, known=True)


def _made(connection: Connection, call: Callable[[], Coroutine[Any, Any, Any]], **how: Any) -> str:
    """The id of what a call makes, which is asked again (`how`: see _ask) while nothing was done for sure."""
    for attempt in range(ATTEMPTS):
        try:
            made = _ask(connection, call(), **how)
            break
        except Unavailable as trouble:
            if trouble.done or attempt + 1 == ATTEMPTS:
                raise
            time.sleep(max(trouble.wait_s, BACKOFF * 2**attempt))
    if not isinstance(getattr(made, "id", None), str):  # not every answer with status 200 has one
        raise Unavailable(f"not an answer of a Batch API: {str(made)[:200]}", how.get("does", False))
    return str(made.id)


def _ask(
    connection: Connection,
    call: Coroutine[Any, Any, T],
    seconds: float = WORD_S,
    *,
    does: bool = False,
    known: bool = False,
    file: str = "",
) -> T:
    """The answer to a call. `does`: what it does must not be done twice. `known`: it has an id, so that 404
    says that there is none such. `file`: the provider may need a moment until it knows this one."""
    where = connection.model.address

    async def answer() -> T:
        from httpx2 import HTTPError
        from openai import APIConnectionError, APIStatusError

        try:
            async with asyncio.timeout(seconds):
                return await call
        except TimeoutError:
            raise Unavailable(f"{where} gave no answer within {seconds:g} s", does) from None
        except APIStatusError as error:
            raise _refusal(connection, error, does, known, file) from error
        except (APIConnectionError, HTTPError) as error:
            trouble = connection.trouble(error)
            if trouble.away:
                raise connection.unreachable(trouble) from error
            if advice := connection.advice(trouble):
                raise UserError(advice) from error
            raise Unavailable(f"{where}: {trouble.says}", does) from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:  # no answer of this API
            raise Unavailable(f"{where}: {connection.scrub(str(error))}", does) from error

    return asyncio.run_coroutine_threadsafe(answer(), event_loop()).result()


def _refusal(connection: Connection, error: APIStatusError, does: bool, known: bool, file: str) -> Exception:
    """What a status of 4xx or 5xx comes to."""
    refusal = Refusal.of(error, connection.scrub)
    where, status, says = connection.model.address, refusal.status, refusal.says
    about = concern(refusal, {})
    if "key" in (about.kind, about.name) or about.kind == "account":
        return UserError(connection.fatal(refusal, about))
    if status == 404 and known:
        return Gone(f"{where}: {says}")
    if file and file in says:  # uploaded a moment ago
        return Unavailable(f"{where}: {says}", done=False)
    if status in (404, 405, 501):
        fix = "remove `mode: batch` from the recipe."
        return UserError(f"{where} has no Batch API ({status}: {says}): {fix}")
    if refusal.heals:
        done = does and status != 429
        wait_s = min(retry_after(error.response.headers), connection.model.timeout_s)
        return Unavailable(f"{where} is not available now ({status}: {says})", done, wait_s)
    return UserError(f"{where} refused a batch for {connection.model.name!r} ({status}: {says}).")
