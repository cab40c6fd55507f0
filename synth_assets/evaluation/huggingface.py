"""The direct measures as measurements of Hugging Face's `evaluate`, usable alone and without a network.

    SelfBLEU().compute(data=texts)  ->  {"self_bleu": 0.31, "low": 0.29, "high": 0.33, "n": 1000, "why": ""}

The value is None where the measure is not known (fewer than two rows), and `why` says why. Import this module
only to use it, or take the class from `synth_assets.evaluation`: `evaluate` takes long to import.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

from synth_assets.contracts.measured import Measured
from synth_assets.evaluation import diversity, privacy, similarity

__all__ = [
    "AveragePairwiseSimilarity",
    "CentroidDistance",
    "ChamferDistance",
    "CloserThanReal",
    "ClusterCoverage",
    "DistinctN",
    "LabelDivergence",
    "LengthDivergence",
    "Mauve",
    "MembershipSignal",
    "NearestSeedDistance",
    "NgramFrequency",
    "RemoteClique",
    "SelfBLEU",
    "VendiScore",
    "VerbatimOverlap",
    "Vocabulary",
    "WholeCopies",
]
Found = dict[str, Any]
Vectors = list[list[float]]


class InMemory(evaluate.EvaluationModule):
    """For a measurement or a metric: its data stay in memory, and so it makes no file and no folder.

    `lacking` are the inputs in which None is a missing value; ValueError for None in another.
    """

    lacking: tuple[str, ...] = ()

    def __init__(self, *args: Any, keep_in_memory: bool = True, **options: Any) -> None:
        super().__init__(*args, keep_in_memory=keep_in_memory, **options)

    def _build_data_dir(self) -> str:
        return "" if self.keep_in_memory else super()._build_data_dir()

    def add_batch(self, **inputs: Any) -> None:
        """As of `evaluate`, which writes into this docstring."""
        for name in set(inputs) - set(self.lacking):
            values = () if inputs[name] is None else inputs[name]
            if (place := next((i for i, value in enumerate(values) if value is None), None)) is not None:
                raise ValueError(f"{name}: the value at place {place} is None. Leave such rows out.")
        super().add_batch(**inputs)

    def _enforce_nested_string_type(self, schema: Any, obj: Any) -> None:
        """`evaluate` looks at the first value only, and takes None everywhere but there."""
        if obj is not None:
            super()._enforce_nested_string_type(schema, obj)


class _Measurement(InMemory, evaluate.Measurement):
    feature: Any = datasets.Value("string")

    def _info(self) -> evaluate.MeasurementInfo:
        return evaluate.MeasurementInfo(
            description=self.__doc__ or "",
            citation="",
            inputs_description=f"\n{self._compute.__doc__}",
            features=datasets.Features({"data": self.feature}),
        )


class Vocabulary(_Measurement):
    """Number of different tokens (AttrPrompt, Yu et al. 2023)."""

    def _compute(self, data: list[str], labels: list[str] | None = None) -> Found:
        """data: texts; labels: of the texts, for the mean over classes."""
        return told("vocabulary", diversity.vocabulary_size(data, labels))


class DistinctN(_Measurement):
    """Different n-grams over all n-grams (Li et al. 2016); higher is more varied."""

    def _compute(self, data: list[str], n: int = 2) -> Found:
        """data: texts; n: length of the n-grams."""
        return told(f"distinct_{n}", diversity.distinct_n(data, n))


class NgramFrequency(_Measurement):
    """How often n-grams repeat across samples (INGF of AttrPrompt, Yu et al. 2023); higher is less varied."""

    def _compute(self, data: list[str], n: int = 2) -> Found:
        """data: texts; n: length of the n-grams."""
        return told(f"ngram_frequency_{n}", diversity.ngram_frequency(data, n))


class SelfBLEU(_Measurement):
    """Mean BLEU of each text against the others (Zhu et al. 2018); higher is less varied."""

    def _compute(self, data: list[str], n: int = 4, sample: int = 1000, seed: int = 0) -> Found:
        """data: texts; n: highest order; sample: texts that are scored, drawn with this seed."""
        return told("self_bleu", diversity.self_bleu(data, n, sample, seed))


class LengthDivergence(_Measurement):
    """Jensen-Shannon divergence of lengths in tokens from those of real texts, in bits."""

    def _compute(self, data: list[str], real: list[str]) -> Found:
        """data, real: texts."""
        return told("length_divergence", diversity.length_divergence(data, real))


class LabelDivergence(_Measurement):
    """Jensen-Shannon divergence of labels from those of real rows, in bits."""

    def _compute(self, data: list[str], real: list[str]) -> Found:
        """data, real: labels."""
        return told("label_divergence", diversity.label_divergence(data, real))


class WholeCopies(_Measurement):
    """Share of the texts that are a source text."""

    def _compute(self, data: list[str], sources: list[str]) -> Found:
        """data: texts; sources: seeds or test rows."""
        return told("whole_copies", privacy.whole_copies(data, sources))


class VerbatimOverlap(_Measurement):
    """Share of the texts that have n tokens in a row in common with a source text."""

    def _compute(self, data: list[str], sources: list[str], n: int = 8) -> Found:
        """data: texts; sources: seeds or test rows; n: tokens in a row."""
        return told("verbatim_overlap", privacy.verbatim_overlap(data, sources, n))


class _OfVectors(_Measurement):
    """A measurement whose data are vectors of unit length, shape (n, d)."""

    feature = datasets.Sequence(datasets.Value("float32"))


class AveragePairwiseSimilarity(_OfVectors):
    """Mean cosine similarity of all pairs of vectors (Yu et al. 2023); higher is less varied."""

    def _compute(self, data: Vectors, labels: list[str] | None = None) -> Found:
        """data: vectors; labels: of the vectors, for pairs of one class."""
        return told("average_pairwise_similarity", similarity.pairwise_similarity(_matrix(data), labels))


class CentroidDistance(_OfVectors):
    """Mean distance to the centroid; higher is more varied."""

    def _compute(self, data: Vectors) -> Found:
        """data: vectors."""
        return told("centroid_distance", similarity.centroid_distance(_matrix(data)))


class RemoteClique(_OfVectors):
    """Mean of each vector's mean distance to the others (Cox et al. 2021); higher is more varied."""

    def _compute(self, data: Vectors, seed: int = 0) -> Found:
        """data: vectors; seed: of the draw from more than 2,000."""
        return told("remote_clique", similarity.remote_clique(_matrix(data), seed))


