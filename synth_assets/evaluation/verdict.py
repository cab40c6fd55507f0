"""What the metrics of a round come to, in one sentence: is the set better than the seeds alone, which set is
best, and what to do next. All pages, `--json` and the UI have this sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from synth_assets.evaluation.metric_rows import MAIN

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

Row = Mapping[str, Any]  # of the table `metrics`
NOT_MADE = ("real", "word list", "model alone", "no rows")  # what no training on what was made could be
SMALL = 20_000  # test rows; where more would be needed, a difference is too small to be looked for


def training_set(recipe: Recipe) -> str:
    """The set that a recipe makes, as metrics call it: with the seeds, if they weigh something."""
    return f"seeds + {MAIN}" if recipe.weights.seeds else MAIN


def measure(recipe: Recipe) -> str:
    """The metric of students by which sets are compared."""
    return recipe.task.predict.measure if recipe.task.predict else "accuracy"


def gain_over_seeds(recipe: Recipe, rows: Iterable[Row]) -> Row | None:
    """The paired gain of the set over the seeds alone, if it is known: of students, or else of a model that
    is shown rows."""
    rows = list(rows)
    return _gain(rows, f"{measure(recipe)}_gain", training_set(recipe)) or _gain(
        rows, "in_context_gain", "filtered"
    )


def weights_gain(rows: Iterable[Row]) -> Row | None:
    """The paired gain of the weighted rows over the same rows of equal weight, if it is known."""
    return _gain(rows, "weights_gain", MAIN)


def sentence(recipe: Recipe, rows: Iterable[Row], round_: str) -> str:
    """Of a round's rows of metrics, which may be none."""
    rows = list(rows)
    gain = gain_over_seeds(recipe, rows)
    if gain is None:
        why, next_ = _unknown(recipe, rows, round_)
        return f"Whether the set is better than the seeds alone is not known: {why}; next: {next_}."
    low, high, n = gain["low"], gain["high"], int(gain["n"])
    found = f"It cannot be told with {n:,} test rows whether the set is better than the seeds alone"
    if low > 0 or high < 0:
        found = f"The set is {'better' if low > 0 else 'worse'} than the seeds alone on {n:,} test rows"
    of = _answers(rows) if gain["name"] == "in_context_gain" else measure(recipe)
    sign = -1 if recipe.task.predict and recipe.task.predict.lower and of == measure(recipe) else 1
    scores = {r["slice"]: r["value"] for r in rows if r["name"] == of and _known(r["value"])}
    made = {name: value for name, value in scores.items() if name not in NOT_MADE}
    best = max(made, key=lambda name: (sign * made[name], name == gain["slice"]))
    words = (
        f"{of.removeprefix('in_context_').replace('_', ' ')} of {gain['slice']} {scores[gain['slice']]:.3f}"
    )
    change = f"{gain['value']:+.3f} ({low:+.3f} to {high:+.3f}) against the seeds"
    change = f"better by {change}" if sign < 0 else change
    is_best = (
        "it is the best of the sets"
        if best == gain["slice"]
        else f"the best set there is {best} ({made[best]:.3f})"
    )
    return f"{found}: {words}, {change}; {is_best}; next: {_next(recipe, rows, gain, best)}."


def _gain(rows: Iterable[Row], name: str, set_: str) -> Row | None:
    known = (r for r in rows if (r["name"], r["slice"]) == (name, set_) and _known(r["low"]))
    return next(known, None)


def _known(value: Any) -> bool:
    return value is not None and value == value


def _answers(rows: Iterable[Row]) -> str:
    names = (r["name"] for r in rows if r["name"].startswith("in_context_") and r["slice"] == "filtered")
    return next(str(name) for name in names if name != "in_context_gain")


def _unknown(recipe: Recipe, rows: list[Row], round_: str) -> tuple[str, str]:
    """Why, and what helps."""
    again = f"synth run {recipe.name} --round {round_}" if round_ else f"synth run {recipe.name}"
    if not rows:
        return "nothing was measured", again
    for name in ("seeds", training_set(recipe)):
        for row in rows:
            if (row["name"], row["slice"]) == (measure(recipe), name) and not _known(row["value"]):
                why = row.get("reason") or "a label of the test rows is in none of its rows"
                return f"{name}: {why.rstrip('.')}", f"mend that, then {again}"
    learned = recipe.labels or recipe.task.predict
    if not learned and recipe.metrics.in_context:
        why = next((r["reason"] for r in rows if r["name"] == "in_context_gain" and r.get("reason")), "")
        return why or "no seeds were shown to hold it against", "more seeds (seeds.splits)"
    if not learned:
        return "no metric tests it", "metrics.in_context"
    if not recipe.metrics.student:
        return "metrics.student is off", "metrics: {student: true}"
    unclear = (r["reason"] for r in rows if r["name"] == f"{measure(recipe)}_gain" and r.get("reason"))
    return next(unclear, "the seeds have no test rows"), "seeds.splits.test"


def _next(recipe: Recipe, rows: list[Row], gain: Row, best: str) -> str:
    weights = weights_gain(rows)
    if weights and weights["high"] < 0:
        return f"other weights, these cost {-weights['value']:.3f} (weights: {{by: none}})"
    if gain["low"] > 0:
        return f"synth export {recipe.name} --to DIR{' --seeds' if recipe.weights.seeds else ''}"
    if gain["high"] < 0:
        change = "steps or conditions" if best == "seeds" else "filters"
        return f"change {change}, and see what filters do by synth tune {recipe.name}"
    half = (gain["high"] - gain["low"]) / 2
    needed = gain["n"] * (half / abs(gain["value"])) ** 2 if gain["value"] else math.inf
    if needed <= SMALL:
        size = 10 ** max(1, math.floor(math.log10(needed)) - 1)
        needed = math.ceil(needed / size) * size
        what = "gain" if gain["value"] > 0 else "loss"
        return f"about {needed:,} test rows would tell a {what} of that size (seeds.splits.test)"
    if gain["n"] < SMALL / 100:
        return f"more test rows, {gain['n']:,} tell gains beyond {half:.2f} only (seeds.splits.test)"
    return f"more rows, or other steps and filters (synth tune {recipe.name})"
