"""Students as a recipe asks for them: how texts become features, and what is fitted to those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from synth_assets.students.boosting import Boosting
from synth_assets.students.classifier import Student
from synth_assets.students.softmax import SoftmaxRegression
from synth_assets.students.tfidf import Tfidf
from synth_assets.students.transformer import Transformer

if TYPE_CHECKING:
    import numpy as np

    from synth_assets.core.asking import Encode
    from synth_assets.students.crossfit import Model


class Spec(Protocol):
    """What a recipe says of its student."""

    @property
    def by(self) -> str: ...
    @property
    def features(self) -> str: ...
    @property
    def smoothing(self) -> float: ...
    @property
    def ensembling(self) -> bool: ...
    @property
    def soft(self) -> bool: ...


class Untrained(Protocol):
    def fit(self, features: Any, labels: Any, weights: Any = None) -> Model: ...


New = Callable[[Sequence[str]], Untrained]  # labels -> a student of them


@dataclass(frozen=True)
class Made:
    """`new(labels).fit(features(texts), labels, weights).predict_proba(features(texts))`: (n, K) in the order
    of the sorted labels. Features are an array of n rows: vectors, or the texts themselves."""

    features: Callable[[Sequence[str]], np.ndarray]
    new: New
    soft: bool = False  # it learns the probabilities of a row's labels, where they are known


def build(spec: Spec, encode: Encode, folder: Callable[[], Path]) -> Made:
    """`folder` has the encoder's weights, which a transformer starts from."""
    if spec.by == "transformer":
        return Made(texts_alone, lambda labels: Transformer(labels, folder(), spec.smoothing), spec.soft)
    models: dict[str, New] = {
        "logistic": Student,
        "softmax": partial(SoftmaxRegression, smoothing=spec.smoothing, ensembling=spec.ensembling),
        "boosting": Boosting,
    }
    model = models[spec.by]
    if spec.features == "tfidf":
        return Made(texts_alone, lambda labels: Tfidf(model(labels)), spec.soft)
    return Made(encode, model, spec.soft)


def texts_alone(texts: Sequence[str]) -> np.ndarray:
    """(n,) of texts."""
    import numpy as np

    found = np.empty(len(texts), dtype=object)
    found[:] = list(texts)
    return found
