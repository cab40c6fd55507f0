"""The diversity measures as measurements of Hugging Face's `evaluate`, usable alone and without a network.

    SelfBLEU().compute(data=texts)  ->  {"self_bleu": 0.31}

The value is None where the measure is not known (fewer than two rows). Import this module only to use it, or
take the class from `synth_assets.evaluation`: `evaluate` takes long to import.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

from synth_assets.evaluation import diversity

__all__ = ["AveragePairwiseSimilarity", "DistinctN", "SelfBLEU", "Vocabulary"]


class _InMemory(evaluate.Measurement):
    """A measurement that keeps its data in memory, and so makes no file and no folder."""

    feature: Any = datasets.Value("string")

    def __init__(self, *args: Any, keep_in_memory: bool = True, **options: Any) -> None:
        super().__init__(*args, keep_in_memory=keep_in_memory, **options)

    def _build_data_dir(self) -> str:
        return "" if self.keep_in_memory else super()._build_data_dir()

    def _info(self) -> evaluate.MeasurementInfo:
        return evaluate.MeasurementInfo(
            description=self.__doc__ or "",
            citation="",
            inputs_description=f"\n{self._compute.__doc__}",
            features=datasets.Features({"data": self.feature}),
        )


class Vocabulary(_InMemory):
    """Number of different tokens (AttrPrompt, Yu et al. 2023)."""

    def _compute(self, data: list[str]) -> dict[str, int]:
        """data: texts."""
        return {"vocabulary": diversity.vocabulary(data)}


class DistinctN(_InMemory):
    """Different n-grams over all n-grams (Li et al. 2016); higher is more varied."""

    def _compute(self, data: list[str], n: int = 2) -> dict[str, float | None]:
        """data: texts; n: length of the n-grams."""
        return {f"distinct_{n}": diversity.distinct_n(data, n)}


class SelfBLEU(_InMemory):
    """Mean BLEU of each text against the others (Zhu et al. 2018); higher is less varied."""

    def _compute(
        self, data: list[str], n: int = 4, sample: int = 1000, seed: int = 0
    ) -> dict[str, float | None]:
        """data: texts; n: highest order; sample: texts drawn, with this seed."""
        return {"self_bleu": diversity.self_bleu(data, n, sample, seed)}


class AveragePairwiseSimilarity(_InMemory):
    """Mean cosine similarity of all pairs of vectors (Yu et al. 2023); higher is less varied."""

    feature = datasets.Sequence(datasets.Value("float32"))

    def _compute(self, data: list[list[float]]) -> dict[str, float | None]:
        """data: vectors of unit length, shape (n, d)."""
        return {"average_pairwise_similarity": diversity.average_pairwise_similarity(np.asarray(data))}
