"""Weights: a score that training consumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synth_assets.core.errors import UserError
from synth_assets.core.text.normal_form import normal_form
from synth_assets.curation import noise
from synth_assets.curation.weights import bilevel
from synth_assets.curation.weights.token_weights import row_weights
from synth_assets.students.crossfit import LEAST

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from synth_assets.core.asking import Encode


def weigh(
    rows: pd.DataFrame,
    seeds: pd.DataFrame,
    *,
    by: str,
    power: float,
    seed_share: float,
    encode: Encode | None = None,
    gold: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The training set: synthetic rows and demonstration seeds, with `origin` and `weight`.

    A synthetic row weighs score ** power. The score is 1 (by = none), its confidence (label_agreement; an
    unknown one raises UserError), such that each label weighs the same in all (inverse_frequency), or learned
    from the other rows, which needs `encode`: what a student says of its label (confidence), how the row
    changes a student on rows that it was not trained with (influence, bilevel) or on the rows `gold`
    (learning_to_reweight), or what its words say of the label (token_weights).
    The seeds weigh the same each, and together `seed_share` times the synthetic rows; with 0 they are left
    out. Weights are finite, not negative and not all 0.
    """
    import pandas as pd

    confidence = _scores(rows, by, encode, gold)
    if confidence.isna().any():
        raise UserError(_unknown(by, rows[confidence.isna()]))
    weighted = rows.assign(origin="synthetic", weight=confidence.astype(float) ** power)
    if seed_share > 0 and len(seeds) and len(rows):
        each = seed_share * weighted["weight"].sum() / len(seeds)
        weighted = pd.concat([weighted, seeds.assign(origin="seed", weight=each)], ignore_index=True)
    usable = weighted["weight"].between(0, float("inf"), inclusive="left").all() and weighted["weight"].any()
    if len(weighted) and not usable:
        raise UserError(
            f"weights.by: {by} to the power {power:g} gives weights that are negative, not finite or all "
            "zero: lower `power` or `seeds`, or weigh by something else."
        )
    return weighted


def effective_size(weights: pd.Series) -> float:
    """Kish's effective sample size, (sum w)^2 / sum w^2: how many equally weighted rows they are worth."""
    shares = weights / weights.max() if weights.any() else weights  # squares of tiny ones would be 0
    return float(shares.sum() ** 2 / (shares**2).sum()) if weights.any() else 0.0


def _unknown(by: str, rows: pd.DataFrame) -> str:
    """Where rows have no score, and what mends it: earlier rounds may be older than the filter."""
    rounds = sorted(set(rows["round"])) if "round" in rows else []
    of = f" of the rounds {', '.join(rounds)}" if rounds else ""
    return (
        f"{len(rows)} rows{of} have no confidence: weights.by = {by} needs the filter {by} in front, with a "
        "threshold that drops rows whose score is unknown. `synth run RECIPE --round ROUND` makes a round "
        "again with the filters of today."
    )


def _scores(rows: pd.DataFrame, by: str, encode: Encode | None, gold: pd.DataFrame | None) -> pd.Series:
    import pandas as pd

    if by == "label_agreement":
        return pd.to_numeric(rows["confidence"])
    if by == "none" or rows.empty:
        return pd.Series(1.0, index=rows.index)
    if by == "inverse_frequency":
        return pd.Series(bilevel.inverse_frequency(list(rows["label"])), index=rows.index)
    copies = rows["text"].map(normal_form)
    if encode is None or rows["label"].nunique() < 2 or copies.nunique() < 2 * LEAST:
        raise UserError(
            f"weights.by: {by} needs an encoder, two labels and {2 * LEAST} different rows, there are "
            f"{copies.nunique()}, of {', '.join(sorted(set(rows['label'].dropna()))) or 'no label'}: ask for "
            "more rows, or weigh by something else."
        )
    return pd.Series(_by_students(by, rows, list(copies), encode, gold), index=rows.index)


def _by_students(
    by: str, rows: pd.DataFrame, copies: Sequence[str], encode: Encode, gold: pd.DataFrame | None
) -> np.ndarray:
    """(n,): a row is judged by what was learned from other rows, none of which is its copy."""
    texts, labels = list(rows["text"]), list(rows["label"])
    if by == "token_weights":
        return row_weights(texts, labels, copies)
    x = encode(texts)
    match by:
        case "confidence":
            return noise.given(noise.cross_fitted(x, labels, copies), labels)
        case "influence":
            return bilevel.influence_weights(x, labels, copies)
        case "bilevel":
            return bilevel.bilevel_weights(x, labels, copies)
        case "learning_to_reweight":
            shown = _gold(gold, labels)
            return bilevel.learning_to_reweight(x, labels, encode(list(shown["text"])), list(shown["label"]))
    raise ValueError(f"no weights are called {by}")


def _gold(gold: pd.DataFrame | None, labels: Sequence[str]) -> pd.DataFrame:
    """The gold rows, some of each label."""
    absent = set(labels) - set(() if gold is None else gold["label"])
    if gold is None or absent:
        raise UserError(
            f"weights.by: learning_to_reweight learns from validation seeds, and has none of "
            f"{', '.join(sorted(absent))}: raise seeds.splits.validation, or weigh by something else."
        )
    return gold
