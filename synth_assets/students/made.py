"""Students as a recipe asks for them: how texts become features, and what is fitted to those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.students.classifier import Student

if TYPE_CHECKING:
    import numpy as np

    from synth_assets.core.asking import Encode


New = Callable[[Sequence[str]], Any]  # labels -> a student of them, to be fitted


@dataclass(frozen=True)
class Made:
    """`new(labels).fit(features(texts), labels, weights).predict_proba(features(texts))`: (n, K) in the order
    of the sorted labels. Features are an array of n rows: vectors, or the texts themselves."""

    features: Callable[[Sequence[str]], np.ndarray]
    new: New
    soft: bool = False  # it learns the probabilities of a row's labels, where they are known
    of_vectors: New | None = None  # where features are texts of which terms are made: the student of those


def build(spec: Any, encode: Encode, folder: Callable[[], Path]) -> Made:
    """What a recipe says of its student (recipe/measuring.py). `folder` has the encoder's weights, which a
    transformer starts from."""
    from synth_assets.students import boosting, softmax, tfidf

    if spec.by == "transformer":
        return Made(texts_alone, partial(_tuned, folder, spec.smoothing), spec.soft)
    models: dict[str, New] = {
        "logistic": Student,
        "softmax": partial(softmax.SoftmaxRegression, smoothing=spec.smoothing, ensembling=spec.ensembling),
        "boosting": boosting.Boosting,
    }
    model = models[spec.by]
    if spec.features == "tfidf":
        return Made(texts_alone, lambda labels: tfidf.Tfidf(model(labels)), spec.soft, model)
    return Made(encode, model, spec.soft)


def _tuned(folder: Callable[[], Path], smoothing: float, labels: Sequence[str]) -> Any:
    from synth_assets.students.transformer import Transformer

    return Transformer(labels, folder(), smoothing)


def texts_alone(texts: Sequence[str]) -> np.ndarray:
    """(n,) of texts."""
    import numpy as np

    return np.array(list(texts), dtype=object)
