"""The language of a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from synth_assets.contracts.filter import Context, RowFilter
from synth_assets.contracts.section import one_of

if TYPE_CHECKING:
    import pandas as pd
    from py3langid.langid import LanguageIdentifier

MANY = 5_000  # texts from which on a compiled loop is quicker, with its compilation (once, 3 s) and loading


def spoken(texts: Sequence[str]) -> str:
    """The ISO 639-1 code of the language that most of the texts are in; empty where none is in most."""
    codes = Counter(_identifier().classify(text)[0] for text in texts)
    ((code, count),) = codes.most_common(1) or [("", 0)]
    return code if 2 * count > len(texts) else ""


class Language(RowFilter):
    """Probability that the text is in `language`, an ISO 639-1 code (langid, Lui and Baldwin 2012)."""

    name = "language"
    within = (0, 1)
    better = "higher"
    language: str = "en"
    """ISO 639-1 code."""
    at_least: float | None = 0.1  # short English reviews often score below .5

    @field_validator("language")
    @classmethod
    def _known(cls, language: str) -> str:
        one_of("language", language, _identifier().nb_classes)
        return language

    def value(self, text: str, context: Context) -> float:
        ranked = dict(_identifier().rank(text))
        return float(ranked.get(self.language, 0.0))

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        if len(rows) < MANY:
            return super().measure(rows, context)
        from synth_assets.curation.filters import naive_bayes

        return {self.name: naive_bayes.of_language(rows["text"], self.language, _identifier()).tolist()}


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
