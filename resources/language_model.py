"""The language model: requests in, answers in the same order out, each call on disk before it is used.

Any OpenAI-compatible endpoint, through `openai`'s async client; the embedded server is one of them. What
the call log holds is never asked again, so a run that was killed goes on where it stopped.

Failures come in two kinds. Those that may heal (429, 5xx, timeouts, broken connections) are tried again,
a 429 as long as there is patience, and at last become an answer with its outcome. Those that cannot (wrong
key, unknown model, refused request, nobody at the address) stop the batch with a UserError, once what is in
flight is saved.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from resources.budget import Budget, Cap, Use, most, use_of
from resources.call_log import REUSABLE, Answer, CallLog, TokenLogprob, clean
from resources.models import Model, key_of, resolve_model
from resources.wire import body_of, message_of, read, retry_after
from synth_assets.errors import UserError
from synth_assets.identity import request_id, seed_from

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

__all__ = ["Answer", "Calls", "LanguageModel", "Model", "Request", "TokenLogprob", "resolve_model"]

ATTEMPTS = 4
DOUBLINGS = 6  # of the wait between attempts: it stays under a minute
PATIENCE = 600.0  # seconds that a call lets itself be told to wait (429) before that counts as an attempt
LOOK_AGAIN = 0.2  # seconds until a request that another process is asking is looked up again
BACKOFF = 0.5  # seconds before the second attempt; doubles, with jitter
CONNECT = 15.0  # seconds for a connection to come about
FINAL = (*REUSABLE, "over_budget")  # asking again now would bring nothing else
PATHS = {"chat": "/chat/completions", "completions": "/completions"}
Message = Mapping[str, str]  # role, content
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Request:
    """One question. `sampling`: temperature, top_p, max_tokens, stop, logprobs (alternatives), and so on."""

    messages: Sequence[Message]
    sampling: Mapping[str, Any] = field(default_factory=dict)
    replicate: str = "0"
    schema: Mapping[str, Any] | None = None

    def identity(self, model: Model, endpoint: str | None = None) -> str:
        """The call log's key. `endpoint` spares deriving it for each of many requests."""
        return request_id(
            messages=self.messages,
            model=model.name,
            endpoint=endpoint or model.endpoint,
            api=model.api,
            sampling=self.sampling,
            replicate=self.replicate,
            schema=self.schema,
        )


@dataclass
class Calls:
    """What a batch did. `calls` went to the endpoint (`failed` of them in vain), `from_log` did not.

    Sums of tokens and cost are of the calls made, and None as soon as that of one answered call is not known.
    """

    calls: int = 0
    from_log: int = 0
    failed: int = 0
    over_budget: int = 0  # not sent
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost: float | None = 0.0  # US dollars
    seconds: float = 0.0

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> Calls:
        """Of the answers of one or more batches; equal requests count once. `seconds` stays 0."""
        calls = cls()
        for answer in {a.identity: a for a in answers}.values():
            calls.add(answer)
        return calls

    def add(self, answer: Answer) -> None:
        if answer.from_log:
            self.from_log += 1
            return
        if answer.outcome == "over_budget":
            self.over_budget += 1
            return
        self.calls += 1
        if answer.outcome not in REUSABLE:
            self.failed += 1
            return
        self.prompt_tokens = _plus(self.prompt_tokens, answer.prompt_tokens)
        self.completion_tokens = _plus(self.completion_tokens, answer.completion_tokens)
        self.cost = _plus(self.cost, answer.cost)


def _plus(total: Number | None, part: Number | None) -> Number | None:
    return None if total is None or part is None else total + part


Progress = Callable[[int, int, Calls], None]  # requests done, of how many, and what was done so far


