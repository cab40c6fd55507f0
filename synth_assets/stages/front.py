"""What a round would be worth, and cost, if people labelled less of it, or more: for the stage `metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth_assets.annotation.allocation import Budget, Cost, allocate, for_people
from synth_assets.annotation.cascade import USUAL, Order, Promise, next_rows, ordered
from synth_assets.annotation.queue import drawn
from synth_assets.contracts.measure import Row, row
from synth_assets.contracts.measured import Measured, unknown
from synth_assets.core.records import records
from synth_assets.evaluation.front import NO_RANDOM, Point, Value, front, sweep
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.review import Review
from synth_assets.stages.stage import Chart, Table

AXES = {"minutes": "minutes of people", "dollars": "US dollars for labels of people"}
NOT_SURE = (
    "how sure the model is of each label is not known: add the filter label_agreement or annotators, or, of "
    "texts of your own, write `annotate: logprobs` or `prompts: 3`"
)


def of_round(recipe: Recipe, now: Mapping[str, Table]) -> tuple[list[Row], dict[str, Any]]:
    """Lines of `metrics`, and numbers for the UI: a chart, and how many labels the budget pays for."""
    assert recipe.review is not None
    unsure, right = unsure_of(recipe, now["filtered"]), _right(now["labelled"])
    each = Cost(recipe.review.price or 0.0, _minutes(now["reviews"]))
    if unsure is None or not right:
        why = NO_RANDOM if unsure is not None else NOT_SURE
        return [row("front", "filtered", unknown(why))], {}
    order = allocate(unsure, len(unsure), recipe.seed)
    points = {f"{point.share:.0%} by people": point for point in sweep(order, right)}
    lines, numbers = [row("front", name, point.quality) for name, point in points.items()], dict[str, Any]()
    for of, cost in {"minutes": each.minutes, "dollars": each.dollars}.items():
        if cost:
            spent = {name: point.people * cost for name, point in points.items()}
            lines += [Row(f"front_{of}", name, value, n=points[name].people) for name, value in spent.items()]
            numbers[f"front_in_{of}"] = chart(of, spent, points)
    lines.append(_taken(recipe, unsure, right))
    return lines, {**numbers, **_budget(recipe.review, len(order), each)}


def _taken(recipe: Recipe, unsure: Mapping[str, float | None], right: Mapping[str, bool]) -> Row:
    """The share of rows, the surest, whose labels may stand, if people label all others: so that the labels
    agree with people's as far as the release wants it, as with a cascade of models
    (annotation/cascade.py)."""
    assert recipe.review is not None
    wanted = recipe.review.agreement.at_least if recipe.review.agreement else USUAL.target
    sure = {name: None if value is None or value != value else -value for name, value in unsure.items()}
    order = Order(ordered(sure, recipe.seed).surest, drawn(unsure, recipe.seed))
    found = next_rows(order, right, Promise(wanted))
    share = len(found.taken) / len(unsure)
    why = f"more may be: some {len(found.ask)} more rows drawn at random would tell" if found.ask else None
    return Row("may_stand", f"of {wanted:.0%} as people", share, n=len(right), reason=why)


def _budget(review: Review, n: int, each: Cost) -> dict[str, Any]:
    """How many of the labels the money, and one person's time, are enough for."""
    if not (review.dollars or review.minutes):
        return {}
    return {"labels_in_budget": for_people(n, Budget(review.dollars, review.minutes), each)}


def chart(of: str, spent: Mapping[str, float], points: Mapping[str, Point]) -> Chart:
    """Over dollars, or over minutes of people."""
    known = {name: (spent[name], ends) for name, point in points.items() if (ends := _ends(point.quality))}
    return Chart("front", "right labels, and what those of people cost", {AXES[of]: front(known)})


def _ends(quality: Measured) -> Value | None:
    if (value := quality.value) is None:
        return None
    return value, quality.low or value, quality.high or value


def unsure_of(recipe: Recipe, rows: Table) -> dict[str, float | None] | None:
    """Row id -> how unsure the model is, the way that `review.by` says: the entropy of its answers
    (CoAnnotating), or one minus its confidence (Wang et al. 2021). None where that is known of no row."""
    assert recipe.review is not None
    values = [_unsure(each, recipe.review.by == "confidence") for each in records(rows)]
    if all(value is None for value in values):
        return None
    return dict(zip(rows["row_id"], values, strict=True))


def _unsure(made: Mapping[str, Any], by_confidence: bool) -> float | None:
    from synth_assets.selection.methods import entropies

    sure, entropy = made.get("confidence"), made.get("entropy")
    if (p := made.get("label_probabilities")) is not None and (by_confidence or entropy is None):
        known = [value for value in p.values() if value is not None]
        return 1 - max(known) if by_confidence else float(entropies(known))
    if by_confidence:
        return None if sure is None or sure != sure else 1 - sure
    if (said := made.get("annotator_labels")) is not None and entropy is None:
        known = [label for label in said if label is not None]
        return float(entropies([known.count(label) / len(known) for label in {*known}])) if known else None
    return None if entropy is None or entropy != entropy else entropy


def _right(labelled: Table) -> dict[str, bool]:
    """Of rows drawn at random that people labelled: whether the machine's label is theirs."""
    if "human_draw" not in labelled or "machine_label" not in labelled:
        return {}
    drawn = labelled[labelled["human_draw"].eq("random")]
    return dict(zip(drawn["row_id"], drawn["machine_label"] == drawn["label"], strict=True))


def _minutes(reviews: Table) -> float:
    """Of a label, as long as people took in the mean; 0 where that is not known."""
    said = reviews[reviews["kind"].isin(["label", "labels", "spans"])]
    seconds = said["seconds"].astype(float).dropna()
    return float(seconds.mean()) / 60 if len(seconds) else 0.0
