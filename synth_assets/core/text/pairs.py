"""Pairs of texts as one text: what reads one text a row reads both, and vectors are made of the two.

Both stand in one text, with MARK between them, which is a space to all that cuts words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from synth_assets.core.asking import Encode

MARK = "\x1f"


def both(rows: pd.DataFrame, second: str | None) -> pd.DataFrame:
    """The rows, with the column `second` in their texts; as they are where rows are no pairs, or there is no
    such column (of a recipe without seeds, seeds have none). A mark in a text parts nothing."""
    texts = rows["text"].to_numpy(object)  # one by one, a column of texts is slow
    is_pair = second is not None and second in rows
    if not is_pair and not any(isinstance(text, str) and MARK in text for text in texts):
        return rows
    plain = [text.replace(MARK, " ") if isinstance(text, str) else text for text in texts]
    if not is_pair:
        return rows.assign(text=plain)
    others = [text.replace(MARK, " ") if isinstance(text, str) else "" for text in rows[second]]
    return rows.assign(text=[t and f"{t}{MARK}{other}" for t, other in zip(plain, others, strict=True)])


def parted(text: str) -> tuple[str, str]:
    """The two texts; the second one is empty where there is one alone."""
    first, _, second = text.partition(MARK)
    return first, second


def of_pairs(encode: Encode) -> Encode:
    """The same encoder, which reads pairs too: u, v and |u - v| of the vectors of both texts, as one vector
    of length 1 (InferSent, Conneau et al. 2017; these three were the best of Reimers & Gurevych 2019)."""

    def encoded(texts: Sequence[str]) -> np.ndarray:
        if not any(MARK in text for text in texts):
            return encode(texts)
        import numpy as np

        u, v = (encode(list(each)) for each in zip(*map(parted, texts), strict=True))
        vectors = np.hstack([u, v, np.abs(u - v)])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return encoded
