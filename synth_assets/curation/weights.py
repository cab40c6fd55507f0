"""Weights: a score that training consumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_assets.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def weigh(
    rows: pd.DataFrame, seeds: pd.DataFrame, *, by: str, power: float, seed_share: float
) -> pd.DataFrame:
    """The training set: synthetic rows and demonstration seeds, with `origin` and `weight`.

    A synthetic row weighs confidence ** power (1 with by = none; an unknown confidence raises
    UserError). The seeds weigh the same each, and together `seed_share` times the synthetic rows;
    with 0 they are left out. Weights are positive and finite.
    """
    import pandas as pd

    confidence = pd.to_numeric(rows["confidence"]) if by != "none" else pd.Series(1.0, index=rows.index)
    if confidence.isna().any():
        raise UserError(
            f"{int(confidence.isna().sum())} rows have no confidence: weights.by = {by} needs the filter "
            f"{by} in front, with a threshold that drops rows whose score is unknown."
        )
    weighted = rows.assign(origin="synthetic", weight=confidence.astype(float) ** power)
    if seed_share > 0 and len(seeds) and len(rows):
        each = seed_share * weighted["weight"].sum() / len(seeds)
        weighted = pd.concat([weighted, seeds.assign(origin="seed", weight=each)], ignore_index=True)
    if len(weighted) and not weighted["weight"].between(0, float("inf"), inclusive="neither").all():
        raise UserError(f"weights.power = {power} gives weights that are zero or not finite: lower it.")
    return weighted


def effective_size(weights: pd.Series) -> float:
    """Kish's effective sample size, (sum w)^2 / sum w^2: how many equally weighted rows they are worth."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0