class VendiScore(_OfVectors):
    """How many vectors with nothing in common would be as varied (Friedman & Dieng 2023)."""

    def _compute(self, data: Vectors) -> Found:
        """data: vectors."""
        return told("vendi_score", similarity.vendi_score(_matrix(data)))


class ChamferDistance(_OfVectors):
    """Mean distance to the nearest vector of the other set, from either side (Barrow et al. 1977)."""

    def _compute(self, data: Vectors, real: Vectors, seed: int = 0) -> Found:
        """data, real: vectors; seed: of the draw from more than 10^8 pairs."""
        return told("chamfer_distance", similarity.chamfer_distance(_matrix(data), _matrix(real), seed))


class ClusterCoverage(_OfVectors):
    """Share of the real vectors' clusters that a vector hits, and the level that is expected by chance."""

    def _compute(self, data: Vectors, real: Vectors, k: int = 50, seed: int = 0) -> Found:
        """data, real: vectors; k: clusters; seed: of k-means."""
        found, chance = similarity.cluster_coverage(_matrix(data), _matrix(real), k, seed)
        return {**told("cluster_coverage", found), "expected": chance.value}


class Mauve(_OfVectors):
    """Area under the divergence curve of two sets (Pillutla et al. 2021); 1: one distribution."""

    def _compute(self, data: Vectors, real: Vectors, seed: int = 0) -> Found:
        """data, real: vectors; seed: of k-means and of the draw from more than 2,500."""
        return told("mauve", similarity.mauve(_matrix(data), _matrix(real), seed))


class NearestSeedDistance(_OfVectors):
    """Quantile of the distances to the nearest seed; 0 is a copy."""

    def _compute(self, data: Vectors, seeds: Vectors, quantile: float = 0.05, seed: int = 0) -> Found:
        """data, seeds: vectors; quantile: 0.05 is about the closest; seed: of the draw beyond 10^8 pairs."""
        found = privacy.nearest_seed_distance(_matrix(data), _matrix(seeds), quantile, seed)
        return told("nearest_seed_distance", found)


class CloserThanReal(_OfVectors):
    """How often a vector is closer to its nearest seed than a seed is to its nearest other seed."""

    def _compute(self, data: Vectors, seeds: Vectors, seed: int = 0) -> Found:
        """data, seeds: vectors; seed: of the draw beyond 10^8 pairs."""
        return told("closer_than_real", privacy.closer_than_real(_matrix(data), _matrix(seeds), seed))


class MembershipSignal(_OfVectors):
    """How well the distance to the nearest vector tells shown seeds from held-out rows; 0.5: no leak."""

    def _compute(self, data: Vectors, shown: Vectors, held_out: Vectors, seed: int = 0) -> Found:
        """data, shown, held_out: vectors; seed: of the draw beyond 10^8 pairs."""
        found = privacy.membership_signal(_matrix(data), _matrix(shown), _matrix(held_out), seed)
        return told("membership_signal", found)


def told(name: str, measured: Measured) -> Found:
    rest = {"low": measured.low, "high": measured.high, "n": measured.n, "why": measured.why}
    return {name: measured.value, **rest}


def _matrix(vectors: Vectors) -> np.ndarray:
    return np.asarray(vectors, dtype=np.float32)
