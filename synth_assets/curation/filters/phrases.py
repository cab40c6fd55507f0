"""Row filters that look for phrases that do not belong: of assistants, of forms, profane ones."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import field_validator

from synth_assets.contracts.filter import Context
from synth_assets.contracts.section import one_of
from synth_assets.curation.filters.screens import FOLDED, Screened

REFUSAL = re.compile(
    r"\b(?:as an ai\b|(?:an|a large) (?:ai )?language model|i(?:'m| am) (?:sorry|unable|not able)\b"
    r"|i apologi[sz]e|i (?:cannot|can't|can not|won't) (?:help|assist|provide|fulfil|generate|comply|create)"
    r"|here (?:is|are) (?:a|an|the|some|another) [\w -]*(?:review|sentence|example|list|text|question))",
    re.IGNORECASE,
)
# In RE2 and in Python alike, case ignored.
BOILERPLATE = {
    "an opening": r"\A\W*(?:sure|certainly|of course)!"
    r"|\A\W*(?:sure|certainly|absolutely|of course|great)[!,.:] (?:here|let me|i can|i will|i['’](?:d|ll))\b"
    r"|\bhere['’]s (?:an?|the|your|some|another) [^.!?\n]{0,60}"
    r"(?:review|sentence|example|list|text|question)\b",
    "a closing": r"\bi hope (?:this|that|these|it) helps?\b|\blet me know if (?:you|there|this)\b"
    r"|\bfeel free to (?:ask|adjust|adapt|change|customi[sz]e|edit|modify|reach|use)\b",
    "a model's name for itself": r"\bas an? (?:large |ai |artificial |language )+(?:model|assistant"
    r"|intelligence)\b|\bmy (?:knowledge cut-?off|last (?:knowledge )?update|training data)\b",
    "a gap to fill in": r"\[(?:insert|enter|your)\b[^\]\n]{0,40}\]|<(?:insert|enter|your)\b[^<>\n]{0,40}>"
    r"|(?-i:\[(?:(?:First|Last|Full|Company|Product|Movie|Film|Customer|Recipient|Sender)[ '’s]*)*"
    r"(?:Name|Company|Product|Date|City|Location|Address|Title|Author|Director|Actor|Movie|Film|Phone|Email)"
    r"(?: [^\]\n]{0,40})?\])|\{\{[^{}\n]{1,40}\}\}",
    "filler": r"\blorem ipsum\b",
}
UNSPACED = ("chinese", "japanese", "korean", "thai")  # languages that do not part their words by spaces


class Phrases(Screened):
    """Base of those that count phrases of assistants: in English, and in `language` besides."""

    newer = (*Screened.newer, "language")
    language: str = "en"
    """ISO 639-1 code of a list: English ones are found beside those of any other."""

    @field_validator("language")
    @classmethod
    def _listed(cls, language: str) -> str:
        one_of("language of phrases", language, ["en", *_lists()])
        return language

    def english(self) -> str:
        return f"its phrases; `language:` has {', '.join(_lists())}" if self.language == "en" else ""


class Refusal(Phrases):
    """Number of phrases in which an assistant refuses, or announces its answer (AttrPrompt, Yu 2023)."""

    name = "refusal"
    within = (0, math.inf)
    better = "lower"
    at_most: float | None = 0

    def screen(self, context: Context) -> str:
        english = REFUSAL.pattern.replace(r"[\w -]", "[^.]")  # RE2's \w is ASCII's
        return f"(?i){'|'.join([english, *in_language(self.language, 'refusal')])}|{FOLDED}"

    def value(self, text: str, context: Context) -> float:
        found = [REFUSAL.pattern, *in_language(self.language, "refusal")]
        return float(sum(len(re.findall(pattern, text, re.IGNORECASE)) for pattern in found))


class Boilerplate(Phrases):
    """Number of phrases that belong to a chat, or to a form that was not filled in, and not to a text.

    Openings, closings and self-descriptions of assistants, as data sets of instructions are cleaned of them
    (Tülu 3, Lambert 2024), and place holders. None of English is in 10,662 real film reviews, 10,000 plots
    and opinions, 5,452 questions and 7,600 news items.
    """

    name = "boilerplate"
    within = (0, math.inf)
    better = "lower"
    at_most: float | None = 0

    def screen(self, context: Context) -> str:
        return f"(?i){'|'.join(pattern for _, pattern in self._patterns())}|{FOLDED}"

    def value(self, text: str, context: Context) -> float:
        return float(len(self._found(text)))

    def why(self, row: Mapping[str, Any]) -> str:
        return ", ".join(f"{kind} ({phrase!r})" for kind, phrase in self._found(row["text"]))

    def _patterns(self) -> list[tuple[str, str]]:
        """Kind and regular expression: the English ones, then those of the language."""
        kinds = {kind: [english, *in_language(self.language, kind)] for kind, english in BOILERPLATE.items()}
        return [(kind, pattern) for kind, patterns in kinds.items() for pattern in patterns]

    def _found(self, text: str) -> list[tuple[str, str]]:
        """What kind of phrase, and the phrase, in the order of the kinds."""
        found = ((kind, re.finditer(pattern, text, re.IGNORECASE)) for kind, pattern in self._patterns())
        return [(kind, match.group().strip()) for kind, matches in found for match in matches]


@cache
def _lists() -> Mapping[str, Mapping[str, str]]:
    """Language -> kind of phrase -> its regular expressions, a line each."""
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def in_language(language: str, kind: str) -> list[str]:
    return _lists()[language].get(kind, "").splitlines() if language != "en" else []


class Profanity(Screened):
    """Number of words and phrases of the list that glin-profanity keeps for `language`.

    The list is wide (LDNOOBW's, and more): 2 in 100 real film reviews have one, "sexy" or "porn" mostly.
    """

    name = "profanity"
    within = (0, math.inf)
    better = "lower"
    language: str = "english"
    """Of the list of words."""
    at_most: float | None = 0

    @field_validator("language")
    @classmethod
    def _listed(cls, language: str) -> str:
        from glin_profanity.data.dictionary import dictionary

        if language not in dictionary.available_languages:
            listed = ", ".join(sorted(dictionary.available_languages))
            raise ValueError(f"there is no list of profane words for {language!r}: take one of {listed}")
        return language

    def english(self) -> str:
        return "its words; `language: german`, for example, has others" if self.language == "english" else ""

    def screen(self, context: Context) -> str:
        listed, edge = _profane_words(self.language), "" if self.language in UNSPACED else r"\b"
        plain = [word for word in listed if re.fullmatch(r"[a-z0-9](?:.*[a-z0-9])?", word)]
        other = [re.escape(word) for word in listed if word not in plain]
        return "|".join([f"(?i){edge}(?:{'|'.join(map(re.escape, plain))}){edge}", *other, FOLDED])

    def value(self, text: str, context: Context) -> float:
        return float(len(_profane(self.language).findall(text.casefold())))

    def why(self, row: Mapping[str, Any]) -> str:
        return ", ".join(sorted(set(_profane(self.language).findall(row["text"].casefold()))))


@cache
def _profane(language: str) -> re.Pattern[str]:
    """Finds the listed words in a text whose case is folded; whole words, where a language parts words."""
    by_first: dict[str, list[str]] = {}
    for word in _profane_words(language):
        by_first.setdefault(word[0], []).append(re.escape(word[1:]))
    either = "|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in by_first.items())
    return re.compile(either if language in UNSPACED else rf"(?<!\w)(?:{either})(?!\w)")


@cache
def _profane_words(language: str) -> list[str]:
    """The longest first: of two that begin alike, the whole phrase is found."""
    from glin_profanity.data.dictionary import dictionary

    return sorted({word.casefold() for word in dictionary.get_words(language)}, key=len, reverse=True)
