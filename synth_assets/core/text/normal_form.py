"""The normal form of a text: what two copies of it have in common."""

from __future__ import annotations

import unicodedata

UNSPACED = (
    (0x0E01, 0x0E4E),
    (0x0E81, 0x0EDE),
    (0x1000, 0x109D),
    (0x1780, 0x17D3),
)  # Thai, Lao, Burmese, Khmer


class _WordsOnly(dict[int, str]):
    """A table for `str.translate` that fills itself: letters, marks and digits stay, others part words."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Cf":  # invisible: soft hyphens, joiners, zero-width spaces
            self[code] = ""
        elif category[0] not in "LMN":
            self[code] = " "
        elif 0x3040 <= code <= 0x9FFF or code >= 0x20000:  # Chinese, Japanese: each sign is a word, for there
            self[code] = f" {character} "  # are no spaces; nor in Thai and its neighbours, where marks follow
        elif category[0] != "M" and any(first <= code <= last for first, last in UNSPACED):
            self[code] = f" {character}"
        else:
            self[code] = character
        return self[code]


_words_only = _WordsOnly()


def normal_form(text: str) -> str:
    """What two copies of a text have in common: NFKC, case folded, words only, one space between them.

    A text without any word (only signs or emoji) keeps its signs, or all such texts would be copies.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.translate(_words_only).split()) or " ".join(folded.split())


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """The word n-grams of a text's normal form; of a shorter text, the whole text as one. The filter of
    contamination and the check of it both cut texts here: what one lets pass, the other does."""
    words = normal_form(text).split(" ")
    return [tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))]
