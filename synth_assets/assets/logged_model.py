"""A language model bound to the stage that asks it: its calls are logged under its name, and it shows
how far it is. It knows no Dagster: a preview asks through it as well."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from synth_assets.assets.going_on import GoingOn
from synth_assets.contracts.model_spec import NamedModel
from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import Answer, Completes, Message
from synth_assets.core.causes import Causes
from synth_assets.core.days import today
from synth_assets.core.engine import Engines
from synth_assets.core.errors import NotInstalled
from synth_assets.recipe import columns
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.call_log.mending import mend_place, note
from synth_assets.resources.call_log.rows import COLUMNS
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.gateway.batches.collect import collect
from synth_assets.resources.gateway.batches.records import forget
from synth_assets.resources.gateway.batches.submit import answers, not_in_batches
from synth_assets.resources.gateway.budget import Cap
from synth_assets.resources.gateway.language_model import Calls, LanguageModel
from synth_assets.resources.gateway.models import resolve_model
from synth_assets.resources.gateway.request import Request
from synth_assets.resources.own_encoder import chosen
from synth_assets.resources.sandbox import tools
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages import tables
from synth_assets.stages.run import Run
from synth_assets.stages.stage import Stage, Table, Verdict, asset_name

EVERY_SECONDS = 5.0
WAITING_SECONDS = 30.0  # between two lines that say that nothing is answered
ROWS_AT_ONCE = 2_000  # of the call log, on their way into the lake
ALL_SENT = "Nothing was held back."
UNANSWERED = ("rate_limited", "provider_error", "timed_out")


class Seen(NamedTuple):
    """What those see who look on at a round: a stage that begins, or a row that a step of it has made."""

    stage: str
    place: Mapping[str, str]
    row: Mapping[str, Any] | None = None


Watch = Callable[[Seen], None]
_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched(watch: Watch | None) -> Iterator[None]:
    """What this thread makes in the meantime is told to `watch` as it comes."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


class Asker(Protocol):
    """Who asks: what Dagster's context of an asset's run has, among other things."""

    @property
    def log(self) -> Any: ...
    @property
    def run_id(self) -> str: ...


