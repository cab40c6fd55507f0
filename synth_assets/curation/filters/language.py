"""The language of a text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from synth_assets.contracts.filter import Context, RowFilter
from synth_assets.core.errors import unknown

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from py3langid.langid import LanguageIdentifier

    from synth_assets.curation.filters.naive_bayes import Model

MANY = (
    5_000  # texts from which on a compiled loop is quicker, its compilation (once, 3 s) and loading included
)


class Language(RowFilter):
    """Probability that the text is in `language`, an ISO 639-1 code (langid, Lui and Baldwin 2012)."""

    name = "language"
    language: str = "en"
    at_least: float | None = 0.1  # short English reviews often score below .5

    @field_validator("language")
    @classmethod
    def _known(cls, language: str) -> str:
        if language not in (known := _identifier().nb_classes):
            raise ValueError(str(unknown("language", language, known)))
        return language

    def value(self, text: str, context: Context) -> float:
        ranked = dict(_identifier().rank(text))
        return float(ranked.get(self.language, 0.0))

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        if len(rows) < MANY:
            return super().measure(rows, context)
        return {self.name: probabilities(rows["text"].tolist(), self.language).tolist()}


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def probabilities(texts: Sequence[str], language: str) -> np.ndarray:
    """(texts,) what py3langid's `rank` gives for the language, twenty times as quick and equal to 1e-5.

    Sums are of float32 in both; here each is smaller, so nearer to the exact one.
    """
    import numpy as np

    from synth_assets.curation.filters import naive_bayes

    parts = [_bytes(text) for text in texts]
    ends = np.cumsum([0, *map(len, parts)])
    wanted = np.array([name == language for name in _identifier().nb_classes])
    data = np.frombuffer(b"".join(parts) or b"\0", dtype=np.uint8)
    return naive_bayes.probabilities(data, ends, _model(), wanted)


def _bytes(text: str) -> bytes:
    """What the identifier reads of a text."""
    lower = text.lower() if text.isupper() else text
    normal = lower if lower.isascii() else unicodedata.normalize("NFC", lower)
    return normal.encode("utf-8", "surrogatepass")


@cache
def _model() -> Model:
    """The identifier's. Of a feature's row the mean is taken off: probabilities stay the same, sums stay
    small. In its unit the half floats are whole numbers of 16 bits: half of the memory that floats take, and
    no less exact."""
    import numpy as np

    from synth_assets.curation.filters.naive_bayes import Model

    identifier, unit = _identifier(), 1 / 2048
    likelihood = np.rint(identifier.nb_ptc.astype(np.float32) / unit)
    likelihood -= np.rint(likelihood.mean(axis=1, keepdims=True))
    return Model(
        np.frombuffer(identifier.tk_nextmove, dtype=np.uint32).copy(),  # numpy's memory has large pages
        np.array(identifier.tk_row, dtype=np.int32) << 8,
        np.array(identifier.tk_output, dtype=np.int32),
        likelihood.astype(np.int16),
        (identifier.nb_pc - identifier.nb_pc.mean()) / np.float32(unit),
        unit,
    )
