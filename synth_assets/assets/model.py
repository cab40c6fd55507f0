"""A language model bound to the stage that asks it: its calls are logged under its name, and it shows
how far it is."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from partitions import today
from resources.budget import Cap
from resources.call_log import COLUMNS
from resources.lake import Lake
from resources.language_model import Answer, Calls, LanguageModel, Request, resolve_model
from synth_assets import tables
from synth_assets.assets.stage import check, partition_of
from synth_assets.protocols import Message
from synth_assets.recipe import Recipe

EVERY_SECONDS = 5.0
UNANSWERED = ("rate_limited", "provider_error", "timed_out")
CHECKS = {
    "answered": "Did the endpoint answer every request? (Those that it did not are asked again next time.)",
    "within_budget": "Did the budget allow every request?",
}


class BoundModel:
    """`protocols.Completes` for one run of one asset."""

    def __init__(
        self, language_model: LanguageModel, recipe: Recipe, context: dg.AssetExecutionContext
    ) -> None:
        self._model = resolve_model(recipe.model)
        self._log = context.log
        self._what = " ".join([*context.asset_key.path, *partition_of(context).values()])
        caller = {
            "run_id": context.run_id,
            "asset": context.asset_key.to_user_string(),
            "partition_key": context.partition_key,
        }
        self._place = {"used_by": context.asset_key.path[-1], "cell": "all", **partition_of(context)}
        caps = list(_caps(recipe, self._place["round"]))
        folder = language_model.server_folder
        self._language_model = LanguageModel(language_model.call_log, folder, caller, caps)
        self._recipe = recipe
        self._answers: list[Answer] = []
        self._seconds = 0.0

    @property
    def api(self) -> str:
        return self._model.api

    @property
    def name(self) -> str:
        return self._model.name

    def complete(
        self, messages: Sequence[Sequence[Message]], sampling: Mapping[str, Any], replicates: Sequence[str]
    ) -> list[Answer]:
        requests = [Request(m, sampling, r) for m, r in zip(messages, replicates, strict=True)]
        started = time.monotonic()
        answers = self._language_model.complete(self._model, requests, _Progress(self._log.info, self._what))
        self._seconds += time.monotonic() - started
        self._answers += answers
        return answers

    def save_calls(self, lake: Lake) -> None:
        """Every call behind this partition, into the lake: it tells all without the call log."""
        import pandas as pd

        rows = self._language_model.call_log.rows(a.identity for a in self._answers)
        calls = pd.DataFrame(rows, columns=COLUMNS).rename(columns={"identity": "call_id"})
        table = tables.to_arrow(self._recipe, "calls", calls.assign(**self._place))
        place = {column: self._place[column] for column in tables.STAGES["calls"]}
        lake.write(self._recipe.name, "calls", place, table)

    def checks(self, stage: str) -> list[dg.AssetCheckResult]:
        """Whether every request has an answer, and whether the budget allowed it."""
        outcomes = Counter(a.outcome for a in self._answers)
        failed = {o: outcomes[o] for o in UNANSWERED if outcomes[o]}
        why = ", ".join(f"{n} {outcome}" for outcome, n in failed.items())
        words = f"{why}: materialize again to ask for them." if why else "every request has an answer."
        caps = sorted({str(a.error) for a in self._answers if a.outcome == "over_budget"})
        unsent = (
            f"{outcomes['over_budget']} requests were not sent: {', '.join(caps)}. Raise it and run again."
        )
        within = unsent if caps else "nothing was held back."
        return [
            check(self._recipe, stage, "answered", not why, words, blocks=False),
            check(self._recipe, stage, "within_budget", not caps, within),
        ]

    def metadata(self) -> dict[str, Any]:
        """What the asset's calls came to; Dagster plots the numbers over partitions."""
        calls = Calls.of(self._answers)
        return {
            "model": self.name,
            "calls_from_log": calls.from_log,
            "calls": calls.calls,
            "failed_calls": calls.failed,
            "over_budget": calls.over_budget,
            "prompt_tokens": calls.prompt_tokens,
            "completion_tokens": calls.completion_tokens,
            "cost": calls.cost,
            "seconds": round(self._seconds, 1),
        }


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

    def __call__(self, done: int, total: int, calls: Calls) -> None:
        now = time.monotonic()
        if done < total and now < self._next:
            return
        self._next = now + EVERY_SECONDS
        parts = [f"{done:,}/{total:,} rows", f"{calls.calls:,} calls"]
        if calls.from_log:
            parts.append(f"{calls.from_log:,} from the log")
        if calls.calls and calls.seconds:
            if calls.completion_tokens is not None and calls.prompt_tokens is not None:
                tokens = calls.prompt_tokens + calls.completion_tokens
                parts.append(f"{tokens / calls.seconds:,.0f} tokens/s")
            parts.append(f"{(total - done) * calls.seconds / calls.calls:,.0f} s left")
        self._say(f"{self._what}: {', '.join(parts)}")