class BoundModel:
    """`core.asking.Completes` for one run of one asset. `batched`: by way of the provider's Batch API; then
    `complete` raises `gateway.batches.submit.Pending` as long as requests are with the provider."""

    def __init__(
        self,
        language_model: LanguageModel,
        recipe: Recipe,
        asker: Asker,
        stage: Stage,
        place: Mapping[str, str],
    ) -> None:
        self._model = resolve_model(recipe.model if stage.model is None else stage.model)
        self._batched = stage.batches
        self._log = asker.log
        self._what = " ".join([recipe.name, stage.name, *place.values()])
        self._asset = asset_name(recipe, stage.name)
        self._partition = "|".join(place[column] for column in sorted(place))  # as Dagster writes a key
        caller = {"run_id": asker.run_id, "asset": self._asset, "partition_key": self._partition}
        self._made = {"used_by": stage.name, **place}
        self._place = {"cell": "all", **self._made}
        self._place.setdefault("round", today(recipe.timezone))  # of what no round owns: the day it was asked
        caps = list(_caps(recipe, self._place["round"]))
        folder = language_model.server_folder
        self._language_model = LanguageModel(language_model.call_log, folder, caller, caps, self._warn)
        self._recipe = recipe
        self._outcomes: Counter[str] = Counter()
        self._causes, self._refusals = Causes(), Causes()  # without an answer; refused
        self._in_the_way: set[str] = set()  # caps

    @property
    def api(self) -> str:
        return self._model.api

    @property
    def name(self) -> str:
        return self._model.name

    def other(self, spec: str | NamedModel | None) -> Self:
        """Another model for the same asset (None: this one). Its calls are added to this one's."""
        twin = copy(self)
        if spec is not None:
            twin._model = resolve_model(spec)
        return twin

    def under(self, stage: Stage) -> Self:
        """The same, for what another stage asks of the same partition: logged under its name, and counted
        here."""
        twin = self.other(stage.model)
        twin._language_model = copy(self._language_model)
        twin._language_model.context = {
            **twin._language_model.context,
            "asset": asset_name(self._recipe, stage.name),
        }
        twin._made = {**self._made, "used_by": stage.name}
        return twin

    def held(self) -> str:
        """Why nothing more is asked: the caps in the way."""
        return ", ".join(sorted(self._in_the_way))

    def complete(
        self,
        messages: Iterable[Sequence[Message]],
        sampling: Mapping[str, Any],
        replicates: Iterable[str],
        schema: Schema | None = None,
    ) -> Iterator[Answer]:
        total = len(replicates) if isinstance(replicates, Sized) else None
        pairs = zip(messages, replicates, strict=True)
        requests = (Request(question, sampling, replicate, schema) for question, replicate in pairs)
        self._collect()
        if self._batched:
            found: Iterable[Answer] = answers(self._language_model, self._model, requests)
        else:
            found = self._stream(requests, total)
        for answer in found:
            self._outcomes[answer.outcome] += 1
            if answer.outcome == "over_budget":
                self._in_the_way.add(str(answer.error))
            elif answer.outcome in UNANSWERED:
                self._causes.add(answer.error or answer.outcome)
            elif answer.outcome == "refused":
                self._refusals.add(answer.error or answer.text or answer.outcome)
            yield answer

    def _stream(self, requests: Iterable[Request], total: int | None) -> Iterator[Answer]:
        new = not_in_batches(self._language_model.call_log, self._model, requests)
        progress = _Progress(self._log.info, self._what)
        return self._language_model.stream(self._model, new, progress, total)

    def _collect(self) -> None:
        """What the provider has of this partition from before, if it is ready."""
        found = collect(self._language_model.call_log, self._asset, self._partition)
        for ended in found.ended:
            self._log.info(f"{self._what}: {ended}")
        for problem in found.problems:
            self._log.warning(f"{self._what}: {problem}")

    def _warn(self, words: str) -> None:
        self._log.warning(f"{self._what}: {words}")

    def save_calls(self, lake: Lake) -> None:
        """Every call behind this partition, into the lake: it tells all without the call log. Batches that
        brought them have served."""
        place = {column: self._place[column] for column in columns.STAGES["calls"]}
        run_id = self._language_model.context["run_id"]
        lake.write(self._recipe.name, "calls", place, self._calls(), run_id)
        note(self._language_model.call_log, lake)
        forget(self._language_model.call_log, self._asset, self._partition)

    def mend_log(self, lake: Lake) -> None:
        """What was paid for these rows when they were made before is in the log, from the lake if need be."""
        mend_place(self._language_model.call_log, lake, self._recipe.name, **self._made)

    def _calls(self) -> Iterator[Any]:
        """The rows of the call log as Arrow tables, a chunk at a time, and an empty one if there are none."""
        import pandas as pd

        rows = self._language_model.call_log.rows(sorted(self._language_model.used))
        first = True
        while (chunk := list(islice(rows, ROWS_AT_ONCE))) or first:
            calls = pd.DataFrame(chunk, columns=COLUMNS).rename(columns={"identity": "call_id"})
            yield tables.to_arrow(self._recipe, "calls", calls.assign(**self._place))
            first = False

    def verdicts(self) -> list[Verdict]:
        """Whether every request has an answer, and whether the budget allowed it."""
        failed = {outcome: self._outcomes[outcome] for outcome in UNANSWERED if self._outcomes[outcome]}
        why = ", ".join(f"{n} {outcome}" for outcome, n in failed.items())
        words = f"{why} ({self._causes}): materialize again to ask for them."
        if why:
            self._warn(words)
        else:
            refused = f"; {len(self._refusals)} were refused ({self._refusals})" if self._refusals else ""
            words = f"Every request has an answer{refused}."
        caps = sorted(self._in_the_way)
        held = self._outcomes["over_budget"]
        unsent = f"{held} requests were not sent: {', '.join(caps)}. Raise it and run again."
        return [
            Verdict(not why, words, blocks=False),
            Verdict(not caps, unsent, numbers={"not_sent": held}) if caps else Verdict(True, ALL_SENT),
        ]

    @property
    def calls(self) -> Calls:
        """What the asset's calls came to."""
        return self._language_model.calls

    def metadata(self) -> dict[str, Any]:
        """The same as numbers that Dagster plots over partitions."""
        calls = self.calls
        return {
            "model": self.name,
            "calls_from_log": calls.from_log,
            "calls": calls.calls,
            "failed_calls": calls.failed,
            "over_budget": calls.over_budget,
            "prompt_tokens": calls.prompt_tokens,
            "completion_tokens": calls.completion_tokens,
            "cost": calls.cost,
            "seconds": round(calls.seconds, 1),
        }


class Watched:
    """The encoder, and whether it was wanted and missing. Many new texts go to the workers of an engine."""

    def __init__(self, encoder: MiniLM, engines: Engines) -> None:
        self._encoder, self._engines, self.missing = encoder, engines, False

    def encode(self, texts: Sequence[str]) -> Any:
        with self._looking():
            return self._encoder.encode(texts, self._engines)

    def folder(self) -> Path:
        with self._looking():
            return self._encoder.folder()

    def learn(self, made: Mapping[str, Callable[[str], Any]]) -> None:
        self._encoder.learn(made)

    def version(self) -> str | None:
        return self._encoder.version()

    @contextmanager
    def _looking(self) -> Iterator[None]:
        try:
            yield
        except NotInstalled:
            self.missing = True
            raise


