"""A map of real, kept and dropped rows, and of the places where real rows have no kept row near."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING

from synth_assets.core.asking import Encode

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

KINDS = ("dropped", "kept", "real")  # those on top last
ALONE = "real, no kept row near"
MOST = 500  # different texts of a kind
NEAR = 5


@dataclass(frozen=True)
class RowMap:
    """Where texts are, in the order in which they were given."""

    places: Mapping[str, np.ndarray]  # kind -> (n, 2)
    share: float  # of the variance of the vectors that two dimensions show
    alone: Sequence[int]  # real texts without a kept one near, the farthest first
    nearest: Sequence[int]  # of each real text the nearest kept one
    likeness: np.ndarray  # (n real,) cosine similarity of the two

    def series(self) -> dict[str, list[tuple[float, float]]]:
        """What is drawn, by its name."""
        every = {**self.places, ALONE: self.places["real"][list(self.alone)]}
        return {name: [(float(x), float(y)) for x, y in points] for name, points in every.items()}


def sample(rows: pd.DataFrame) -> list[str]:
    """MOST different texts at the most, by a hash of their rows' ids: whatever other rows there are, the same
    ones (report/queries/map.sql draws as this does)."""
    order = rows["row_id"].map(lambda row_id: md5(row_id.encode()).hexdigest())
    drawn = rows[["row_id", "text"]].assign(order=order).sort_values(["order", "row_id"])["text"].dropna()
    return list(drawn.drop_duplicates()[:MOST])


def map_of_rows(texts: Mapping[str, Sequence[str]], encode: Encode) -> RowMap | None:
    """The two main components of the vectors of all texts, by kind. None where there are too few to tell.

    A real text has a kept one near if that is as near as its k-th nearest real text (coverage of Naeem et al.
    2020), k being 5, or as many more as there are more real texts than kept ones: of texts from one source
    hardly one in twenty would be alone by chance.
    """
    import numpy as np

    vectors = {kind: np.asarray(encode(list(texts[kind])), np.float64) for kind in KINDS if len(texts[kind])}
    every = np.concatenate(list(vectors.values())) if vectors else np.zeros((0, 2))
    if len(every) < 3:
        return None
    centred = every - every.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    main = axes[:, -1:-3:-1]
    main = main * np.sign(main[np.abs(main).argmax(axis=0), [0, 1]])  # else either way round
    places = {kind: (vectors[kind] - every.mean(axis=0)) @ main for kind in vectors}
    nowhere = {kind: places.get(kind, np.zeros((0, 2))) for kind in KINDS}
    share = float(values[-2:].sum() / max(float(values.sum()), 1e-30))
    return RowMap(nowhere, share, *_alone(vectors.get("real", ()), vectors.get("kept", ())))


def _alone(
    real: np.ndarray | tuple[()], kept: np.ndarray | tuple[()]
) -> tuple[list[int], list[int], np.ndarray]:
    import numpy as np

    if len(real) <= NEAR or not len(kept):
        return [], [], np.zeros(0)
    real, kept = np.asarray(real), np.asarray(kept)
    k = min(len(real) - 1, math.ceil(NEAR * len(real) / len(kept)))
    among = real @ real.T
    np.fill_diagonal(among, -np.inf)
    least = np.partition(among, -k, axis=1)[:, -k]
    likeness = real @ kept.T
    best = likeness.max(axis=1)
    found = np.flatnonzero(best < least)
    return found[np.argsort(best[found], kind="stable")].tolist(), likeness.argmax(axis=1).tolist(), best