class LanguageModel:
    """Asks models, and remembers every answer in the call log.

    `server_folder` is where the embedded server keeps its locks; `context` (run_id, asset,
    partition_key) is written beside each call; `caps` are the budget that all calls keep to.
    """

    def __init__(
        self,
        call_log: CallLog,
        server_folder: Path,
        context: Mapping[str, str | None] | None = None,
        caps: Sequence[Cap] = (),
    ) -> None:
        self.call_log = call_log
        self.budget = Budget(call_log, caps)
        self.server_folder = server_folder
        self.context = dict(context or {})

    def complete(
        self, model: Model, requests: Sequence[Request], on_progress: Progress | None = None
    ) -> list[Answer]:
        """One answer a request, in their order; equal requests (same identity) are asked once.

        Failed calls are answers too: look at `outcome`. Raises UserError for what asking again cannot
        heal; whatever was answered until then is in the log. Works with or without a running event loop.
        """
        endpoint = model.endpoint
        identities = [request.identity(model, endpoint) for request in requests]
        answers = self.call_log.find(identities)
        missing = {i: r for i, r in zip(identities, requests, strict=True) if i not in answers}
        calls = Calls(from_log=len(answers))
        if missing:
            self.budget.check_price(model.name, model.price)
            batch = _Batch(self, model, endpoint, missing, calls, on_progress)
            answers |= _run(batch)
        elif on_progress:
            on_progress(len(answers), len(answers), calls)
        return [answers[identity] for identity in identities]