class LoggedRun(Run):
    """The run of one partition as a Dagster asset: what it asks is logged under the asset's name."""

    encoder: Watched

    def __init__(
        self,
        asker: Asker,
        recipe: Recipe,
        stage: Stage,
        place: Mapping[str, str],
        language_model: LanguageModel,
        encoder: MiniLM,
        lake: Lake,
        made: Mapping[tuple[str, str], Table] | None = None,
    ) -> None:
        where = place.get("round", ""), place.get("cell", "")
        watched = Watched(chosen(recipe.encoder, encoder), self.engine)
        super().__init__(recipe, lake, watched, *where, tools.run, made=made or {})
        self._log = asker.log
        self._what, self._own = " ".join([recipe.name, stage.name, *place.values()]), None
        self._watch, self._stage = _watch.get(), stage.name
        self._going_on = GoingOn(self.say)
        if self._watch:
            self._watch(Seen(stage.name, place))
        if stage.model is not None:
            self._own = BoundModel(language_model, recipe, asker, stage, place)
            self._own.mend_log(lake)

    def model(self, spec: str | NamedModel | None = None, what: str = "", lines: int = 0) -> Completes:
        return self._own.other(spec) if self._own else super().model(spec, what, lines)

    def of(self, stage: Stage) -> Run:
        assert self._own
        twin = copy(self)
        twin._own, twin._watch = (
            self._own.under(stage),
            None,
        )  # who looks on sees each row once, where it is made
        twin._own.mend_log(self.lake)
        return twin

    def held(self) -> str:
        return self._own.held() if self._own else ""

    def warn(self, words: str) -> None:
        self._log.warning(f"{self._what}: {words}")

    def say(self, words: str) -> None:
        self._log.info(f"{self._what}: {words}")

    def doing(self, words: str) -> AbstractContextManager[None]:
        return self._going_on.doing(words)

    def seen(self, row: Mapping[str, Any]) -> None:
        if self._watch:
            self._watch(Seen(self._stage, self.place, row))

    def save_calls(self) -> None:
        """Every call behind this partition, into the lake: it tells all without the call log."""
        if self._own:
            self._own.save_calls(self.lake)

    def verdicts(self) -> list[Verdict]:
        """Whether every request has an answer, and whether the budget allowed it."""
        return self._own.verdicts() if self._own else []

    @property
    def calls(self) -> Calls:
        """What the calls came to."""
        return self._own.calls if self._own else Calls()

    def numbers(self) -> dict[str, Any]:
        """The same, by name."""
        return self._own.metadata() if self._own else {}


def _caps(recipe: Recipe, round_: str) -> Iterator[Cap]:
    """The recipe's budget as caps on scopes."""
    scopes = {"round": f"round/{round_}", "day": f"day/{today(recipe.timezone)}", "recipe": "all"}
    for caps, unit in ((recipe.budget, "dollars"), (recipe.budget.tokens, "tokens")):
        for name, scope in scopes.items():
            limit = getattr(caps, name)
            if limit is not None:
                yield Cap(f"{recipe.name}/{scope}", limit, unit)


class _Progress:
    """Says every few seconds how many rows are done, at which speed, and how long the rest takes."""

    def __init__(self, say: Any, what: str) -> None:
        self._say, self._what = say, what
        self._next = time.monotonic() + EVERY_SECONDS
        self._quiet_until = 0.0  # what it waits for is not said again before

    def __call__(self, done: int, total: int | None, calls: Calls) -> None:
        now = time.monotonic()
        if calls.waiting and now < self._quiet_until:
            return
        if done != total and now < self._next and not calls.waiting:
            return
        self._next = now + EVERY_SECONDS
        of = f"/{total:,}" if total is not None else ""
        parts = [f"{done:,}{of} rows", f"{calls.calls:,} calls"]
        if calls.from_log:
            parts.append(f"{calls.from_log:,} from the log")
        if calls.failed:
            parts.append(f"{calls.failed:,} failed")
        if calls.cost:
            parts.append(f"${calls.cost:,.4f}")
        if calls.waiting:
            self._quiet_until = now + WAITING_SECONDS
            parts.append(calls.waiting)
        elif calls.calls and calls.seconds:
            if calls.completion_tokens is not None and calls.prompt_tokens is not None:
                tokens = calls.prompt_tokens + calls.completion_tokens
                parts.append(f"{tokens / calls.seconds:,.0f} tokens/s")
            if total is not None:
                parts.append(f"{(total - done) * calls.seconds / calls.calls:,.0f} s left")
        self._say(f"{self._what}: {', '.join(parts)}")
