"""A model that asks nobody, and the run of a stage that is only planned: what it would ask is counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from synth_assets.contracts.model_spec import NamedModel
from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import Answer, Message
from synth_assets.planning.bounds import NONE, NOT_THERE, Bounds
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.models import Model, resolve_model
from synth_assets.resources.gateway.request import Request
from synth_assets.stages.run import Run
from synth_assets.stages.stage import Stage, Table

CHUNK = 500


class Foreseen:
    """`asking.Completes` that asks nobody: what the call log has is answered from there, what it lacks is
    counted and taken to be answered, in `lines` lines if it is a list."""

    def __init__(self, log: CallLog, model: Model, bounds: Bounds) -> None:
        self._log, self.model, self._endpoint = log, model, model.endpoint
        self._bounds, self._seen = bounds, set[str]()
        self.calls = self.from_log = 0
        self.maybe = 0  # of the calls, those that come only if answers are as they may be
        self.usual = 0.0  # how many are likely
        self.most = self.likely = NONE
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
                self._count(request, identity, answer)
                if answer is not None and answer.outcome == "invalid" and schema is not None:
                    request = request.corrected(answer)
                    identity = request.identity(self.model, self._endpoint)
                    answer = self._log.find([identity]).get(identity)
                    self._count(request, identity, answer)
                text = _any_answer(identity, schema, self.lines)
                yield answer or Answer(identity, "ok", text=text, error=NOT_THERE)

    def expect(self, calls: int) -> None:
        """Count calls about rows that are not there yet."""
        most, likely = self._bounds.unseen()
        self.calls += calls
        self.usual += calls
        self.most, self.likely = self.most.plus(most, calls), self.likely.plus(likely, calls)

    def _count(self, request: Request, identity: str, answer: Answer | None) -> None:
        if identity in self._seen:
            return
        self._seen.add(identity)
        most, likely = self._bounds.of(request, identity, self.model)
        if answer is None:
            self.calls += 1
            share = self._bounds.share
            self.maybe += self._bounds.perhaps
            self.usual += share
            self.most, self.likely = self.most.plus(most), self.likely.plus(likely, share)
        else:
            self.from_log += 1


def _any_answer(identity: str, schema: Schema | None, lines: int) -> str:
    """A text that fits, other than every other one."""
    text = f"{NOT_THERE} {identity}"
    if lines:
        return "\n".join(f"- {text} {line}" for line in range(lines))
    return text if schema is None else json.dumps(schema.example(text))


@dataclass(kw_only=True)
class Planned(Run):
    """The run of a stage that is only planned. `made` are the rows of stages that were planned before."""

    log: CallLog
    bounds: Bounds
    own: str | NamedModel | None = None  # whom the stage asks where it says nothing else
    asked: dict[tuple[str, str], Foreseen] = field(default_factory=dict)  # what for, model -> the calls
    unsure: dict[str, float] = field(default_factory=dict)  # row -> share: see `may_end`
    words: str = ""  # how many rows are likely

    def model(self, spec: str | NamedModel | None = None, what: str = "", lines: int = 0) -> Foreseen:
        model = resolve_model(self.own if spec is None else spec)
        known = self.asked.setdefault((what, repr(model)), Foreseen(self.log, model, self.bounds))
        known.lines = lines
        return known

    def expect(self, model: Any, calls: int) -> None:
        model.expect(calls)

    def maybe(self, model: Any, calls: int) -> None:
        model.expect(calls)
        model.maybe += calls

    def of(self, stage: Stage) -> Planned:
        return replace(self, own=stage.model, bounds=Bounds(), asked={})

    @property
    def lacks(self) -> bool:
        return any(model.calls for model in self.asked.values())

    @contextmanager
    def perhaps(self, share: float = 1.0) -> Iterator[None]:
        before = self.bounds.perhaps, self.bounds.share
        self.bounds.perhaps, self.bounds.share = True, self.bounds.share * share
        try:
            yield
        finally:
            self.bounds.perhaps, self.bounds.share = before

    def may_end(self, rows: Sequence[str], share: float, words: str) -> None:
        self.unsure.update(dict.fromkeys(rows, share))
        self.words = words

    def sure_first(self, rows: Table, make: Callable[[Table], Table]) -> Table:
        import pandas as pd

        may_be = rows["row_id"].isin(self.unsure.keys())
        if not may_be.any():
            return make(rows)
        sure, rest = (rows[mask].reset_index(drop=True) for mask in (~may_be, may_be))
        made = [make(sure)] if len(sure) else []
        with self.perhaps(self.unsure[rest["row_id"].iloc[0]]):
            made.append(make(rest))
        return pd.concat([table.astype(object) for table in made], ignore_index=True)
