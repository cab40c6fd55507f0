"""The language model: requests in, answers in the same order out, each call on disk before it is used.

Any OpenAI-compatible endpoint, through `openai`'s async client; the embedded server is one of them. What
the call log holds is never asked again, so a run that was killed goes on where it stopped.

Requests and answers stream: the thread of the caller renders and looks into the log, a chunk ahead of the
thread that calls (see `transport.py`), and memory does not grow with their number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.core.asking import Answer
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.budget import Budget, Cap
from synth_assets.resources.gateway.calls import Calls
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.sending import Sending

if TYPE_CHECKING:
    from synth_assets.resources.gateway.calls import Progress
    from synth_assets.resources.gateway.request import Request, Row

CHUNK = 500  # requests that are rendered and looked up together


class LanguageModel:
    """Asks models, and remembers every answer in the call log.

    `server_folder` is where the embedded server keeps its locks; `context` (run_id, asset,
    partition_key) is written beside each call; `caps` are the budget that all calls keep to.
    `calls` sums up what was done, `used` has the identities of all calls behind the answers.
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
        """One answer a request, in their order; equal requests (same identity) are asked once.

        An answer that does not fit its request's schema is asked for once more, with the reason. Failed
        calls are answers too: look at `outcome`. Raises UserError for what asking again cannot heal;
        whatever was answered until then is in the log. Works with or without a running event loop.
        """
        total = len(requests) if total is None and isinstance(requests, Sized) else total
        batch = Sending(self, model, total, on_progress)
        waiting: deque[Row] = deque()
        coming = iter(requests)
        try:
            while batch.stop is None and (chunk := list(islice(coming, CHUNK))):
                waiting.extend(batch.feed(chunk))
                batch.wait_for_room(waiting)
                while waiting and waiting[0].answer is not None:
                    yield waiting.popleft().answer  # type: ignore[misc]
            batch.wait_for_all()
        finally:
            batch.end()
        yield from (row.answer for row in waiting if row.answer is not None)
