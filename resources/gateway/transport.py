"""HTTP: one event loop, one client and one pool of connections a process; a call, and what it came to.

Failures come in two kinds. Those that may heal (429, 5xx, timeouts, broken connections) come back as a
result that can be asked for again. Those that cannot (wrong key, unknown model, refused request) come back
as `fatal`, the words of a UserError.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from synth_assets.core.causes import Causes
from synth_assets.core.errors import UserError
from synth_assets.core.text.utf8 import clean
from synth_assets.resources.gateway import network
from synth_assets.resources.gateway.models import ORGANIZATION, PROJECT, Model, held, key_of
from synth_assets.resources.gateway.network import Trouble
from synth_assets.resources.gateway.pace import Pace, headroom
from synth_assets.resources.gateway.refusals import Concern, Refusal, concern, within
from synth_assets.resources.gateway.wire import body_of, parsed, read, retry_after

if TYPE_CHECKING:
    from httpx2 import Response
    from openai import APIStatusError, AsyncOpenAI

    from synth_assets.resources.gateway.request import Request

CONNECT = 15.0  # seconds for a connection to come about
PATHS = {"chat": "/chat/completions", "completions": "/completions"}
OVERLOADED = (429, 503, 529)
# what a provider wants to be sent: Alibaba, enable_thinking
WANTS = re.compile(r"([a-z_]+) ?(?:must be set to|必须设置为) ?([a-z0-9]+(?:\.\d+)?)")
GATEWAY = (502, 503, 504)  # of the endpoint, or of what stands before it
_lock = threading.Lock()


@dataclass(frozen=True)
class Reply:
    """What one HTTP call came to. `parts` are fields of an Answer, one a sample that came back."""

    parts: Sequence[dict[str, Any]]
    wait_s: float = 0.0  # the least wait before another attempt
    fatal: str = ""  # why no other request can succeed either
    unsure: bool = False  # whether that is so, or whether this prompt alone is refused
    away: Trouble | None = None  # why no connection came about
    broken: bool = False  # or it ended before the answer
    maybe_billed: bool = False  # the request arrived, or may have
    answered: bool = False  # with status 200, whatever was in it
    learnt: bool = False  # what the endpoint refuses: ask again, without it
    says: str = ""  # what a person is told of that, once


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
    """The pool. Proxies and certificates of the environment are for the world outside, not for the embedded
    server."""
    from openai import DefaultAioHttpClient

    verify = network.trusted() if trust_env else True
    _clients.append(DefaultAioHttpClient(trust_env=trust_env, verify=verify))
    return _clients[-1]


@dataclass(eq=False)
class Connection:
    """A model at its endpoint, as this process calls it: its client, and its pace so far."""

    model: Model
    url: str  # base URL
    client: AsyncOpenAI
    pace: Pace
    secrets: Sequence[str] = field(repr=False)
    proxy: str = ""  # that the environment has for the address
    learnt: dict[str, Any] = field(default_factory=dict)  # what the endpoint refuses, see `wire.body_of`
    heard: bool = False  # it has answered, with status 200

    async def ask(self, request: Request, seed: int, samples: int = 1) -> Reply:
        """One HTTP call for `samples` answers to the same question."""
        body = body_of(self.model, request, seed, samples, self.learnt)
        return await self._call(body, lambda data: self.read(data, request))

    def read(self, data: Any, request: Request) -> list[dict[str, Any]]:
        """`wire.read`, without secrets in what is said of an answer that is none."""
        parts = read(data, request, self.model)
        for part in parts:
            if part["error"] and part["outcome"] != "invalid":
                part["error"] = self.scrub(part["error"])
        return parts

    def move(self, url: str) -> None:
        """The same model answers there from now on."""
        self.url = self.client.base_url = url

    @property
    def in_words(self) -> bool:
        """Whether a schema is put into words."""
        return self.learnt.get("schema", self.model.structured) != "json_schema"

    def learn(self, concern: Concern, refusal: Refusal) -> str:
        """Do without what is refused; what to tell a person of it, who has not been told."""
        name, instead = concern.name, concern.instead
        known = name in self.learnt and self.learnt[name] == instead
        self.learnt[name] = instead
        return "" if known else told_of(concern, refusal, self.model)

    async def _call(self, body: Mapping[str, Any], read: Callable[[Any], list[dict[str, Any]]]) -> Reply:
        from httpx2 import Response
        from openai import APIConnectionError, APIStatusError

        started = time.monotonic()
        try:
            async with asyncio.timeout(self.model.timeout_s):
                response = await self.client.post(PATHS[self.model.api], body=body, cast_to=Response)
            if elsewhere := self._elsewhere(response):
                return elsewhere
            self.heard = True
            self.pace.answered()
            if wait_s := headroom(response.headers):
                self.pace.pause(min(wait_s, self.model.timeout_s))
            data = parsed(response.content)
            if wrong := within(data, body, self.scrub):
                return self._told(*wrong, started, response.headers, data)
            return Reply(read(data), maybe_billed=True, answered=True)
        except TimeoutError:
            self.pace.refused(started, 0.0)
            return failed("timed_out", f"no answer within {self.model.timeout_s:g} s", maybe_billed=True)
        except APIStatusError as error:
            return self._refused(error, started, body)
        except APIConnectionError as error:
            return await self._broken(error)
        except (ValueError, RecursionError) as error:  # not JSON, or not an answer of this API
            return failed("provider_error", self.scrub(str(error)), maybe_billed=True, answered=True)

    async def _broken(self, error: BaseException) -> Reply:
        """No answer came: another attempt may bring one, or a person is needed."""
        trouble = self.trouble(error)
        if not (self.heard or trouble.away or trouble.fix or self.proxy) and self.url.startswith("http://"):
            trouble = network.TLS if await network.speaks_tls(self.url) else trouble
        away = trouble if trouble.away else None
        more: dict[str, Any] = {"away": away, "broken": True, "maybe_billed": not away}
        return failed("provider_error", trouble.says, fatal="" if away else self.advice(trouble), **more)

    def _elsewhere(self, response: Response) -> Reply | None:
        """What a redirect or a web page comes to in the place of an answer: nothing is there for any prompt,
        unless some were answered."""
        if (trouble := network.elsewhere(response, PATHS[self.model.api])) is None:
            return None
        return failed("provider_error", trouble.says, fatal="" if self.heard else self.advice(trouble))

    def _refused(self, error: APIStatusError, started: float, body: Mapping[str, Any]) -> Reply:
        """A status of 4xx or 5xx, of the endpoint or of what stands before it."""
        if elsewhere := self._elsewhere(error.response):
            return elsewhere
        refusal = Refusal.of(error, self.scrub)
        return self._told(refusal, concern(refusal, body), started, error.response.headers, error.body)

    def _told(
        self, refusal: Refusal, about: Concern, started: float, headers: Mapping[str, str], body: Any
    ) -> Reply:
        """What a refusal comes to: wait and ask again, take it as the answer, or give up the batch."""
        status, says = refusal.status, refusal.says
        if about.kind == "prompt":
            return failed("refused", says)
        if about.kind == "misfit":
            part = {"outcome": "invalid", "text": clean(refusal.text), "error": says}
            return Reply([part], maybe_billed=True, answered=True)
        if about.kind == "feature":
            return Reply((), learnt=True, says=self.learn(about, refusal))
        if about.kind == "heals":
            wait_s = min(retry_after(headers, body), self.model.timeout_s)
            if status in OVERLOADED:
                self.pace.refused(started, wait_s)
            outcome = "rate_limited" if status == 429 else "provider_error"
            past = f" (by way of the proxy {self.proxy})" if self.proxy and status in GATEWAY else ""
            return failed(outcome, f"{status}: {says}{past}", wait_s=wait_s)
        if about.kind == "key" and status == 401:
            says = "the key was refused"  # providers like to quote it
        fatal, unsure = self.fatal(refusal, about), about.kind == "unsure"
        return failed("provider_error", f"{status or refusal.code}: {says}", fatal=fatal, unsure=unsure)

    def fatal(self, refusal: Refusal, about: Concern) -> str:
        """What a person is told of a refusal that cannot heal."""
        if about.kind in ("proxy", "tls"):
            trouble = network.TLS
            if about.kind == "proxy":
                trouble = network.by_proxy(refusal.status, refusal.says, self.url)
            return self.advice(trouble)
        where, name, key = self.model.address, self.model.name, self.model.key_env
        status, says = refusal.status or 200, refusal.says
        match about.name if about.kind == "unsure" else about.kind:
            case "key" if status == 401:
                return f"{where} refused the key ({status}): set a valid one in the variable {key}."
            case "key":
                return f"{where} refused the key ({status}): {says}. May the one in {key} do this?"
            case "model":
                return (
                    f"{where} does not know the model {name!r} ({status}: {says}). Check the model's name, "
                    f"and that the base URL ends as the provider says, often in /v1."
                )
            case "parameter":
                return (
                    f"{where} refused the parameter {about.name!r} ({status}: {says}). Give another value, "
                    f"or leave it out: `parameters: {{{about.name}: null}}` under {name!r} in models.yaml."
                )
        wants = WANTS.search(says)
        line = f"`parameters: {{{wants[1]}: {wants[2]}}}`" if wants else ""
        fix = f". Write {line} under {name!r} in models.yaml." if line else ""
        return f"{where} refused a request to {name!r} ({status}): {says}{fix}"

    def unreachable(self, trouble: Trouble) -> UserError:
        """What a person is told when nobody answers."""
        fix = trouble.fix or (
            "set OPENAI_BASE_URL, or base_url under the recipe's model:, to an OpenAI-compatible endpoint, "
            "or use the embedded model with `model: embedded`"
        )
        return UserError(f"nobody answers at {self.model.address} ({trouble.says}): {fix}.", "unreachable")

    def in_vain(self, causes: Causes) -> UserError:
        """What a person is told when the first calls all failed."""
        return UserError(
            f"{self.model.address} has answered nothing: {len(causes)} calls failed ({causes}). What was "
            "answered before is kept: the same command goes on when that is mended.",
            "unreachable",
        )

    def trouble(self, error: BaseException) -> Trouble:
        """What went wrong underneath a call."""
        found = network.trouble(error, self.url)
        return found._replace(says=self.scrub(found.says))

    def advice(self, trouble: Trouble) -> str:
        """What a person is told of it, if there is anything to do."""
        return f"{self.model.address}: {trouble.says}: {trouble.fix}." if trouble.fix else ""

    def scrub(self, text: str) -> str:
        """`text` without secrets, short enough for a log."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return clean(text)[:500]


