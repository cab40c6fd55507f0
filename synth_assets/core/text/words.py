"""How the whole project cuts a text into words.

A word is a run of letters, digits and the marks that are written over, under or after a letter (the vowels of
Hindi, Tamil, Thai). Chinese, Japanese and Thai put no space between words: `budoux` parts them, by a model of
each. Lao, Khmer and Burmese, of which it has none, are parted into signs with their marks. Text that has
neither such marks nor such scripts is cut as Python's `\\w` does.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import groupby
from typing import Any

KANA = "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
THAI = "\u0e01-\u0e4e"
UNSPACED = rf"{KANA}{HAN}{THAI}\u0e81-\u0ede\u1000-\u109d\u1780-\u17d3"
WORD = "S+(?:['’]S+)*"  # S is a sign of a word, M a mark: see _pattern
ELSE = r"|[^\w\sM]"  # or a sign that is in no word
RUN = "S+"
_LATIN = re.compile("[a-z0-9]+")  # what the package rouge_score takes for a word
_OTHER = re.compile("[^\\W\\d_\u0000-\u024f\u1e00-\u1eff]")  # a letter that is not Latin
_MAYBE = re.compile("[\u0300-\u1dff\u3000-\U0003ffff]")  # quicker than the next one, and lets emoji through
_KANA = re.compile(f"[{KANA}]")
_KIND = re.compile(f"(?P<ja>[{KANA}])|(?P<zh>[{HAN}])|(?P<th>[{THAI}])")


def special(text: str) -> bool:
    """Whether the text has marks of letters, or a script without spaces."""
    if text.isascii() or not _MAYBE.search(text):
        return False
    return _pattern(f"[M{UNSPACED}]").search(text) is not None


def unspaced(text: str) -> bool:
    """Whether it is written in a script without spaces, in part or as a whole."""
    return special(text) and _pattern(f"[{UNSPACED}]").search(text) is not None


def parted(text: str) -> str:
    """The text with a space between the words of scripts that put none, and with no mark outside a word. A
    text that has neither is the same."""
    if not special(text):
        return text
    bare = _pattern(r"(?<!S)[M]+|(?<=[M])[\u200c\u200d]").sub("", text)  # marks of nothing, and joiners
    japanese = _KANA.search(bare) is not None
    return _pattern(f"[{UNSPACED}][{UNSPACED}M]*").sub(lambda run: _spaced(run, japanese), bare)


def words(text: str) -> list[str]:
    """The words of a text, their case folded; an apostrophe inside one is part of it."""
    return _found(WORD, text.casefold())


def tokens(text: str, form: str = WORD) -> list[str]:
    """The words in lower case, an apostrophe inside one a part of it (`RUN`: not), and each sign in none."""
    return _found(form + ELSE, text.lower())


def runs(text: str) -> list[str]:
    """The words, their case folded, cut at apostrophes too."""
    return _found(RUN, text.casefold())


def rouge_words(text: str) -> list[str]:
    """The words that ROUGE compares: of Latin text runs of a-z and 0-9 in lower case, as the package
    `rouge_score` has them without its stemmer; where most letters are of other scripts, all words."""
    lower = text.lower()
    if text.isascii() or 2 * len(_OTHER.findall(text)) <= sum(map(str.isalpha, text)):
        return _LATIN.findall(lower)
    return _found(RUN, lower)


def count(text: str) -> int:
    """How many words white space parts, and whatever parts those of a script without spaces."""
    return len((text if text.isascii() else parted(text)).split())


def of_word(sign: str) -> bool:
    """Whether a sign may stand in a word."""
    return _pattern("S").fullmatch(sign) is not None


def _found(form: str, text: str) -> list[str]:
    if special(text):
        return _pattern(form).findall(parted(text))
    return _plain(form).findall(text)


@cache
def _plain(form: str) -> re.Pattern[str]:
    """The pattern for text without marks: twice as quick."""
    return re.compile(form.replace("S", r"\w").replace("M", ""))


@cache
def _pattern(form: str) -> re.Pattern[str]:
    """The pattern, with all combining marks, as ranges of a class, for M; and with [\\wM] for S. Those of
    emoji are in no word."""
    of_emoji = {*range(0x20D0, 0x2100), *range(0xFE00, 0xFE10)}
    codes = [c for c in range(0x300, 0x20000) if unicodedata.category(chr(c))[0] == "M" and c not in of_emoji]
    runs = ([c for _, c in run] for _, run in groupby(enumerate(codes), lambda pair: pair[1] - pair[0]))
    marks = "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)
    return re.compile(form.replace("S", r"[\wM]").replace("M", marks))


def _spaced(run: re.Match[str], japanese: bool) -> str:
    """A run of signs without spaces, parted, and held apart from what stands beside it. Signs that follow,
    as a full stop, stay with the last word, and those that open, as a quote, with the first."""
    before, after = run.string[: run.start()][-1:], run.string[run.end() :][:1]
    opens = not before or before.isspace() or unicodedata.category(before) in ("Ps", "Pi")
    joins = after.isalnum() or after == "_"
    return f"{'' if opens else ' '}{' '.join(_cut(run[0], japanese))}{' ' if joins else ''}"


def _cut(run: str, japanese: bool) -> list[str]:
    kind = _KIND.match(run)
    if kind is None:  # a sign with its marks, and in Khmer and Burmese what is stacked under it
        return _pattern("\\w[M]*(?:(?<=[\u17d2\u1039])\\w[M]*)*").findall(run)
    language = "ja" if kind.lastgroup == "zh" and japanese else str(kind.lastgroup)
    if language == "zh" and not _in("gb2312", run) and _in("big5", run):
        language = "zh, traditional"
    return _parser(language).parse(run)


def _in(signs: str, text: str) -> bool:
    """Whether a set of signs has all of the text."""
    try:
        return bool(text.encode(signs))
    except UnicodeEncodeError:
        return False


@cache
def _parser(language: str) -> Any:
    import budoux

    by_language = {
        "ja": budoux.load_default_japanese_parser,
        "th": budoux.load_default_thai_parser,
        "zh": budoux.load_default_simplified_chinese_parser,
        "zh, traditional": budoux.load_default_traditional_chinese_parser,
    }
    return by_language[language]()
