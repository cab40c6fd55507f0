"""How the requests of one stream are sent: looked up, claimed, asked, asked again, and logged."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import groupby
from threading import Condition
from typing import TYPE_CHECKING, Any

from synth_assets.core.asking import REUSABLE, Answer
from synth_assets.core.errors import UserError
from synth_assets.core.identity import seed_from
from synth_assets.resources.call_log.database import chunks
from synth_assets.resources.call_log.rows import Entry
from synth_assets.resources.gateway.budget import Use, cost, tokens, used
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.pace import Rate
from synth_assets.resources.gateway.request import Job, Request, Row, about, set_aside
from synth_assets.resources.gateway.served import Served
from synth_assets.resources.gateway.transport import Connection, Reply, blaming, connect, event_loop, failed
from synth_assets.resources.gateway.trial import Doubts, Trial

if TYPE_CHECKING:
    from synth_assets.resources.gateway.language_model import LanguageModel, Progress

ATTEMPTS = 4
BILLED = 2  # answers to one question that are paid for, where none of them can be used
DOUBLINGS = 6  # of the wait between attempts: it stays under a minute
PATIENCE = 600.0  # seconds that a call lets itself be told to wait (429) before that counts as an attempt
LOOK_AGAIN = 0.2  # seconds until a request that another process is asking is looked up again
SAY_WAITING = 3.0  # seconds of that, before it is said whom this process waits for; again after a minute
BACKOFF = 0.5  # seconds before the second attempt; doubles, with jitter
BACKLOG = 1_000  # requests that wait to be sent, before more are rendered
QUIET = 3.0  # seconds without an answer, after which a person is told what the provider says
AHEAD = 8_000  # answers that may wait for one before them
FINAL = (*REUSABLE, "over_budget")  # asking again now would bring nothing else


class Sending:
    """The requests of one `stream`. Two threads: the caller's feeds and waits, the event loop's calls. What
    both touch (`open`, `rows`, the sums) is changed under the condition, which the caller waits for."""

    def __init__(
        self, owner: LanguageModel, model: Model, total: int | None, on_progress: Progress | None
    ) -> None:
        self.owner, self.model, self.endpoint = owner, model, model.endpoint
        self.total, self.on_progress = total, on_progress
        self.log, self.rate = owner.call_log, Rate(owner.call_log, model)
        self.rows: dict[str, Row] = {}  # those without an answer
        self.done, self.open = 0, 0  # rows that have, and that wait for, their answer
        self.backlog = max(BACKLOG, 2 * model.max_concurrency)
        self.condition = Condition()
        self.ready: deque[Job] = deque()  # may be sent
        self.stop: BaseException | None = None  # set once, read by both threads
        self.closed = False  # the caller has all answers, or leaves early
        self.reached = False  # whether the endpoint has answered anything, be it an error
        self.future: Future[None] | None = None  # of `_run`, once there is something to ask
        self.began = time.monotonic() - owner.calls.seconds
        self.accepted = False  # a prompt was answered
        self.doubts = Doubts()  # what was refused, and maybe all prompts are
        self.flying = 0  # calls
        self.heard = time.monotonic()  # when something was answered
        self.put_off = ("", 0.0)  # why a call waits for another attempt, and until when
        self.claimed: set[str] = set()
        self.puts_back = self.log.has_put_away()
        self.unwritten: list[tuple[Row, Answer]] = []
        self.writes = False  # soon
        self.say_at: float | None = None  # when it is to be said whom this process waits for
        self.changed = asyncio.Event()  # something may be sent, or the end has come
        self.tasks: set[asyncio.Task[None]] = set()

    # the caller's thread

    def feed(self, requests: Sequence[Request]) -> list[Row]:
        """Look the requests up, and put what the log does not have in the queue."""
        identities = [request.identity(self.model, self.endpoint) for request in requests]
        known, fed, missing = self.log.find(identities), [], []
        for identity, request in zip(identities, requests, strict=True):
            row = self.rows.get(identity)  # asked for already
            if row is None:
                row = self.rows[identity] = Row(request, identity, identity)
                with self.condition:
                    self.open += 1
                if identity in known:
                    self.accepted = True
                    self._settle(row, known[identity])
                else:
                    missing.append(row)
            fed.append(row)
        # neighbours that differ in the replicate alone, as many together as one call gives samples
        for _, same in groupby(missing, key=lambda row: (row.request.messages, row.request.sampling)):
            self.ready.extend(Job(rows) for rows in chunks(same, self.model.samples))
        if self.ready:
            self._wake()
        elif self.on_progress:
            self._tell()
        return fed

    def is_full(self, waiting: Sequence[Row]) -> bool:
        """Whether no more may be fed: the queue is long, or many answers wait for one before them."""
        return self.open > self.backlog or (len(waiting) > AHEAD and waiting[0].answer is None)

    def wait_while(self, busy: Callable[[], Any]) -> None:
        """Return when that is over, or the batch has stopped."""
        with self.condition:
            while self.stop is None and busy():
                self.condition.wait(0.1)

    def end(self) -> None:
        """Start nothing more, save what is in flight, and raise what stopped the batch."""
        self.closed = True
        if self.future is not None:
            event_loop().call_soon_threadsafe(self.changed.set)
            self.future.result()
        if self.stop is not None:
            raise self.stop

    def _wake(self) -> None:
        """Start the calls, or tell them that something is in the queue."""
        if self.future is None:
            self.owner.budget.check_price(self.model.name, self.model.price)
            self.served = Served(self.model, self.owner.server_folder)
            running = self._run(connect(self.model, self.served.url))
            self.future = asyncio.run_coroutine_threadsafe(running, event_loop())
        else:
            event_loop().call_soon_threadsafe(self.changed.set)

    # either thread

    def _settle(self, row: Row, answer: Answer) -> None:
        """An answer has come for a row: take it, or ask once more for one that fits."""
        asked = row.asked
        if answer.from_log and self.puts_back:
            self.log.put_back(asked, row.request.messages)
        again = row.correct(answer, self.model, self.endpoint)
        with self.condition:
            self.owner.count(asked, answer)
            if not again:
                row.answer = answer
                del self.rows[row.identity]
                self.open, self.done = self.open - 1, self.done + 1
                if self.open in (0, self.backlog):
                    self.condition.notify()
                return
        self.ready.append(Job([row]))

    def _tell(self) -> None:
        """Progress, for a person."""
        calls = self.owner.calls
        calls.seconds = time.monotonic() - self.began
        if self.on_progress:
            self.on_progress(self.done, self.total, calls)

    # the event loop's thread

    async def _run(self, connection: Connection) -> None:
        """Send what is ready, at the model's pace, until the caller has enough or somebody said stop."""
        self.connection, self.pace = connection, connection.pace
        self.trial = Trial(bool(connection.proxy), connection.heard)
        self._later(self.trial.first)
        self.pace.enter(self.changed, self.log, self.model)
        self._watch()
        try:
            while self.stop is None and not self.closed:
                self.changed.clear()
                self._believe()
                if jobs := self._startable():
                    self._start(jobs)
                elif self._hopeless():
                    job, refused, _ = self.doubts.held[0]
                    self._stop(UserError(blaming(refused.fatal, job.rows[0].request, self.accepted)))
                else:
                    await self.changed.wait()
        except Exception as error:
            self._stop(error)
        while self.tasks:  # save what is in flight
            await asyncio.wait(self.tasks)
        for doubtful in self.doubts.taken():
            self._keep(*doubtful)
        self._write()
        self.log.release(sorted(self.claimed))  # of what waited for another attempt
        self.pace.leave(self.changed)

    def _watch(self) -> None:
        """Every second: say why nothing is answered, if that is known."""
        if self.future is None or not self.future.done():
            asyncio.get_running_loop().call_later(1.0, self._watch)
            self.changed.set()  # what is shared with other processes is looked at
        why, until = self.put_off
        if why and time.monotonic() - self.heard >= QUIET:
            wait = max(until, self.pace.paused_until) - time.monotonic()
            again = time.strftime("%H:%M:%S", time.localtime(time.time() + max(0.0, wait)))
            self.owner.calls.waiting = f"nothing is answered ({why}); tried again at {again}"
            try:
                self._tell()
            finally:
                self.owner.calls.waiting = ""

    def _stop(self, error: BaseException) -> None:
        with self.condition:
            self.stop = self.stop or error
            self.condition.notify()
        self.changed.set()

    def _startable(self) -> list[Job]:
        """Jobs that may start now, at the head of the queue."""
        jobs: list[Job] = []
        if self.doubts.many(self.accepted):
            return jobs
        for _ in range(self.pace.room(min(self.trial.room(self.flying), len(self.ready)))):
            job = self.ready[0]
            if self.rate and (wait_s := self.rate.take(1, about(job.rows, self.model))):
                self._later(wait_s)
                break
            jobs.append(self.ready.popleft())
        if not jobs and (pause := self.pace.paused_until - time.monotonic()) > 0:
            self._later(pause)
        return jobs

    def _later(self, seconds: float, job: Job | None = None) -> None:
        """Look again in a while, at this job first."""

        def again() -> None:
            if job is not None:
                self.ready.appendleft(job)
            self.changed.set()

        asyncio.get_running_loop().call_later(seconds, again)

    def _start(self, jobs: Sequence[Job]) -> None:
        """Call, unless another process has the answer or is about to get it, or the budget is used up."""
        new = [row.asked for job in jobs for row in job.rows if row.asked not in self.claimed]
        claims = self.log.claim(new)
        self._say_who([identity for identity, claim in claims.items() if claim is False])
        asking: list[Job] = []
        for job in jobs:
            mine = []
            for row in job.rows:
                claim = claims.get(row.asked, True)
                if isinstance(claim, Answer):
                    self._settle(row, claim)
                elif claim:
                    mine.append(row)
                else:
                    self._later(LOOK_AGAIN, Job([row]))
            if mine:
                job.rows = mine
                self.claimed.update(row.asked for row in mine)
                asking.append(job)
        calls = set_aside(self.owner.budget, asking, self.model, self.connection.in_words)
        for job, reserved, in_the_way in calls:
            self.pace.started()
            self.flying += 1
            task = asyncio.get_running_loop().create_task(self._ask(job, reserved, in_the_way))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def _say_who(self, others: Sequence[str]) -> None:
        """Say whom this process waits for, if it has waited for a while."""
        if not others:
            self.say_at = None
            return
        now = time.monotonic()
        self.say_at = self.say_at or now + SAY_WAITING
        if now >= self.say_at and (holders := self.log.holders(others)):
            self.say_at = now + 60.0
            self.owner.tell(f"waits for what others are asking: {'; '.join(map(str, holders))}")

    async def _ask(self, job: Job, reserved: Use, in_the_way: str | None) -> None:
        """One HTTP call, and what is to be made of it."""
        started, url = time.monotonic(), self.served.url
        try:
            result = failed("over_budget", in_the_way) if in_the_way else await self._call(job, reserved)
            if result.broken and await self.served.is_elsewhere(url):
                self.connection.move(self.served.url)
                return self.ready.appendleft(job)
            self._take(job, result, time.monotonic() - started)
        except Exception as error:  # not raised here: the other calls must be saved
            self._stop(error)
        finally:
            self.flying -= 1
            self.pace.ended()

    def _take(self, job: Job, result: Reply, latency_s: float) -> None:
        """Keep the answers, ask again, or stop. A call that is told to wait (429) waits without spending its
        attempts, for PATIENCE seconds in all."""
        if result.learnt:
            if result.says:
                self.owner.tell(result.says)
            return self.ready.appendleft(job)
        if result.away and not self.reached:
            return self._stop(self.connection.unreachable(result.away))
        self.reached = self.reached or not result.away
        job.attempts += 1
        if result.unsure:
            before = next(self.log.rows([job.rows[0].asked]), {"error": None})["error"]
            self.doubts.add((job, result, latency_s), len(job.rows), result.parts[0]["error"], before)
            return self.changed.set()
        if result.fatal:
            self._stop(UserError(result.fatal))
        job.patient_until = job.patient_until or time.monotonic() + PATIENCE
        outcome = result.parts[0]["outcome"]
        self._try(result, outcome)
        job.spent += outcome != "rate_limited" or time.monotonic() > job.patient_until
        job.billed += result.answered
        if self.stop or outcome in FINAL or job.spent >= ATTEMPTS or job.billed >= BILLED:
            return self._keep(job, result, latency_s)
        backoff = BACKOFF * 2 ** min(job.attempts - 1, DOUBLINGS) * random.uniform(0.5, 1.5)
        wait = max(result.wait_s, backoff)
        self.put_off = result.parts[0]["error"] or outcome, time.monotonic() + wait
        self._later(wait, job)

    def _try(self, result: Reply, outcome: str) -> None:
        """Whether the endpoint answers at all: after a few calls that failed, and none that did not, nobody
        else is asked."""
        if outcome in REUSABLE:
            self.trial.passed = True
        elif outcome in ("provider_error", "timed_out") and not self.trial.passed:
            self.pace.pause(BACKOFF * 2 ** self.trial.failed(result.parts[0]["error"]))
            if self.trial.in_vain:
                self._stop(self.connection.in_vain(self.trial.causes))

    def _believe(self) -> None:
        """Where prompts are answered, what is refused for a reason unknown concerns that prompt, and is asked
        again by the next run; unless many in a row are, and there are more to ask."""
        if self.accepted and not (self.doubts.many(True) and self.doubts.rows < self.open):
            for doubtful in self.doubts.taken():
                self._keep(*doubtful)

    def _hopeless(self) -> bool:
        """Whether all that was asked was refused, and nothing is under way that may show that it need not."""
        in_vain = self.doubts.many(self.accepted) or self.doubts.rows == self.open
        return bool(self.doubts.held) and not self.flying and in_vain

    def _keep(self, job: Job, result: Reply, latency_s: float) -> None:
        """Give the answers to the rows; an endpoint may give fewer samples than asked for."""
        answered = result.answered and result.parts[0]["outcome"] in REUSABLE
        if answered:
            self.accepted, self.heard, self.put_off = True, time.monotonic(), ("", 0.0)
            self.doubts.answered()
        parts = list(result.parts) * (1 if answered else len(job.rows))
        for row, part in zip(job.rows, parts, strict=False):
            dollars = cost(part, self.model.price)
            answer = Answer(row.asked, **part, cost=dollars, latency_s=latency_s, attempts=job.attempts)
            self.unwritten.append((row, answer))
        self._write_soon()
        self.ready.extendleft(Job([row]) for row in job.rows[len(parts) :])

    def _write_soon(self) -> None:
        if not self.writes:
            self.writes = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        """Give all answers that came in at the same time to the log, with what they cost, then to whoever
        asked."""
        fresh, self.unwritten, self.writes, budget = self.unwritten, [], False, self.owner.budget
        if not (fresh or budget.owed):
            return
        try:
            # a call that the budget did not allow is none
            entries = [self._entry(row, a) for row, a in fresh if a.outcome != "over_budget"]
            with self.log.transaction(alone=False) as execute:
                self.log.append(entries, execute)
                budget.pay(execute)
            budget.owed.clear()
            self.log.release([a.identity for _, a in fresh if a.outcome == "over_budget"])
        except Exception as error:
            self.unwritten = fresh  # paid for: tried once more when the batch ends
            return self._stop(error)
        try:
            self.claimed.difference_update(answer.identity for _, answer in fresh)
            for row, answer in fresh:
                self._settle(row, answer)
                self._tell()
        except Exception as error:
            self._stop(error)
        self.changed.set()

    def _entry(self, row: Row, answer: Answer) -> Entry:
        parameters = row.request.parameters(self.model, seed_from(row.asked))
        context = self.owner.context
        return Entry(answer, row.request.messages, parameters, self.model.name, self.endpoint, context)

    async def _call(self, job: Job, reserved: Use) -> Reply:
        """The call; what it did not take is given back with the next answers."""
        budget, seed = self.owner.budget, seed_from(job.rows[0].asked)
        result = await self.connection.ask(job.rows[0].request, seed, len(job.rows))
        budget.owe(reserved, used(result.parts, reserved, self.model.price, result.maybe_billed))
        if budget.owed:
            self._write_soon()
        if self.rate and (counts := tokens(result.parts)) is not None:
            self.rate.give_back(about(job.rows, self.model) - sum(counts))
        return result
