"""The language model: requests in, answers in the same order out, each call on disk before it is used.

What the call log holds is never asked again, so a run that was killed goes on where it stopped. Requests and
answers stream: the thread of the caller renders and looks into the log, a chunk ahead of the thread that
calls any OpenAI-compatible endpoint (see `transport.py`); memory does not grow with their number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path

from synth_assets.core.asking import REUSABLE, Answer
from synth_assets.core.text.amounts import count, dollars
from synth_assets.resources.call_log.database import chunks
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.budget import Budget, Cap
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request, Row
from synth_assets.resources.gateway.sending import Sending

CHUNK = 500  # requests that are rendered and looked up together


@dataclass
class Calls:
    """What was done: `calls` went to the endpoint (`failed` of them in vain), `from_log` did not. Sums of
    tokens and cost are of the calls made, and None as soon as that of one answered call is not known."""

    calls: int = 0
    from_log: int = 0
    failed: int = 0
    over_budget: int = 0  # not sent
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost: float | None = 0.0  # US dollars
    seconds: float = 0.0
    waiting: str = ""  # why nothing is answered just now, and when it is tried again

    def add(self, answer: Answer) -> None:
        """Count an answer."""
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
        self._sum(answer)

    def include(self, other: Calls) -> None:
        """Add what was done elsewhere."""
        for name in ("calls", "from_log", "failed", "over_budget", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._sum(other)

    def _sum(self, of: Answer | Calls) -> None:
        for name in ("prompt_tokens", "completion_tokens", "cost"):
            total, part = getattr(self, name), getattr(of, name)
            setattr(self, name, None if total is None or part is None else total + part)

    def __str__(self) -> str:
        """For people: how many calls, their tokens and their price."""
        both = (self.prompt_tokens, self.completion_tokens)
        tokens = None if None in both else sum(filter(None, both))
        held = f", {self.from_log:,} from the call log" if self.from_log else ""
        made = f"{self.calls:,} {'call' if self.calls == 1 else 'calls'}{held}"
        return f"{made}; tokens: {count(tokens)}; cost: {dollars(self.cost)}"


Progress = Callable[[int, int | None, Calls], None]  # requests done, of how many, and what was done so far


class LanguageModel:
    """Asks models, and remembers every answer in the call log, with `context` (run_id, asset, partition_key)
    beside it. `server_folder` is where the embedded server keeps its locks, `caps` the budget of all calls,
    `tell` hears what a person is to know at once; `calls` sums up what was done, `used` has the identities of
    all calls behind the answers."""

    def __init__(
        self,
        call_log: CallLog,
        server_folder: Path,
        context: Mapping[str, str | None] | None = None,
        caps: Sequence[Cap] = (),
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.call_log = call_log
        self.budget = Budget(call_log, caps)
        self.server_folder = server_folder
        self.context = dict(context or {})
        self.tell = tell
        self.calls = Calls()
        self.used: set[str] = set()

    def count(self, identity: str, answer: Answer) -> None:
        """Add an answer to what was done, each once."""
        if identity not in self.used:
            self.used.add(identity)
            self.calls.add(answer)

    def complete(
        self, model: Model, requests: Iterable[Request], on_progress: Progress | None = None
    ) -> list[Answer]:
        """The answers of `stream`, all at once."""
        return list(self.stream(model, requests, on_progress))

    def stream(
        self,
        model: Model,
        requests: Iterable[Request],
        on_progress: Progress | None = None,
        total: int | None = None,
    ) -> Iterator[Answer]:
        """One answer a request, in their order; equal requests (same identity) are asked once, and one whose
        answer does not fit its schema once more, with the reason. Failed calls are answers too: look at
        `outcome`. UserError for what asking again cannot heal; what was answered until then is in the log."""
        total = len(requests) if total is None and isinstance(requests, Sized) else total
        batch = Sending(self, model, total, on_progress)
        waiting: deque[Row] = deque()
        coming = chunks(requests, CHUNK)
        try:
            while batch.stop is None and (chunk := next(coming, None)):
                waiting.extend(batch.feed(chunk))
                batch.wait_while(lambda: batch.is_full(waiting))
                while waiting and waiting[0].answer is not None:
                    yield waiting.popleft().answer  # type: ignore[misc]
            batch.wait_while(lambda: batch.open)
        finally:
            batch.end()
        yield from (row.answer for row in waiting if row.answer is not None)