def told_of(about: Concern, refusal: Refusal, model: Model) -> str:
    """What a person is told of what an endpoint refuses, and what to write so that it is not tried."""
    did, line = f"{about.name} is left out", f"parameters: {{{about.name}: null}}"
    match about.name:
        case "schema":
            did, line = "answers are asked for in words", "structured: words"
        case "system":
            did, line = "the user is told what the system was", "system: user"
        case _ if isinstance(about.instead, str):
            did, line = (
                f"{about.name} is sent as {about.instead}",
                f"{line}, and {about.instead} in its place",
            )
        case _ if about.instead is not None:
            return f"{model.address} takes {about.name} of {about.instead} at most: so many are asked for"
    why = f"{refusal.status or 200}: {refusal.says[:200]}"
    return f"{model.address} refused it ({why}): {did} from now on; `{line}` in models.yaml spares the try"


_connections: dict[tuple[Any, ...], Connection] = {}


def connect(model: Model, base_url: str) -> Connection:
    """The process's connection to a model at this address. UserError when its key is not set."""
    from openai import AsyncOpenAI, Timeout, omit

    key, process = key_of(model, os.environ), os.getpid()
    headers, query = model.beside(os.environ)
    secrets = [key, *headers.values(), *(query[name] for name in model.query)]
    keyless = key == "none" and bool(headers or model.query)
    known: tuple[Any, ...] = (process, base_url, key, model.name, model.api, model.structured, model.system)
    known = (*known, *headers.items(), *query.items())
    sent: dict[str, Any] = {**({"Authorization": omit} if keyless else {}), **headers}
    with _lock:
        if known not in _connections:
            # The client's own retries and deadline are off: ours are the same for every endpoint.
            client = AsyncOpenAI(
                api_key=key,
                base_url=base_url.partition("?")[0],
                default_query=query,
                default_headers=sent,
                http_client=_http_client(process, trust_env=model.base_url is not None),
                timeout=Timeout(None, connect=CONNECT),
                max_retries=0,
                organization=held(ORGANIZATION, os.environ) or None,
                project=held(PROJECT, os.environ) or None,
            )
            if keyless:
                client._validate_headers = lambda *_: None  # type: ignore[method-assign]  # it insists on one
            hidden, pace = [secret for secret in secrets if secret != "none"], Pace(model.max_concurrency)
            proxy = network.proxy_of(base_url) if model.base_url else ""
            _connections[known] = Connection(model, base_url, client, pace, hidden, proxy)
        connection = _connections[known]
    connection.model = model
    connection.pace.most = model.max_concurrency
    return connection


def blaming(fatal: str, request: Request, others: bool = False) -> str:
    """What a person is told of a refusal, with the prompt that it was of, since it may be that prompt's.
    `others`: were answered before."""
    prompt = " ".join(request.messages[-1]["content"].split())
    said = f"{fatal}{'' if fatal.endswith(('.', '?')) else '.'} The prompt ends with {prompt[-80:]!r}."
    kept = " So were those before it: what was answered is kept, and the same command goes on."
    return said + kept * others


def failed(outcome: str, error: str, **more: Any) -> Reply:
    """A reply without an answer."""
    return Reply([{"outcome": outcome, "error": error}], **more)
