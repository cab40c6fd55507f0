"""Weights that are known without a student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from synth_assets.contracts.weighing import WeighContext, Weighing

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Equal(Weighing):
    """Every row weighs the same."""

    name = "none"
    needs_labels = False

    def score(self, rows: pd.DataFrame, context: WeighContext) -> np.ndarray:
        import numpy as np

        return np.ones(len(rows))


class InverseFrequency(Weighing):
    """Every label weighs the same in all."""

    name = "inverse_frequency"

    def score(self, rows: pd.DataFrame, context: WeighContext) -> np.ndarray:
        import numpy as np

        _, at, counts = np.unique(list(rows["label"]), return_inverse=True, return_counts=True)
        return len(at) / (len(counts) * counts[at])


class LabelAgreement(Weighing):
    """The confidence of the annotator in the row's label."""

    name = "label_agreement"
    needs: ClassVar[Mapping[str, str]] = {"label_agreement": "{}"}
    labelled_by = ("condition", "label_agreement")

    def score(self, rows: pd.DataFrame, context: WeighContext) -> np.ndarray:
        import pandas as pd

        return pd.to_numeric(rows["confidence"]).to_numpy(dtype=float, na_value=float("nan"))
