"""A model that asks nobody: it answers from the call log and counts what the log lacks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from synth_assets.core.asking import Answer
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request

if TYPE_CHECKING:
    from synth_assets.core.answer_schema import Schema
    from synth_assets.core.asking import Message

CHUNK = 500


class Foreseen:
    """`core.asking.Completes` that asks nobody and counts what would be asked. Its answers have `lines`."""

    def __init__(self, log: CallLog, model: Model) -> None:
        self._log, self.model, self._endpoint = log, model, model.endpoint
        self._seen: set[str] = set()
        self.calls = self.from_log = 0
        self.lines = 0

    @property
    def api(self) -> str:
        return self.model.api

    @property
    def name(self) -> str:
        return self.model.name

    def complete(
        self,
        messages: Iterable[Sequence[Message]],
        sampling: Mapping[str, Any],
        replicates: Iterable[str],
        schema: Schema | None = None,
    ) -> Iterator[Answer]:
        pairs = zip(messages, replicates, strict=True)
        requests = (Request(question, sampling, replicate, schema) for question, replicate in pairs)
        while chunk := list(islice(requests, CHUNK)):
            identities = [request.identity(self.model, self._endpoint) for request in chunk]
            known = self._log.find(identities)
            for request, identity in zip(chunk, identities, strict=True):
                answer = known.get(identity)
                self._count(identity, answer)
                if answer is not None and answer.outcome == "invalid" and schema is not None:
                    request = request.corrected(answer)
                    identity = request.identity(self.model, self._endpoint)
                    answer = self._log.find([identity]).get(identity)
                    self._count(identity, answer)
                yield answer or Answer(identity, "ok", text=_any_answer(identity, schema, self.lines))

    def _count(self, identity: str, answer: Answer | None) -> None:
        if identity not in self._seen:
            self._seen.add(identity)
            self.calls += answer is None
            self.from_log += answer is not None


def _any_answer(identity: str, schema: Schema | None, lines: int) -> str:
    """A text that fits, other than every other one."""
    text = f"an answer that is not there yet {identity}"
    if lines:
        return "\n".join(f"- {text} {line}" for line in range(lines))
    return text if schema is None else json.dumps(schema.example(text))
