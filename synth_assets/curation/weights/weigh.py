"""Weights: a score that training consumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_assets.contracts.weighing import WeighContext, Weighing
from synth_assets.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def weigh(
    rows: pd.DataFrame, seeds: pd.DataFrame, way: Weighing, context: WeighContext, fall: float | None = None
) -> pd.DataFrame:
    """The training set: synthetic rows and demonstration seeds, with `origin` and `weight`.

    A synthetic row weighs score ** power, over the mean of its label where the way is levelled: annotators
    are less sure of some labels than of others, and a student would hardly learn those. A label whose rows
    all weigh 0 stays so. The seeds weigh the same each, and together `way.seeds` times the synthetic rows
    (after a `fall` of the diversity, as it says); with 0 they are left out. Weights are finite, not negative
    and not all 0.
    """
    import pandas as pd

    scores = _scores(rows, way, context)
    if scores.isna().any():
        raise UserError(_unknown(way, rows[scores.isna()]))
    weights = scores.astype(float) ** way.power
    if way.levelled and not way.weighs_labels and "label" in rows:
        labels = weights.groupby(rows["label"])
        means, most = labels.transform("mean"), labels.transform("max")
        alike = (labels.transform("min") == most) & (most < float("inf"))  # 1, and not what rounding gives
        weights = weights.mask(means > 0, (weights / means).mask(alike, 1.0))
    weighted = rows.assign(origin="synthetic", weight=weights)
    if (times := way.of_seeds(fall)) > 0 and len(seeds) and len(rows):
        each = times * weighted["weight"].sum() / len(seeds)
        weighted = pd.concat([weighted, seeds.assign(origin="seed", weight=each)], ignore_index=True)
    usable = weighted["weight"].between(0, float("inf"), inclusive="left").all() and weighted["weight"].any()
    if len(weighted) and not usable:
        raise UserError(
            f"{way.place} to the power {way.power:g} gives weights that are negative, not finite or all "
            "zero: lower `power` or `seeds`, or weigh by something else."
        )
    return weighted


def effective_size(weights: pd.Series) -> float:
    """Kish's effective sample size, (sum w)^2 / sum w^2: how many equally weighted rows they are worth."""
    shares = weights / weights.max() if weights.any() else weights  # squares of tiny ones would be 0
    return float(shares.sum() ** 2 / (shares**2).sum()) if weights.any() else 0.0


def _scores(rows: pd.DataFrame, way: Weighing, context: WeighContext) -> pd.Series:
    import pandas as pd

    scores = way.score(rows, context) if len(rows) else []
    if len(scores) != len(rows):
        raise UserError(f"{way.place}: score() gave {len(scores)} numbers for {len(rows)} rows.")
    return pd.Series(scores, index=rows.index, dtype=float)


def _unknown(way: Weighing, rows: pd.DataFrame) -> str:
    """Where rows have no score, and what mends it: earlier rounds may be older than the filter."""
    rounds = sorted(set(rows["round"])) if "round" in rows else []
    of = f" of the rounds {', '.join(rounds)}" if rounds else ""
    if not way.needs:
        why = f"{way.place} must give a number to every row: drop the others by a filter"
        return f"{len(rows)} rows{of} have no score: {why}."
    by, needed = way.by or way.name, " and ".join(way.needs)
    return (
        f"{len(rows)} rows{of} have no confidence: weights.by = {by} needs the filter {needed} in front, "
        "with a threshold that drops rows whose score is unknown. `synth run RECIPE --round ROUND` makes a "
        "round again with the filters of today."
    )
