"""What a set gives away of the rows it was made from, and what it has in common with the test rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from synth_assets.contracts.measure import row
from synth_assets.contracts.measured import Z95, Measured, proportion, unknown
from synth_assets.core.asking import Encode
from synth_assets.core.text.normal_form import ngrams
from synth_assets.core.text.words import tokens
from synth_assets.evaluation.metric_rows import table
from synth_assets.evaluation.similarity import drawn_for, nearest_distances, unfit
from synth_assets.evaluation.similarity import vectors as vectors_of


def whole_copies(texts: Sequence[str], sources: Sequence[str]) -> Measured:
    """Share of the texts that have the same tokens as a source text, in the same order; Wilson's interval.

    Case and spaces do not matter. A copy with one word changed is not seen.
    """
    known = {tuple(tokens(source)) for source in sources}
    return _share([tuple(tokens(text)) in known for text in texts], sources)


def verbatim_overlap(texts: Sequence[str], sources: Sequence[str], n: int = 8) -> Measured:
    """Share of the texts that have `n` words in a row in common with a source text; Wilson's interval.

    Sources are seeds (memorised rows) or test rows (contamination). A text of fewer than n words counts if it
    is the whole of a source. Case, signs and spaces do not matter. Paraphrases are not seen:
    `nearest_seed_distance` sees them.
    """
    known = {gram for source in sources if source.strip() for gram in ngrams(source, n)}
    return _share([any(gram in known for gram in ngrams(text, n)) for text in texts], sources)


def nearest_seed_distance(
    matrix: np.ndarray, seeds: np.ndarray, quantile: float = 0.05, seed: int = 0
) -> Measured:
    """Quantile of the rows' distances to the nearest seed; 0 is a copy, and the closest rows leak first.

    Of `nearest_distances`, which is the whole distribution. Rows of unit length are at most 2 apart. Exact up
    to 10^8 pairs, of drawn rows beyond. Interval: between two order statistics, free of a distribution.
    """
    if why := unfit(matrix, 1) or unfit(seeds, 1):
        return unknown(why, len(matrix))
    distances = np.sort(nearest_distances(matrix[drawn_for(matrix, seeds, seed)], seeds))
    n = len(distances)
    half = Z95 * (n * quantile * (1 - quantile)) ** 0.5
    low, high = int(max(0, np.floor(n * quantile - half))), int(min(n - 1, np.ceil(n * quantile + half)))
    value = float(np.quantile(distances, quantile))
    return Measured(value, min(value, float(distances[low])), max(value, float(distances[high])), n)


def closer_than_real(matrix: np.ndarray, seeds: np.ndarray, seed: int = 0) -> Measured:
    """How often a synthetic row is closer to its nearest seed than a seed is to its nearest other seed.

    The distance to the closest record of tabular synthesis with the seeds themselves as the baseline. 0.5:
    as new as a further real row; towards 1: rows crowd the seeds; towards 0: they lie elsewhere. Exact up to
    10^8 pairs, of drawn rows beyond. Interval: see `auc`.
    """
    if why := unfit(matrix, 1) or unfit(seeds, 2):
        return unknown(why, len(matrix))
    rows, real = matrix[drawn_for(matrix, seeds, seed)], drawn_for(seeds, seeds, seed)
    return auc(-nearest_distances(rows, seeds), -nearest_distances(seeds[real], seeds, own=real))


def membership_signal(matrix: np.ndarray, shown: np.ndarray, held_out: np.ndarray, seed: int = 0) -> Measured:
    """How well the distance to the nearest synthetic row tells shown seeds from other real rows (ROC area).

    0.5: nothing leaks; 1: every shown seed is given away. `shown` are the demonstrations, `held_out` other
    rows of the same source. Exact up to 10^8 pairs a set, of drawn real rows beyond. Interval: see `auc`.
    """
    if why := unfit(matrix, 1) or unfit(shown, 1) or unfit(held_out, 1):
        return unknown(why, len(matrix))
    near, far = (nearest_distances(rows[drawn_for(rows, matrix, seed)], matrix) for rows in (shown, held_out))
    return auc(-near, -far)


def auc(positive: np.ndarray, negative: np.ndarray) -> Measured:
    """How often a positive's score is above a negative's, ties one half (Mann & Whitney 1947).

    Interval: where the variance of Hanley & McNeil (1982) at the area itself reaches the value (method 5 of
    Newcombe 2006), which holds at 0 and 1, too.
    """
    from scipy.optimize import brentq
    from scipy.stats import rankdata

    m, n = len(positive), len(negative)
    scores = np.concatenate([positive, negative])
    value = (float(rankdata(scores)[:m].sum()) - m * (m + 1) / 2) / (m * n)

    def beyond(area: float) -> float:
        more = (m + n) / 2 - 1
        pairs = 1 + more * (1 - area) / (2 - area) + more * area / (1 + area)
        return (value - area) ** 2 - Z95**2 * area * (1 - area) / (m * n) * pairs

    low = brentq(beyond, 0, min(value, 1 - 1e-9)) if value > 0 else 0.0
    high = brentq(beyond, max(value, 1e-9), 1) if value < 1 else 1.0
    return Measured(value, low, high, m + n)


def _share(hits: Sequence[bool], sources: Sequence[str]) -> Measured:
    if not hits or not sources:
        return unknown("no texts" if sources else "nothing to compare with", len(hits))
    return proportion(hits)


def leaks(rows: pd.DataFrame, seeds: pd.DataFrame, encode: Encode) -> pd.DataFrame:
    """What the synthetic rows have in common with the seeds that the model was shown, and with the test."""
    texts = list(rows["text"])
    shown, other, test = (
        list(seeds.loc[seeds["split"].isin(splits), "text"])
        for splits in (["demonstration"], ["validation", "test"], ["test"])
    )
    vectors, of_shown, of_other = (vectors_of(encode, each) for each in (texts, shown, other))
    found = {
        "copied_seeds": whole_copies(texts, shown),
        "verbatim_seeds": verbatim_overlap(texts, shown),
        "contamination": verbatim_overlap(texts, test),
        "nearest_seed_distance": nearest_seed_distance(vectors, of_shown),
        "closer_than_real": closer_than_real(vectors, of_shown),
        "membership_signal": membership_signal(vectors, of_shown, of_other),
    }
    return table(row(name, "filtered", measured) for name, measured in found.items())
