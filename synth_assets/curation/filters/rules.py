"""Row filters that look at one text: length, repetition, leaked labels, rules of form."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from string import punctuation
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from synth_assets.contracts.filter import Context, RowFilter
from synth_assets.core.text.matching import SECONDS, whole_matches
from synth_assets.core.text.words import count, unspaced, words
from synth_assets.curation.filters.screens import FOLDED, Screened, seen

if TYPE_CHECKING:
    import pandas as pd

TOO_LONG = f"the pattern takes longer than {SECONDS:g} s"
WRITE = "write it so that no part of a text can be matched in several ways, as in (a+)+"
NOT_FOR_TEXT = re.compile(r"\b(?:images?|graphs?|pictures?|files?|maps?|draw|plot|go to)\b", re.IGNORECASE)


class Words(RowFilter):
    """Number of words, as white space cuts them; those of Chinese, Japanese and Thai are parted first."""

    name = "words"
    within = (0, math.inf)
    at_least: float | None = 3
    at_most: float | None = 150

    def value(self, text: str, context: Context) -> float:
        return float(count(text))

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        from synth_assets.curation.likeness.runs import word_counts

        return {self.name: word_counts(rows["text"].tolist()).astype(float).tolist()}


class DistinctWords(RowFilter):
    """Distinct words over all words: a text that repeats itself has a low ratio."""

    name = "distinct_words"
    within = (0, 1)
    better = "higher"
    at_least: float | None = 0.5

    def value(self, text: str, context: Context) -> float | None:
        found = words(text)
        return len(set(found)) / len(found) if found else None

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        from synth_assets.curation.likeness.runs import distinct_words

        return {self.name: distinct_words(rows["text"].tolist())}


class LeakedLabel(Screened):
    """Number of words that name a label: a student would learn the word instead of the task."""

    name = "leaked_label"
    within = (0, math.inf)
    better = "lower"
    of_labels = True
    at_most: float | None = 0

    def screen(self, context: Context) -> str | None:
        names = _names(context)
        if not all(name and name.isascii() for name in names):
            return ""  # every text
        firsts = "|".join(sorted({re.escape(name.partition(" ")[0]) for name in names}))
        return rf"(?i)\b(?:{firsts})\b|{FOLDED}" if names else None

    def value(self, text: str, context: Context) -> float:
        said = " ".join(words(text))
        return float(sum(_times(name, said) for name in _names(context) if name))


def _times(name: str, said: str) -> int:
    """How often a label's name stands among words. One of two signs or more, of a script without spaces, is
    found wherever words are parted."""
    bare = name.replace(" ", "")
    if unspaced(name) and sum(map(str.isalnum, bare)) > 1:
        return said.replace(" ", "").count(bare)
    return len(re.findall(rf"(?<!\S){re.escape(name)}(?!\S)", said))


def _names(context: Context) -> set[str]:
    """The labels and their words, as `words` has them."""
    named = {*context.verbalizers, *context.verbalizers.values()}
    return {" ".join(words(name.replace("_", " "))) for name in named}


class InstructionRules(RowFilter):
    """Number of rules that an instruction breaks (Self-Instruct, Wang 2023).

    It has 4 to 150 words; asks for nothing that a language model cannot do (to draw, to open a file); is not
    "Write a program", which models add to any task; and starts with neither punctuation nor a sign beyond
    ASCII.
    """

    name = "instruction_rules"
    within = (0, 5)
    better = "lower"
    at_most: float | None = 0

    def value(self, text: str, context: Context) -> float:
        return float(len(_broken(text)))

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        """Only what has another length, another start or such a word is looked at in full."""
        from synth_assets.curation.likeness.runs import word_counts

        asks = NOT_FOR_TEXT.pattern.replace("go to", r"go\W+to")
        starts = r"\A[\x00-\x20]*(?:write|[^\x00-\x20A-Za-z0-9])"
        texts = rows["text"].tolist()
        found = [0.0 if 4 <= count <= 150 else None for count in word_counts(texts).tolist()]
        for i, _ in seen(rows["text"], f"(?i){asks}|{starts}|{FOLDED}"):
            found[i] = None
        for i in [i for i, broken in enumerate(found) if broken is None]:
            found[i] = self.value(texts[i], context)
        return {self.name: found}

    def why(self, row: Mapping[str, Any]) -> str:
        return ", ".join(_broken(row["text"]))


def _broken(text: str) -> list[str]:
    """The rules that an instruction breaks, in words."""
    instruction = " ".join(text.split())
    rules = {
        "it does not have 4 to 150 words": not 4 <= count(text) <= 150,
        "it asks for what is no text": NOT_FOR_TEXT.search(instruction) is not None,
        "it starts with 'Write a program'": instruction.lower().startswith("write a program"),
        "it starts with punctuation": instruction.startswith(tuple(punctuation)),
        "it starts with a sign beyond ASCII": not instruction[:1].isascii(),
    }
    return [words for words, breaks in rules.items() if breaks]


class Pattern(RowFilter):
    """1 where the whole text matches `pattern`, a regular expression of Python, else 0: a check of form.
    Unknown where the pattern takes longer than a second on the text."""

    name = "pattern"
    within = (0, 1)
    pattern: str
    """A regular expression of Python."""
    at_least: float | None = 1

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError, MemoryError) as error:
            why = "it is nested too deep" if isinstance(error, RecursionError) else error
            raise ValueError(f"{pattern[:60]!r} is no regular expression: {why}") from None
        return pattern

    def value(self, text: str, context: Context) -> float | None:
        return self._scores([text])[0]

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        return {self.name: self._scores(rows["text"].tolist())}

    def _scores(self, texts: Sequence[str]) -> list[float | None]:
        found = whole_matches(self.pattern, texts)
        return [None if matches is None else float(matches) for matches in found]

    def untold(self, rows: pd.DataFrame) -> str:
        ids = rows["row_id"][rows[self.name].isna()]
        return f"{TOO_LONG} on {len(ids):,} rows, first on {ids.iloc[0]}: {WRITE}" if len(ids) else ""

    def why(self, row: Mapping[str, Any]) -> str:
        return TOO_LONG if row[self.name] is None or row[self.name] != row[self.name] else ""
