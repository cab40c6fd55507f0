"""HTTP: one event loop, one client and one pool of connections a process; a call, and what it came to.

Failures come in two kinds. Those that may heal (429, 5xx, timeouts, broken connections) come back as a
result that can be asked for again. Those that cannot (wrong key, unknown model, refused request) come back
as `fatal`, the words of a UserError.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.log import clean
from synth_assets.resources.gateway.models import Model, key_of
from synth_assets.resources.gateway.pace import Pace, headroom
from synth_assets.resources.gateway.wire import body_of, message_of, read, retry_after

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

    from synth_assets.resources.gateway.request import Request

CONNECT = 15.0  # seconds for a connection to come about
PATHS = {"chat": "/chat/completions", "completions": "/completions"}
OVERLOADED = (429, 503, 529)
REFUSALS = ("content_filter", "content_policy_violation")
_lock = threading.Lock()


@dataclass(frozen=True)
class Reply:
    """What one HTTP call came to. `parts` are fields of an Answer, one a sample that came back."""

    parts: Sequence[dict[str, Any]]
    wait_s: float = 0.0  # the least wait before another attempt
    fatal: str = ""  # why no other request can succeed either
    unreachable: bool = False  # no connection came about
    maybe_billed: bool = False  # the request arrived, or may have
    answered: bool = False  # with status 200, whatever was in it
    other_words: bool = False  # the endpoint knows no schemas: ask again, in words


def event_loop() -> asyncio.AbstractEventLoop:
    """The loop in which this process calls models, in a thread of its own: the caller may have a loop too,
    and an interrupt (which Python raises in the main thread) tears no call in flight."""
    with _lock:
        return _loop_of(os.getpid())


@cache
def _loop_of(process: int) -> asyncio.AbstractEventLoop:  # a forked child has no thread of its parent's
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="language-model", daemon=True).start()
    atexit.register(_end, loop)
    gc.collect()
    gc.freeze()  # looking through modules and the like for garbage took a tenth of the time of many calls
    return loop


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Close the connections in good order when the process ends."""
    try:
        asyncio.run_coroutine_threadsafe(_close_clients(), loop).result(timeout=2)
    except (TimeoutError, RuntimeError):  # a call hangs, or the child of a fork has no such thread
        return
    loop.call_soon_threadsafe(loop.stop)


_clients: list[Any] = []


async def _close_clients() -> None:
    while _clients:
        await _clients.pop().aclose()


@cache
def _http_client(process: int, trust_env: bool) -> Any:
    """The pool. A proxy of the environment is for the world outside, not for the embedded server."""
    from openai import DefaultAioHttpClient

    _clients.append(DefaultAioHttpClient(trust_env=trust_env))
    return _clients[-1]


