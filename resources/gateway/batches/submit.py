"""Requests by way of the provider's Batch API: submitted by one process, collected by any other.

A batch is written down before the provider is asked to make it, and its metadata say which it is: a process
that is killed in between leaves a batch that is found again, or one that was never made. Until they are
collected (see `collect.py`), its requests keep their claims and their part of the budget.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

from synth_assets.core.asking import REUSABLE, Answer
from synth_assets.core.errors import UserError
from synth_assets.core.identity import seed_from
from synth_assets.resources.call_log.database import chunks
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.batches import api, records
from synth_assets.resources.gateway.batches.api import Unavailable
from synth_assets.resources.gateway.batches.records import Batch, Batched
from synth_assets.resources.gateway.budget import Cap, Use
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request, Row, most_of
from synth_assets.resources.gateway.sending import ATTEMPTS, LOOK_AGAIN
from synth_assets.resources.gateway.transport import connect
from synth_assets.resources.gateway.wire import body_of
from synth_assets.resources.storage.process import this_process

MAX_REQUESTS = 50_000  # of a file
MAX_BYTES = 100_000_000
DAMAGED = "its answer in the call log does not hold: `synth verify` names it"


class Pending(Exception):
    """Requests are with the provider: the batches' names -> how many."""

    def __init__(self, batches: Mapping[str, int]) -> None:
        words = ", ".join(f"{n:,} in {batch}" for batch, n in batches.items())
        super().__init__(f"requests with the provider: {words}")
        self.batches = dict(batches)


def check(model: Model, caps: Sequence[Cap] = ()) -> None:
    """UserError when the model has no Batch API, or a budget in dollars meets an unknown price."""
    if model.base_url is None:
        raise UserError("model: the embedded model has no Batch API: remove `mode: batch` from the recipe.")
    in_dollars = any(cap.unit == "dollars" for cap in caps)
    if in_dollars and model.price is not None and model.price.batched() is None:
        raise UserError(
            f"the budget is in dollars, and the price of a batch for the model {model.name!r} is not known: "
            "add its share of the full price to the model's prices, as in `batch: 0.5`, or give the budget "
            "in tokens."
        )


def answers(owner: LanguageModel, model: Model, requests: Iterable[Request]) -> list[Answer]:
    """One answer a request, as `LanguageModel.stream` gives them; what the call log does not have is
    submitted. Pending as long as requests are with the provider; UserError for what asking again cannot heal.
    What failed in ATTEMPTS batches, or so that another batch would not mend it, is an answer too."""
    whose = str(owner.context.get("asset")), str(owner.context.get("partition_key"))
    refused, doubt = records.refused(owner.call_log, *whose)
    if refused:
        records.forget(owner.call_log, *whose)
        raise UserError(refused)
    check(model, owner.budget.caps)
    owner.budget.check_price(model.name, model.price)
    submission = _Submission(owner, model)
    for chunk in chunks(requests):
        submission.feed(chunk)
    if doubt and not any(answer.outcome in REUSABLE for answer in submission.answers.values()):
        records.forget(owner.call_log, *whose)
        raise UserError(doubt)
    submission.end()
    if submission.pending:
        raise Pending(submission.names())
    return [submission.answers[identity] for identity in submission.order]


def not_in_batches(log: CallLog, model: Model, requests: Iterable[Request]) -> Iterator[Request]:
    """The requests. UserError at one that is in a batch: to ask it now would pay twice."""
    endpoint = model.endpoint
    if not records.some_open(log, endpoint):
        yield from requests
        return
    for chunk in chunks(requests):
        held = records.held(log, [request.identity(model, endpoint) for request in chunk])
        for batch in records.find(log, set(held.values())):
            raise UserError(
                f"requests are with the provider already, in {batch}: to ask now would pay twice. Run again "
                "when it has ended, or cancel it at the provider."
            )
        yield from chunk