def _run(batch: _Batch) -> dict[str, Answer]:
    """Run the batch in a thread of its own.

    So it does not matter whether this thread has an event loop, and an interrupt (which Python raises
    in the main thread) tears no call in flight: those are saved, and no others are started.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="language-model") as thread:
        future = thread.submit(lambda: asyncio.run(batch.run()))
        try:
            return future.result()
        except BaseException as error:
            batch.stop = batch.stop or error
            raise


class _Batch:
    """The requests of one `complete` that the log did not have, worked off by `max_concurrency` workers."""

    def __init__(
        self,
        owner: LanguageModel,
        model: Model,
        endpoint: str,
        missing: dict[str, Request],
        calls: Calls,
        on_progress: Progress | None,
    ) -> None:
        self.owner, self.model, self.endpoint = owner, model, endpoint
        self.calls, self.on_progress = calls, on_progress
        self.queue = deque(missing.items())
        self.before = calls.from_log
        self.total = len(missing) + self.before
        self.key = key_of(model, os.environ)
        self.answers: dict[str, Answer] = {}
        self.reached = False  # the endpoint has answered something, if only an error
        self.stop: BaseException | None = None  # set once, read by every worker
        self.started = time.monotonic()

    async def run(self) -> dict[str, Answer]:
        from openai import AsyncOpenAI, DefaultAioHttpClient, Timeout

        base_url = self.model.base_url
        if base_url is None:
            from resources.local_server import ensure

            base_url = ensure(self.model.file(), self.owner.server_folder)
        # The client's own retries and deadline are off: `_ask` has them, the same for every endpoint.
        # A proxy of the environment is for the world outside, not for the embedded server.
        timeout = Timeout(None, connect=CONNECT)
        http = DefaultAioHttpClient(timeout=timeout, trust_env=self.model.base_url is not None)
        async with AsyncOpenAI(
            api_key=self.key, base_url=base_url, http_client=http, timeout=timeout, max_retries=0
        ) as client:
            workers = min(self.model.max_concurrency, len(self.queue))
            await asyncio.gather(*(self._work(client) for _ in range(workers)))
        if self.stop is not None:
            raise self.stop
        return self.answers

    async def _work(self, client: AsyncOpenAI) -> None:
        """Take requests from the queue until it is empty, or somebody said stop."""
        while self.queue and self.stop is None:
            identity, request = self.queue.popleft()
            try:
                await self._claim_and_ask(client, identity, request)
            except Exception as error:  # not raised here: the other workers must save what is in flight
                self.stop = self.stop or error

    async def _claim_and_ask(self, client: AsyncOpenAI, identity: str, request: Request) -> None:
        """Ask, unless another process has the answer, or is about to get it."""
        log = self.owner.call_log
        claim = log.claim(identity, lease_s=ATTEMPTS * self.model.timeout_s + PATIENCE)
        if isinstance(claim, Answer):
            self._done(claim)
        elif claim:
            answer = None
            try:
                answer = await self._ask(client, identity, request)
            finally:
                if answer is None or answer.outcome == "over_budget":
                    log.release(identity)
            if answer is not None:
                self._keep(answer, request)
        else:
            self.queue.append((identity, request))
            await asyncio.sleep(LOOK_AGAIN)

    def _keep(self, answer: Answer, request: Request) -> None:
        """First to the log, then to whoever asked. A call that the budget did not allow is none."""
        if answer.outcome != "over_budget":
            self._log(answer, request)
        self._done(answer)

    def _done(self, answer: Answer) -> None:
        self.answers[answer.identity] = answer
        self.calls.add(answer)
        self.calls.seconds = time.monotonic() - self.started
        if self.on_progress:
            self.on_progress(self.before + len(self.answers), self.total, self.calls)

    def _log(self, answer: Answer, request: Request) -> None:
        parameters = {
            "api": self.model.api,
            "sampling": request.sampling,
            "schema": request.schema,
            "seed": seed_from(answer.identity),
            "replicate": request.replicate,
        }
        self.owner.call_log.append(
            answer,
            messages=request.messages,
            parameters=parameters,
            model=self.model.name,
            endpoint=self.endpoint,
            context=self.owner.context,
        )

    async def _ask(self, client: AsyncOpenAI, identity: str, request: Request) -> Answer | None:
        """The answer after up to ATTEMPTS calls; None when the batch stopped before there was one.

        A call that is told to wait (429) waits without spending its attempts, for PATIENCE seconds in all.
        """
        body = body_of(self.model, request, seed_from(identity))
        patient_until = time.monotonic() + PATIENCE
        spent = 0
        for attempt in count(1):
            started = time.monotonic()
            result = await self._call_within_budget(client, body, request)
            cost = self._cost(result)
            answer = Answer(
                identity, **result.parts, cost=cost, latency_s=time.monotonic() - started, attempts=attempt
            )
            if result.unreachable and not self.reached:
                self.stop = self.stop or UserError(self._unreachable(result.parts["error"]))
                return None  # no call took place
            self.reached = self.reached or not result.unreachable
            if result.fatal:
                self.stop = self.stop or UserError(result.fatal)
            spent += answer.outcome != "rate_limited" or time.monotonic() > patient_until
            if result.fatal or answer.outcome in FINAL or spent == ATTEMPTS:
                return answer
            backoff = BACKOFF * 2 ** min(attempt - 1, DOUBLINGS) * random.uniform(0.5, 1.5)
            await self._wait(max(result.wait_s, backoff))
            if self.stop is not None:
                return None
        raise AssertionError("the loop ends with an answer")

    def _cost(self, result: _Result) -> float | None:
        """Dollars of one call. A call without an answer may have been billed: unknown, unless it is free."""
        price, parts = self.model.price, result.parts
        if price is None:
            return None
        if price.free:
            return 0.0
        return price.cost(parts.get("prompt_tokens"), parts.get("completion_tokens"))

    async def _call_within_budget(
        self, client: AsyncOpenAI, body: dict[str, Any], request: Request
    ) -> _Result:
        budget, price = self.owner.budget, self.model.price
        if not budget.caps:
            return await self._call(client, body, request)
        reserved = most([m["content"] for m in request.messages], request.sampling.get("max_tokens"), price)
        if in_the_way := budget.reserve(reserved):
            return _failed("over_budget", in_the_way)
        result = await self._call(client, body, request)
        tokens = result.parts.get("prompt_tokens"), result.parts.get("completion_tokens")
        if tokens[0] is not None and tokens[1] is not None:
            used = use_of(tokens[0], tokens[1], price)
        else:  # answered without a count, or not answered: what is not known to be free counts in full
            used = reserved if result.maybe_billed else Use(0, 0)
        budget.settle(reserved, used)
        return result

    async def _wait(self, seconds: float) -> None:
        """In slices, so that a stop (which may come from another thread) need not wait too."""
        until = time.monotonic() + seconds
        while self.stop is None and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.2))

    async def _call(self, client: AsyncOpenAI, body: dict[str, Any], request: Request) -> _Result:
        """One HTTP call, and what is to be made of it."""
        from openai import APIConnectionError, APIStatusError

        try:
            async with asyncio.timeout(self.model.timeout_s):
                data = await client.post(PATHS[self.model.api], body=body, cast_to=object)
            return _Result(read(data, request), maybe_billed=True)
        except TimeoutError:
            return _failed("timed_out", f"no answer within {self.model.timeout_s:g} s", maybe_billed=True)
        except APIStatusError as error:
            return self._refused(error)
        except APIConnectionError as error:
            cause = _cause(error)
            says = self._scrub(f"{type(cause).__name__}: {cause}")
            away = _nobody_there(cause)
            return _failed("provider_error", says, unreachable=away, maybe_billed=not away)
        except (ValueError, RecursionError) as error:  # not JSON, or not an answer of this API
            return _failed("provider_error", self._scrub(str(error)), maybe_billed=True)

    def _refused(self, error: APIStatusError) -> _Result:
        """A status of 4xx or 5xx: wait and ask again, take it as the answer, or give up the batch."""
        status, where, says = error.status_code, self.endpoint, self._scrub(message_of(error))
        if error.code in ("content_filter", "content_policy_violation"):
            return _failed("refused", says)
        if status == 429 and error.code != "insufficient_quota":
            wait_s = min(retry_after(error.response.headers), self.model.timeout_s)
            return _failed("rate_limited", f"429: {says}", wait_s=wait_s)
        if status >= 500 or status in (408, 409, 425):
            return _failed("provider_error", f"{status}: {says}")
        if status in (401, 403):
            says = "the key was refused"  # providers like to quote it
            fatal = (
                f"{where} refused the key ({status}): set a valid one in the variable {self.model.key_env}."
            )
        elif status == 404:
            fatal = (
                f"{where} does not know the model {self.model.name!r} (404: {says}). Check the model's name, "
                f"and that the base URL ends as the provider says, often in /v1."
            )
        else:
            fatal = f"{where} refused a request to {self.model.name!r} ({status}): {says}"
        return _failed("provider_error", f"{status}: {says}", fatal=fatal)

    def _unreachable(self, why: str) -> str:
        return (
            f"nobody answers at {self.endpoint} ({why}). Set OPENAI_BASE_URL, or base_url under the recipe's "
            "model:, to an OpenAI-compatible endpoint, or use the embedded model with `model: embedded`."
        )

    def _scrub(self, text: str) -> str:
        """`text` without secrets, short enough for a log."""
        if self.key != "none":
            text = text.replace(self.key, "***")
        return clean(text)[:500]


@dataclass(frozen=True)
class _Result:
    """What one HTTP call came to. `parts` are fields of the Answer."""

    parts: dict[str, Any]
    wait_s: float = 0.0  # the least wait before another attempt
    fatal: str = ""  # why no other request can succeed either
    unreachable: bool = False  # no connection came about
    maybe_billed: bool = False  # the request arrived, or may have


def _failed(outcome: str, error: str, **more: Any) -> _Result:
    return _Result({"outcome": outcome, "error": error}, **more)


def _cause(error: BaseException) -> BaseException:
    """What went wrong underneath: the client itself calls every broken connection a timeout."""
    from aiohttp import ClientError

    while error.__cause__ is not None and not isinstance(error, ClientError):
        error = error.__cause__
    return error


def _nobody_there(cause: BaseException) -> bool:
    """Whether no connection came about: refused, unknown host, no such URL, no reply."""
    from aiohttp import ClientConnectorError, ConnectionTimeoutError, InvalidURL

    return isinstance(cause, ClientConnectorError | ConnectionTimeoutError | InvalidURL)