@dataclass(eq=False)
class Connection:
    """A model at its endpoint, as this process calls it: its client, and its pace so far."""

    model: Model
    client: AsyncOpenAI
    pace: Pace
    key: str = field(repr=False)
    in_words: bool = False  # the endpoint knows no schemas

    async def ask(self, request: Request, seed: int, samples: int = 1) -> Reply:
        """One HTTP call for `samples` answers to the same question."""
        in_words = self.in_words  # another call may find it out while this one is under way
        body = body_of(self.model, request, seed, samples, in_words)
        result = await self._call(body, lambda data: read(data, request))
        names_schema = any(word in result.fatal for word in ("response_format", "json_schema"))
        if in_words or request.schema is None or not names_schema:
            return result
        self.in_words = True
        return Reply((), other_words=True)

    async def _call(self, body: Mapping[str, Any], read: Callable[[Any], list[dict[str, Any]]]) -> Reply:
        from httpx2 import Response
        from openai import APIConnectionError, APIStatusError

        started = time.monotonic()
        try:
            async with asyncio.timeout(self.model.timeout_s):
                response = await self.client.post(PATHS[self.model.api], body=body, cast_to=Response)
            self.pace.answered()
            if wait_s := headroom(response.headers):
                self.pace.pause(min(wait_s, self.model.timeout_s))
            return Reply(read(json.loads(response.content)), maybe_billed=True, answered=True)
        except TimeoutError:
            self.pace.refused(started, 0.0)
            return failed("timed_out", f"no answer within {self.model.timeout_s:g} s", maybe_billed=True)
        except APIStatusError as error:
            return self._refused(error, started)
        except APIConnectionError as error:
            says, away = self.broken(error)
            return failed("provider_error", says, unreachable=away, maybe_billed=not away)
        except (ValueError, RecursionError) as error:  # not JSON, or not an answer of this API
            return failed("provider_error", self.scrub(str(error)), maybe_billed=True, answered=True)

    def _refused(self, error: APIStatusError, started: float) -> Reply:
        """A status of 4xx or 5xx: wait and ask again, take it as the answer, or give up the batch."""
        status, says = error.status_code, self.scrub(message_of(error))
        if error.code in REFUSALS:
            return failed("refused", says)
        wait_s = min(retry_after(error.response.headers), self.model.timeout_s)
        if status in OVERLOADED and error.code != "insufficient_quota":
            self.pace.refused(started, wait_s)
        if status == 429 and error.code != "insufficient_quota":
            return failed("rate_limited", f"429: {says}", wait_s=wait_s)
        if status >= 500 or status in (408, 409, 425):
            return failed("provider_error", f"{status}: {says}", wait_s=wait_s)
        if status in (401, 403):
            says = "the key was refused"  # providers like to quote it
        return failed("provider_error", f"{status}: {says}", fatal=self.fatal(status, says))

    def fatal(self, status: int, says: str) -> str:
        """What a person is told of a refusal that cannot heal."""
        where, name, key = self.model.endpoint, self.model.name, self.model.key_env
        if status in (401, 403):
            return f"{where} refused the key ({status}): set a valid one in the variable {key}."
        if status == 404:
            return (
                f"{where} does not know the model {name!r} (404: {says}). Check the model's name, "
                f"and that the base URL ends as the provider says, often in /v1."
            )
        return f"{where} refused a request to {name!r} ({status}): {says}"

    def unreachable(self, why: str) -> UserError:
        """What a person is told when nobody answers."""
        return UserError(
            f"nobody answers at {self.model.endpoint} ({why}). Set OPENAI_BASE_URL, or base_url under the "
            "recipe's model:, to an OpenAI-compatible endpoint, or use the embedded model with "
            "`model: embedded`."
        )

    def broken(self, error: BaseException) -> tuple[str, bool]:
        """What went wrong underneath, and whether no connection came about: refused, unknown, no reply."""
        from aiohttp import ClientConnectorError, ClientError, ConnectionTimeoutError, InvalidURL

        while error.__cause__ is not None and not isinstance(error, ClientError):
            error = error.__cause__  # the client itself calls every broken connection a timeout
        nobody_there = isinstance(error, ClientConnectorError | ConnectionTimeoutError | InvalidURL)
        return self.scrub(f"{type(error).__name__}: {error}"), nobody_there

    def scrub(self, text: str) -> str:
        """`text` without secrets, short enough for a log."""
        if self.key != "none":
            text = text.replace(self.key, "***")
        return clean(text)[:500]


_connections: dict[tuple[Any, ...], Connection] = {}


def connect(model: Model, base_url: str) -> Connection:
    """The process's connection to a model at this address. UserError when its key is not set."""
    from openai import AsyncOpenAI, Timeout

    key, process = key_of(model, os.environ), os.getpid()
    known = (process, base_url, key, model.name, model.api, model.structured)
    with _lock:
        if known not in _connections:
            # The client's own retries and deadline are off: ours are the same for every endpoint.
            http = _http_client(process, trust_env=model.base_url is not None)
            timeout = Timeout(None, connect=CONNECT)
            client = AsyncOpenAI(
                api_key=key, base_url=base_url, http_client=http, timeout=timeout, max_retries=0
            )
            words = model.structured == "words"
            _connections[known] = Connection(model, client, Pace(model.max_concurrency), key, words)
        connection = _connections[known]
    connection.model = model
    connection.pace.most = model.max_concurrency
    return connection


def failed(outcome: str, error: str, **more: Any) -> Reply:
    """A reply without an answer."""
    return Reply([{"outcome": outcome, "error": error}], **more)
