"""Weights: a score that training consumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_assets.curation.bilevel import bilevel_weights, inverse_frequency
from synth_assets.curation.duplicates import normal_form
from synth_assets.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.protocols import Encode

LEAST = 10  # rows of which a student can learn


def weigh(
    rows: pd.DataFrame,
    seeds: pd.DataFrame,
    *,
    by: str,
    power: float,
    seed_share: float,
    encode: Encode | None = None,
) -> pd.DataFrame:
    """The training set: synthetic rows and demonstration seeds, with `origin` and `weight`.

    A synthetic row weighs score ** power. The score is 1 (by = none), its confidence (label_agreement; an
    unknown one raises UserError), what helps a student on rows that it was not trained with (bilevel; needs
    `encode`), or such that each label weighs the same in all (inverse_frequency).
    The seeds weigh the same each, and together `seed_share` times the synthetic rows; with 0 they are left
    out. Weights are positive and finite.
    """
    import pandas as pd

    confidence = _scores(rows, by, encode)
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


def _scores(rows: pd.DataFrame, by: str, encode: Encode | None) -> pd.Series:
    import pandas as pd

    if by == "label_agreement":
        return pd.to_numeric(rows["confidence"])
    if by == "none" or rows.empty:
        return pd.Series(1.0, index=rows.index)
    labels = list(rows["label"])
    if by == "inverse_frequency":
        return pd.Series(inverse_frequency(labels), index=rows.index)
    copies = [normal_form(text) for text in rows["text"]]
    if encode is None or len(set(labels)) < 2 or len(set(copies)) < 2 * LEAST:
        raise UserError(
            f"weights.by: bilevel needs an encoder, two labels and {2 * LEAST} different rows, there are "
            f"{len(set(copies))}: ask for more rows, or weigh by something else."
        )
    return pd.Series(bilevel_weights(encode(list(rows["text"])), labels, copies), index=rows.index)


def effective_size(weights: pd.Series) -> float:
    """Kish's effective sample size, (sum w)^2 / sum w^2: how many equally weighted rows they are worth."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0