class _Submission:
    """The requests of one `answers`: which are answered, which are with the provider, which go there now."""

    def __init__(self, owner: LanguageModel, model: Model) -> None:
        self.owner, self.model, self.endpoint = owner, model, model.endpoint
        self.log, self.budget, self.context = owner.call_log, owner.budget, owner.context
        self.price = model.price.batched() if model.price else None
        self.connection = connect(model, str(model.base_url))
        self.connection.learnt |= records.learnt(self.log, self.endpoint, model.name)
        self.whose = str(self.context.get("asset")), str(self.context.get("partition_key"))
        self.puts_back = self.log.has_put_away()
        self.attempts = records.attempts(self.log, *self.whose)
        self.order: list[str] = []
        self.seen: set[str] = set()
        self.answers: dict[str, Answer] = {}
        self.pending: Counter[str] = Counter()  # key of the batch -> requests
        self.file: list[Row] = []
        self.bytes = 0
        self.later: list[Row] = []  # somebody else is asking

    def feed(self, requests: Sequence[Request]) -> None:
        """Take requests on, each once."""
        fresh = []
        for request in requests:
            identity = request.identity(self.model, self.endpoint)
            self.order.append(identity)
            if identity not in self.seen:
                self.seen.add(identity)
                fresh.append(Row(request, identity, identity))
        self._look(fresh)

    def end(self) -> None:
        """Submit what is left, also of what others were asking until now."""
        self._submit()
        while self.later:
            rows, self.later = self.later, []
            time.sleep(LOOK_AGAIN)
            self._look(rows)
            self._submit()

    def names(self) -> Counter[str]:
        """What is pending, by what a person calls the batch."""
        named: Counter[str] = Counter()
        for batch in records.find(self.log, self.pending):
            whose = (batch.asset, batch.partition_key)
            named[batch.name if whose == self.whose else str(batch)] += self.pending[batch.key]
        return named

    def _look(self, rows: Sequence[Row]) -> None:
        """Take what the log has; put into the file what neither the log nor the provider has."""
        while rows:
            known = self.log.find(row.asked for row in rows)
            missing = [row for row in rows if row.asked not in known]
            held = records.held(self.log, [row.asked for row in missing])
            self.pending.update(held.values())
            free = [row for row in missing if row.asked not in held]
            self._give_up([row for row in free if self.attempts.get(row.asked, 0) >= ATTEMPTS])
            for row in free:
                if self.attempts.get(row.asked, 0) < ATTEMPTS:
                    self._add(row)
            rows = [row for row in rows if row.asked in known and self._take(row, known[row.asked])]

    def _give_up(self, rows: Sequence[Row]) -> None:
        """Take the last answer in the log for what has failed for good."""
        failed = {row["identity"]: row for row in self.log.rows(row.asked for row in rows)}
        for row in rows:
            last = failed.get(row.asked, {"outcome": "provider_error", "error": DAMAGED})
            self._take(row, Answer(row.asked, last["outcome"], error=last["error"]))

    def _take(self, row: Row, answer: Answer) -> bool:
        """Whether the row is to be asked once more, because its answer does not fit."""
        if answer.from_log and self.puts_back:
            self.log.put_back(row.asked, row.request.messages)
        # what this partition's batches have brought was paid for it, and counts here
        from_log = answer.from_log and row.asked not in self.attempts
        self.owner.count(row.asked, replace(answer, from_log=from_log))
        again = row.correct(answer, self.model, self.endpoint)
        if not again:
            self.answers[row.identity] = answer
        return again

    def _add(self, row: Row) -> None:
        body = body_of(self.model, row.request, seed_from(row.asked), learnt=self.connection.learnt)
        row.line = api.line(row.asked, self.model.api, body)
        if len(self.file) == MAX_REQUESTS or self.bytes + len(row.line) > MAX_BYTES:
            self._submit()
        self.file.append(row)
        self.bytes += len(row.line)

    def _submit(self) -> None:
        """Make a batch of the file, without what others are asking and what the budget does not allow."""
        rows, self.file, self.bytes = self.file, [], 0
        claims = self.log.claim([row.asked for row in rows])
        mine = [row for row in rows if claims[row.asked] is True]
        self.later.extend(row for row in rows if claims[row.asked] is not True)
        if not mine:
            return
        asked = self.model, self.price, self.endpoint, self.budget.caps
        whose = self.context.get("run_id"), *self.whose
        learnt = dict(self.connection.learnt)
        batch = Batch(
            uuid4().hex, None, this_process(), *asked, *whose, self.log.now(self.log.execute), learnt=learnt
        )
        sent: set[str] = set()
        try:
            sent = self._write(batch, mine)
        finally:
            self.log.release([row.asked for row in mine if row.asked not in sent])
        if sent:
            self._create(batch, b"".join(row.line for row in mine if row.asked in sent))
            self.pending[batch.key] += len(sent)

    def _write(self, batch: Batch, rows: Sequence[Row]) -> set[str]:
        """Write down what is about to be sent; returns the identities, as far as the budget allows."""
        asked = [self._asked(row) for row in rows]
        with self.log.transaction() as execute:
            in_the_way = self.budget.reserve_each([a.reserved for a in asked], execute)
            allowed = [a for a, why in zip(asked, in_the_way, strict=True) if why is None]
            if allowed:
                records.write(execute, batch, allowed)
        for row, why in zip(rows, in_the_way, strict=True):
            if why is not None:
                self._take(row, Answer(row.asked, "over_budget", error=why))
        return {a.identity for a in allowed}

    def _asked(self, row: Row) -> Batched:
        reserved, parameters = Use(0, 0), row.request.parameters(self.model, seed_from(row.asked))
        if self.budget.caps:
            reserved = most_of(row.request, self.model, self.price, in_words=self.connection.in_words)
        return Batched(row.asked, row.request, parameters, reserved)

    def _create(self, batch: Batch, content: bytes) -> None:
        """Have the provider make the batch. It is withdrawn when that fails; when nobody knows whether it
        failed, who collects finds out."""
        try:
            file = api.upload(self.connection, batch.key, content)
            records.note(self.log, batch.key, "time", self.log.now(self.log.execute))
            provider_id = api.create(self.connection, batch.key, file)
        except UserError:
            records.withdraw(self.log, batch, ask_again=False)
            raise
        except Unavailable as trouble:
            if not trouble.done:
                records.withdraw(self.log, batch, ask_again=False)
                raise UserError(f"{trouble}. Nothing was submitted: run again to go on.") from trouble
            records.note(self.log, batch.key, "process", None)
        except BaseException:
            records.note(self.log, batch.key, "process", None)
            raise
        else:
            records.opened(self.log, batch.key, provider_id)
