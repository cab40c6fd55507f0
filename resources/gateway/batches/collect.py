"""Collecting batches: what the provider has answered goes into the call log, request by request.

Any number of processes may collect the same batch at the same time, or be killed while they do: a request is
settled in one transaction, which looks whether it still is to be.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from synth_assets.core.asking import Answer
from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.database import CHUNK, chunks
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.call_log.rows import Entry
from synth_assets.resources.gateway.batches import api, records
from synth_assets.resources.gateway.batches.api import Gone, State, Unavailable
from synth_assets.resources.gateway.batches.records import Batch, Batched
from synth_assets.resources.gateway.budget import Budget, cost, total, used
from synth_assets.resources.gateway.refusals import ALL, Refusal, concern, within
from synth_assets.resources.gateway.sending import ATTEMPTS
from synth_assets.resources.gateway.transport import blaming, connect
from synth_assets.resources.gateway.wire import body_of
from synth_assets.resources.storage.process import is_gone

LEASE_S = 3600.0  # for a process of another machine to create a batch
GRACE_S = 60.0  # until a batch that was asked for stands in the provider's list
KEPT_S = 30 * 86_400.0  # that a provider keeps batches and files


@dataclass
class Collected:
    """What was found. `partitions`: the key of each one's latest batch, None while it waits for one."""

    open: list[Batch] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # in words
    problems: list[str] = field(default_factory=list)
    partitions: dict[str, str | None] = field(default_factory=dict)

    def __str__(self) -> str:
        waiting = [f"{batch.waiting:,} requests in {batch}" for batch in self.open]
        return "; ".join([*self.ended, *waiting, *self.problems]) or "no batch is open"


def collect(
    log: CallLog, asset: str, partition: str | None = None, seconds: float = float("inf")
) -> Collected:
    """Look after the batches of an asset, or of one of its partitions: what has ended goes into the call log.
    After about `seconds` the rest is left for another time. A provider that is away is a problem in words."""
    found, deadline = Collected(), time.monotonic() + seconds
    away: set[str] = set()  # endpoints
    batches = records.unfinished(log, asset, partition)
    if seconds < float("inf"):
        random.shuffle(batches)  # so that none is left each time
    for batch in batches:
        says = None
        if batch.endpoint not in away and time.monotonic() < deadline:
            try:
                says = _Collection(log, batch, deadline).advance()
            except Gone as gone:
                found.problems.append(str(gone))
            except (UserError, Unavailable) as trouble:
                found.problems.append(str(trouble))
                away.add(batch.endpoint)
        if says is None:
            found.open.append(batch)
        else:
            found.ended.append(says)
    found.partitions = records.partitions(log, asset)
    return found


class _End(NamedTuple):
    """What became of a request in a batch that has ended."""

    part: dict[str, Any] | None  # fields of its Answer; None: the provider did not take it on
    spent: int = 1  # attempts; all there are, when another batch would not mend it
    billed: bool = False  # or may have been


