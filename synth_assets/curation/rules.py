"""Row filters that look at one text: length, repetition, refusals, leaked labels, language, copies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from string import punctuation
from typing import TYPE_CHECKING, Any

from synth_assets.curation.base import Context, RowFilter
from synth_assets.curation.duplicates import ngram_overlap

if TYPE_CHECKING:
    import pandas as pd
    from py3langid.langid import LanguageIdentifier

WORD = re.compile(r"\w+(?:['’]\w+)*")
REFUSAL = re.compile(
    r"\b(?:as an ai\b|(?:an|a large) (?:ai )?language model|i(?:'m| am) (?:sorry|unable|not able)\b"
    r"|i apologi[sz]e|i (?:cannot|can't|can not|won't) (?:help|assist|provide|fulfil|generate|comply|create)"
    r"|here (?:is|are) (?:a|an|the|some|another) [\w -]*(?:review|sentence|example|list|text|question))",
    re.IGNORECASE,
)
NOT_FOR_TEXT = re.compile(r"\b(?:images?|graphs?|pictures?|files?|maps?|draw|plot|go to)\b", re.IGNORECASE)


def words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


class Words(RowFilter):
    """Number of words (as white space cuts them)."""

    name = "words"
    at_least: float | None = 3
    at_most: float | None = 150

    def value(self, text: str, context: Context) -> float:
        return float(len(text.split()))


class DistinctWords(RowFilter):
    """Distinct words over all words: a text that repeats itself has a low ratio."""

    name = "distinct_words"
    at_least: float | None = 0.5

    def value(self, text: str, context: Context) -> float | None:
        found = words(text)
        return len(set(found)) / len(found) if found else None


class Refusal(RowFilter):
    """Number of phrases in which an assistant refuses, or announces its answer (AttrPrompt, Yu 2023)."""

    name = "refusal"
    at_most: float | None = 0

    def value(self, text: str, context: Context) -> float:
        return float(len(REFUSAL.findall(text)))


class LeakedLabel(RowFilter):
    """Number of words that name a label: a student would learn the word instead of the task."""

    name = "leaked_label"
    at_most: float | None = 0

    def value(self, text: str, context: Context) -> float:
        names = {*context.verbalizers, *context.verbalizers.values()}
        padded = f" {' '.join(words(text))} "
        return float(sum(padded.count(f" {' '.join(words(n.replace('_', ' ')))} ") for n in names))


class InstructionRules(RowFilter):
    """Number of rules that an instruction breaks (Self-Instruct, Wang 2023).

    It has 4 to 150 words; asks for nothing that a language model cannot do (to draw, to open a file); is not
    "Write a program", which models add to any task; and starts with neither punctuation nor a sign beyond
    ASCII.
    """

    name = "instruction_rules"
    at_most: float | None = 0

    def value(self, text: str, context: Context) -> float:
        return float(len(_broken(text)))

    def why(self, row: Mapping[str, Any]) -> str:
        return ", ".join(_broken(row["text"]))


def _broken(text: str) -> list[str]:
    """The rules that an instruction breaks, in words."""
    instruction = " ".join(text.split())
    rules = {
        "it does not have 4 to 150 words": not 4 <= len(text.split()) <= 150,
        "it asks for what is no text": NOT_FOR_TEXT.search(instruction) is not None,
        "it starts with 'Write a program'": instruction.lower().startswith("write a program"),
        "it starts with punctuation": instruction.startswith(tuple(punctuation)),
        "it starts with a sign beyond ASCII": not instruction[:1].isascii(),
    }
    return [words for words, breaks in rules.items() if breaks]


class Language(RowFilter):
    """Probability that the text is in `language`, an ISO 639-1 code (langid, Lui and Baldwin 2012)."""

    name = "language"
    language: str = "en"
    at_least: float | None = 0.1  # short English reviews often score below .5

    def value(self, text: str, context: Context) -> float:
        ranked = dict(_languages().rank(text))
        return float(ranked.get(self.language, 0.0))


@cache
def _languages() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class CopiedNgram(RowFilter):
    """Share of the text's word n-grams that stand in a demonstration."""

    name = "copied_ngram"
    n: int = 6
    at_most: float | None = 0

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        return {self.name: ngram_overlap(list(rows["text"]), context.demonstrations, self.n)}


class CopiedMeaning(RowFilter):
    """Highest cosine between the text and a demonstration."""

    name = "copied_meaning"
    at_most: float | None = 0.9

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        if context.encode is None or not context.demonstrations or rows.empty:
            return {self.name: [None] * len(rows)}
        near = context.encode(list(rows["text"])) @ context.encode(list(context.demonstrations)).T
        return {self.name: [float(v) for v in near.max(axis=1)]}
