"""Ways to label and to weigh, as recipes name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.weighing import WeighContext
from synth_assets.core.registry import LABELS, WEIGHTS
from synth_assets.curation.labels.enhance import enhance
from synth_assets.curation.weights.weigh import weigh

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from synth_assets.core.asking import Encode


def no_encoder(texts: Sequence[str]) -> np.ndarray:
    raise AssertionError("this needs an encoder")


def labelled(rows: pd.DataFrame, by: str, encode: Encode = no_encoder, **more: Any) -> pd.DataFrame:
    return enhance(rows, LABELS.find(by)(), encode=encode, **more)


def weighed(
    rows: pd.DataFrame,
    shown: pd.DataFrame | None = None,
    *,
    encode: Encode = no_encoder,
    gold: pd.DataFrame | None = None,
    by: str,
    **fields: float,
) -> pd.DataFrame:
    nothing = rows.iloc[:0]
    context = WeighContext(encode, nothing if gold is None else gold)
    return weigh(rows, nothing if shown is None else shown, WEIGHTS.find(by)(**fields), context)