class _Collection:
    """One batch on its way into the call log."""

    def __init__(self, log: CallLog, batch: Batch, deadline: float) -> None:
        self.log, self.batch, self.deadline = log, batch, deadline
        self.connection = connect(batch.model, str(batch.model.base_url))
        self.age = abs(log.now(log.execute) - batch.time)  # a clock may have been set back since
        self.broken = False  # a line could not be read
        self.accepted = False  # a prompt was answered
        self.learnt: dict[str, Any] = dict(batch.learnt)  # what the endpoint refuses
        self.refused = batch.refused  # why no request can succeed
        self.doubt = ""  # why it may be that none can
        self.says: list[str] = []
        self.outcomes: Counter[str] = Counter()

    def advance(self) -> str | None:
        """Take the results if the batch has ended: what they were, in words, or None while it goes on."""
        batch, provider_id = self.batch, self.batch.provider_id
        if provider_id is None:
            if batch.process is not None and not is_gone(batch.process) and self.age < LEASE_S:
                return None  # it is being created
            provider_id = api.find(self.connection, batch.key, batch.time)
            if provider_id is None and self.age < GRACE_S:
                return None
            if provider_id is None:
                records.withdraw(self.log, batch, ask_again=True)
                return f"{batch} was never made: its requests are sent again"
            records.opened(self.log, batch.key, provider_id)
        state = self._state(provider_id)
        if state.status not in api.ENDED or not self._files(state):
            return None
        status = "crowded" if state.crowded else state.status
        says = f" ({'; '.join(filter(None, [state.says, *self.says]))})" if state.says or self.says else ""
        for identities in records.rest(self.log, batch.key):
            self._settle(identities, partial(self._unanswered, status, f"batch {provider_id} {status}{says}"))
        if self.doubt and not (self.accepted or self.refused):
            with self.log.transaction() as execute:
                records.relearn(execute, replace(self.batch, doubt=self.doubt))
        records.note(self.log, batch.key, "status", status)
        counts = ", ".join(f"{n:,} {outcome}" for outcome, n in sorted(self.outcomes.items()))
        return f"{provider_id} {status}: {counts or 'nothing new'}{says}"

    def _state(self, provider_id: str) -> State:
        try:
            return api.state(self.connection, provider_id)
        except Gone as gone:
            if self.age > KEPT_S:
                return State("expired")
            variable = self.batch.model.key_env
            raise Gone(f"{gone}; is the key in {variable} that of another project?") from gone

    def _files(self, state: State) -> bool:
        """Collect what the files hold; False when there was not the time for all of it."""
        for file in state.files:
            try:
                content = api.download(self.connection, file)
            except Gone:
                if self.age > KEPT_S:
                    continue
                raise
            with content:
                for lines in chunks(content, CHUNK):
                    if time.monotonic() > self.deadline:
                        return False
                    found = self._parsed(lines)
                    self._settle(list(found), partial(self._said, found))
        return True

    def _parsed(self, lines: Iterable[bytes]) -> dict[str, dict[str, Any]]:
        """Identity -> what a line says about it. A broken line says nothing."""
        found: dict[str, dict[str, Any]] = {}
        for line in lines:
            try:
                data = json.loads(line)
                found.setdefault(str(data["custom_id"]), data)
                response = data.get("response")
                body = response.get("body") if isinstance(response, dict) else None
                self.accepted |= isinstance(body, dict) and bool(body.get("choices"))
            except (ValueError, LookupError, TypeError, RecursionError):
                self.broken = self.broken or bool(line.strip())
        return found

    def _settle(self, identities: Sequence[str], end: Callable[[Batched], _End]) -> None:
        """Write rows, give money back, end claims: in one transaction, once a request, whoever collects."""
        if not identities:
            return
        with self.log.transaction() as execute:
            asked = list(records.waiting(execute, self.batch.key, identities))
            pairs = [(request, end(request)) for request in asked]
            self.log.append([self._entry(r, e.part) for r, e in pairs if e.part is not None], execute)
            if (self.learnt, self.refused) != (self.batch.learnt, self.batch.refused):
                self.batch = replace(self.batch, learnt=dict(self.learnt), refused=self.refused)
                records.relearn(execute, self.batch)
            for attempts in {e.spent for _, e in pairs}:
                them = [r.identity for r, e in pairs if e.spent == attempts]
                records.brought_back(execute, self.batch, them, attempts)
            price = self.batch.price
            spent = total(used([e.part or {}], r.reserved, price, e.billed) for r, e in pairs)
            Budget(self.log, self.batch.caps).settle(total(r.reserved for r in asked), spent, execute)
        self.outcomes.update(e.part["outcome"] if e.part else "not taken" for _, e in pairs)

    def _said(self, found: Mapping[str, dict[str, Any]], asked: Batched) -> _End:
        """What a line of the results comes to."""
        try:
            return self._answer(found[asked.identity], asked)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            return self._failed(str(error), billed=True)

    def _answer(self, line: Mapping[str, Any], asked: Batched) -> _End:
        response, error = line.get("response") or {}, line.get("error")
        status, body = response.get("status_code"), response.get("body") or {}
        sent, scrub = body_of(self.batch.model, asked.request, 0, 1, self.batch.learnt), self.connection.scrub
        if status == 200 and not error:
            if (wrong := within(body, sent, scrub)) is None:
                return _End(self.connection.read(body, asked.request)[0], billed=True)
            refusal, about = wrong
            status = refusal.status or status
        else:
            refusal = Refusal.said(status or 0, error or body, scrub)
            about = concern(refusal, sent)
        if refusal.code == "batch_expired":
            return self._failed(refusal.says, "timed_out")
        if about.kind in ALL:
            self.refused = self.refused or self.connection.fatal(refusal, about)
        elif about.kind == "unsure" and status:
            self.doubt = self.doubt or blaming(self.connection.fatal(refusal, about), asked.request)
        elif about.kind == "misfit":
            return _End({"outcome": "invalid", "text": refusal.text, "error": refusal.says}, billed=True)
        if about.kind == "prompt":
            return self._failed(refusal.says, "refused")
        if about.kind == "feature":
            self.learnt[about.name] = about.instead
            self.says += filter(None, [self.connection.learn(about, refusal)])
        heals = status is None or about.kind in ("heals", "feature")
        says = f"{status or refusal.code}: {refusal.says}"
        outcome = "rate_limited" if status == 429 and heals else "provider_error"
        return self._failed(says, outcome, spent=1 if heals else ATTEMPTS)

    def _unanswered(self, status: str, says: str, _: Batched) -> _End:
        """What becomes of a request that is in no file. Who cancels a batch does not want another one."""
        if status == "crowded":
            return _End(None, spent=0)
        outcome = "timed_out" if status == "expired" else "provider_error"
        unknown = status == "completed" or self.broken  # whether it was answered
        return self._failed(says, outcome, spent=ATTEMPTS if status == "cancelled" else 1, billed=unknown)

    def _failed(
        self, says: str, outcome: str = "provider_error", spent: int = 1, billed: bool = False
    ) -> _End:
        return _End({"outcome": outcome, "error": self.connection.scrub(says)}, spent, billed)

    def _entry(self, asked: Batched, part: Mapping[str, Any]) -> Entry:
        answer = Answer(asked.identity, **part, cost=cost(part, self.batch.price))
        name, endpoint, context = self.batch.model.name, self.batch.endpoint, self.batch.context
        return Entry(answer, asked.request.messages, asked.parameters, name, endpoint, context)
