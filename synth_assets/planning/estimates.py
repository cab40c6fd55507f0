"""What calls that were not made yet would take: tokens, dollars and seconds, from what like ones took, and
from their prompts where there were none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import sqrt

from synth_assets.contracts.measured import Z95
from synth_assets.contracts.model_spec import Price
from synth_assets.core.asking import REUSABLE
from synth_assets.planning.foreseen import Foreseen
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.call_log.log import CallLog
from synth_assets.stages.stage import asset_name

HISTORY = 2_000  # calls that an estimate rests on, at the most


@dataclass(frozen=True)
class Estimate:
    """A sum over calls that were not made yet: what is likely, with its 95 % interval where like calls were
    made before, and the most that it can be. None is unknown."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    most: float | None = None

    def words(self, shown: Callable[[float | None], str]) -> str:
        """At most, and likely, for people."""
        if self.most is None and self.value is None:
            return "unknown"
        return f"at most {shown(self.most)} (likely {shown(self.value)})"


NOTHING = Estimate(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Line:
    """One stage of one cell (or of the whole round): its state, and the calls that it would make."""

    stage: str
    cell: str | None
    state: str  # new, stale, unchanged, or orphaned
    why: str = ""
    calls: int = 0  # to make, at the most
    fewest: int = 0  # of them, those that are made whatever is answered
    from_log: int = 0
    tokens: Estimate = field(default_factory=Estimate)
    cost: Estimate = field(default_factory=Estimate)  # US dollars
    seconds: float | None = None
    what: str = ""  # of the metrics: which of them asks

    def __str__(self) -> str:
        return f"{self.stage} ({self.what})" if self.what else self.stage


def estimated(
    line: Line, asked: Mapping[tuple[str, str], Foreseen], recipe: Recipe, log: CallLog
) -> Iterator[Line]:
    """The line for each question and model, with the calls and what they would take."""
    for (what, _), model in asked.items():
        counted = replace(line, calls=model.calls, from_log=model.from_log, what=what)
        counted = replace(counted, fewest=model.calls - model.maybe)
        if not model.calls:
            yield replace(counted, tokens=NOTHING, cost=NOTHING, seconds=0.0)
            continue
        price = model.model.price
        if price and recipe.mode == "batch" and line.stage in recipe.step_stages:
            price = price.batched() or price
        asset = asset_name(recipe, line.stage)
        tokens, cost, seconds = _history(log, asset, model.model.name, price, model.usual)
        if tokens.value is None:
            tokens, cost = Estimate(sum(model.likely)), Estimate(model.likely.dollars(price))
        tokens, cost = replace(tokens, most=sum(model.most)), replace(cost, most=model.most.dollars(price))
        yield replace(counted, tokens=tokens, cost=cost, seconds=seconds)


def _history(
    log: CallLog, asset: str, model: str, price: Price | None, calls: float
) -> tuple[Estimate, Estimate, float | None]:
    """Tokens, dollars and seconds of so many calls, from what the same asset's calls of this model took."""
    outcomes = ", ".join(f"'{outcome}'" for outcome in REUSABLE)
    rows = log.execute(
        "SELECT prompt_tokens, completion_tokens, run_id, time FROM calls "
        f"WHERE asset = ? AND model = ? AND outcome IN ({outcomes}) ORDER BY id DESC LIMIT {HISTORY}",
        (asset, model),
    )
    counts = [(p, c) for p, c, *_ in rows if p is not None and c is not None]
    tokens = _sum([p + c for p, c in counts], calls)
    costs = [price.cost(p, c) for p, c in counts] if price else []
    cost = _sum([cost for cost in costs if cost is not None], calls)
    return tokens, cost, _seconds([time for *_, run, time in rows if run == rows[0][2]], calls)


def _sum(each: Sequence[float], n: float) -> Estimate:
    """Of `n` more like `each`; the interval has the mean's own error in it."""
    m = len(each)
    if m < 2:
        return Estimate()
    mean = sum(each) / m
    deviation = sqrt(sum((x - mean) ** 2 for x in each) / (m - 1))
    error = Z95 * deviation * sqrt(n + n * n / m)
    return Estimate(n * mean, max(0.0, n * mean - error), n * mean + error)


def _seconds(times: Sequence[str], calls: float) -> float | None:
    """At the rate of the last run's calls."""
    if len(times) < 2:
        return None
    took = (datetime.fromisoformat(times[0]) - datetime.fromisoformat(times[-1])).total_seconds()
    return calls * took / (len(times) - 1)
