"""Row filters that hold a text to the other columns of its row: conditions, fields of the answer, turns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from synth_assets.contracts.filter import Context, RowFilter
from synth_assets.core.records import records
from synth_assets.core.text.arithmetic import check_annotations, equations, normalise
from synth_assets.core.text.claims import absent, entities
from synth_assets.core.text.normal_form import normal_form
from synth_assets.core.text.words import runs

NUMERIC = {"int64", "double"}
STOP_WORDS = set(
    """a an the and or but if of to in on at by for from with as is are was were be been am do does did have
    has had i you he she it we they me him her us them my your his its our their this that these those there
    here not no so than then too very can will would should could what which who how when where why
    """.split()  # noqa: SIM905
)
COPIED = ("given prompt", "rewritten prompt", "created prompt")


class Constraint(RowFilter):
    """Base: `check` says of one row its score and, in words, what is wrong with it. Where there is a
    field `of`, that is the column which it reads."""

    types: ClassVar[set[str]] = {"string"}  # that the column `of` may have

    def columns_needed(self) -> dict[str, set[str]]:
        return {self.of: self.types} if hasattr(self, "of") else {}

    def check(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        raise NotImplementedError(f"{type(self).__name__} needs check()")

    def measure(self, rows: Any, context: Context) -> dict[str, list[Any]]:
        return {self.score_column(): [self.check(row)[0] for row in records(rows)]}

    def why(self, row: Mapping[str, Any]) -> str:
        return self.check(row)[1]


class Mentions(Constraint):
    """Share of the words of a condition (several parted by ", ") whose lemma is in the text (TinyStories)."""

    name = "mentions"
    within = (0, 1)
    better = "higher"
    of: str
    """The condition whose words the text has to have."""
    at_least: float | None = 1

    def english(self) -> str:
        return "the endings that a word may have"

    def check(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        if not isinstance(row[self.of], str):
            return None, ""
        there = [lemmas(word) for word in runs(row["text"])]
        asked = [part for part in row[self.of].split(", ") if runs(part)]
        lacks = [part for part in asked if not _stands_in([lemmas(w) for w in runs(part)], there)]
        return _share(asked, lacks), _lacks("word", lacks)


class Spans(Constraint):
    """Share of the strings of a list that stand in the text, letter by letter."""

    name = "spans"
    within = (0, 1)
    better = "higher"
    types: ClassVar[set[str]] = {"list<string>"}
    columns: ClassVar[Mapping[str, str]] = {"spans_found": "double"}  # a field may be called spans
    of: str
    """The field that lists the strings."""
    at_least: float | None = 1

    def check(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        if row[self.of] is None:
            return None, ""
        spans = list(row[self.of])
        lacks = [span for span in spans if not span or span not in row["text"]]
        return _share(spans, lacks), _lacks("span", lacks)


class Evidence(Constraint):
    """1 when the answer stands in the evidence, or in the text, as whole words; else 0.

    Words are cut by either of two rules: SQuAD's, to which a hyphen or an apostrophe is nothing, and that of
    the normal form, to which it ends a word ("England" in "England's", "25" in "25-member").
    """

    name = "evidence"
    within = (0, 1)
    better = "higher"
    algorithm = "evidence/2"
    columns: ClassVar[Mapping[str, str]] = {"evidence_found": "double"}  # a field may be called evidence
    answer: str = "answer"
    """The column of the answer."""
    of: str = "text"
    """The column of the evidence."""
    at_least: float | None = 1

    def columns_needed(self) -> dict[str, set[str]]:
        return {name: {"string"} for name in (self.answer, self.of)}

    def check(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        if not isinstance(row[self.answer], str):
            return None, ""
        places = [row[name] for name in (self.of, "text") if isinstance(row[name], str)]
        for form in (normalise, lambda text: normalise(normal_form(text))):
            answer = form(row[self.answer])
            if answer and any(f" {answer} " in f" {form(place)} " for place in places):
                return 1.0, ""
        return 0.0, f"the answer {row[self.answer]!r} is not in {self.of}"


class Grounded(Constraint):
    """Share of the names, dates and amounts of the text that its evidence has; 1 where it names nothing (one
    less the named-entity error of FactualityPrompt, Lee et al. 2022)."""

    name = "grounded"
    within = (0, 1)
    better = "higher"
    of: str
    """The column of the evidence: a passage, triples."""
    at_least: float | None = 1

    def english(self) -> str:
        return "names by their capitals, and months"

    def check(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        if not isinstance(row[self.of], str):
            return None, ""
        lacks = absent(row["text"], row[self.of])
        return _share(entities(row["text"]), lacks), f"{self.of} does not have {', '.join(lacks)}"


class Alternation(Constraint):
    """1 when a dialogue has whole pairs of turns, none empty, and no role repeats its former turn; else 0."""

    name = "alternation"
    within = (0, 1)
    better = "higher"
    types: ClassVar[set[str]] = {"list<string>"}
    of: str = "turns"
    """The field that lists the turns."""
    at_least: float | None = 1

    def check(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        if row[self.of] is None:
            return None, ""
        turns = [normal_form(turn or "") for turn in row[self.of]]
        repeats = [n for n, (old, new) in enumerate(zip(turns, turns[2:], strict=False), 3) if old == new]
        if not turns or len(turns) % 2:
            return 0.0, f"{len(turns)} turns are not pairs of user and assistant"
        if "" in turns:
            return 0.0, f"turn {turns.index('') + 1} is empty"
        return (0.0, f"turn {repeats[0]} repeats turn {repeats[0] - 2}") if repeats else (1.0, "")


class OfField(Constraint):
    """The value of a numeric field of the answer (AlpaGasus keeps what is rated high enough)."""

    name = "field"
    types = NUMERIC
    of: str
    """The numeric field."""

    def check(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        value = row[self.of]
        return (None, "") if value is None or value != value else (float(value), f"{self.of} is {value:g}")


class GenerationLogprob(Constraint):
    """Mean log-probability of the tokens of the row's text under the model that wrote it: SuperGen (Meng et
    al. 2022) keeps the best of each label. The step that makes the text needs `logprobs: true`."""

    name = "generation_logprob"
    within = (-math.inf, 0)

    def columns_needed(self) -> dict[str, set[str]]:
        return {"logprob": NUMERIC}

    def check(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        value = row["logprob"]
        return (None, "") if value is None or value != value else (float(value), "")


class Ranges(Constraint):
    """Share of the numeric fields of the answer that lie between their bounds (rows of a table, CLLM)."""

    name = "ranges"
    within = (0, 1)
    better = "higher"
    of: dict[str, tuple[float, float]]
    """Numeric field -> its bounds."""
    at_least: float | None = 1

    def columns_needed(self) -> dict[str, set[str]]:
        return dict.fromkeys(self.of, NUMERIC)

    def check(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        if any(row[name] is None or row[name] != row[name] for name in self.of):
            return None, ""
        out = [f"{name} is {row[name]:g}" for name, (a, b) in self.of.items() if not a <= row[name] <= b]
        return _share(list(self.of), out), ", ".join(out)


class Arithmetic(Constraint):
    """Share of `<<48/2=24>>` and `48 / 2 = 24` in the text that are right; 1 where there is none."""

    name = "arithmetic"
    within = (0, 1)
    better = "higher"
    at_least: float | None = 1

    def check(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        found = [a for a in [*check_annotations(row["text"]), *equations(row["text"])] if a.right is not None]
        wrong = [f"{a.expression.strip()} is not {a.claimed.strip()}" for a in found if not a.right]
        return _share(found, wrong), "; ".join(wrong)


class Eliminator(Constraint):
    """1 when an evolved instruction passes the rules of Evol-Instruct (Xu 2023), else 0."""

    name = "eliminator"
    within = (0, 1)
    better = "higher"
    of: str
    """The column of the instruction that was evolved."""
    at_least: float | None = 1

    def english(self) -> str:
        return "its words"

    def check(self, row: Mapping[str, Any]) -> tuple[float | None, str]:
        text = row["text"]
        lower = text.lower()
        rules = {
            "says sorry in under 80 words": "sorry" in lower and len(text.split()) < 80,
            "has only stop words and punctuation": set(runs(text)) <= STOP_WORDS,
            **{f"copies the words {words!r} of its prompt": words in lower for words in COPIED},
            f"is the same as {self.of}": normal_form(text) == normal_form(str(row[self.of] or "")),
        }
        broken = [why for why, breaks in rules.items() if breaks]
        return float(not broken), "; ".join(broken)


def lemmas(word: str) -> set[str]:
    """Base forms that an English word may have by its ending: `hopping` may be hop, hopp or hoppe."""
    found = {word}
    for ending, bases in {"ies": "y", "es": "", "s": "", "ied": "y", "ed": "", "ing": ""}.items():
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < 2 or (ending == "s" and stem.endswith("s")):
            continue
        found.add(stem + bases)
        if ending in ("ed", "ing"):
            found.add(stem + "e")
            if stem[-1] == stem[-2]:
                found.add(stem[:-1])
    return found


def _stands_in(words: list[set[str]], text: list[set[str]]) -> bool:
    starts = range(len(text) - len(words) + 1)
    return any(all(a & b for a, b in zip(words, text[i : i + len(words)], strict=True)) for i in starts)


def _share(all_of_them: list[Any], bad: list[Any]) -> float:
    return 1 - len(bad) / len(all_of_them) if all_of_them else 1.0


def _lacks(what: str, missing: list[str]) -> str:
    return f"lacks the {what}{'s' * (len(missing) > 1)} " + ", ".join(map(repr, missing)) if missing else ""
