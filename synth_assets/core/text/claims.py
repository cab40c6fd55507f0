"""What a text claims of named things, and whether its evidence has them: patterns, no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from synth_assets.core.text.entities import Entity, pattern_entities
from synth_assets.core.text.sentences import END as END_OF_SENTENCE

Split = Callable[[str], Sequence[str]]  # a text -> its parts
END = re.compile(rf"{END_OF_SENTENCE}|\n+")
WORD = re.compile(r"\d+(?:[.,]\d+)*%?|\w+")
ASIDE = re.compile(r"\?\s*$|\b(?:I|[Ww]e|[Yy]ou|[Mm]y|[Oo]ur|[Yy]our|me|us)\b")
YEAR = re.compile(r"1\d{3}|20\d{2}")
OPENERS = frozenset(  # words that often open a sentence, and are no names
    """
    a about after all also although an and another any are as at because before being both but by can could
    despite did do does during each either even every few finally first for from had has have he hence her
    here his how however if in indeed instead into is it its just last later like many meanwhile more
    moreover most much neither next no nor not now of often on once one only or other others over overall
    perhaps second several she should similarly since so some sometimes still such than that the their them
    then there therefore these they third this those though through thus to today together two under unlike
    until up upon was were what when where whether which while who whose why will with within without would
    yes yet
    """.split()  # noqa: SIM905
)


def sentences(text: str) -> list[str]:
    """Sentences by their marks and line ends; titles (Dr.) and initials do not end one."""
    return [s.strip() for s in END.split(text) if s.strip()]


def entities(text: str) -> list[str]:
    """Names, dates, years, sums of money and percentages, as often as they stand in the text.

    As in FactualityPrompt (Lee et al. 2022) plain numbers are left out, and so are sentences that claim
    nothing: questions, and those with a first or second person. A capitalised first word of a sentence is
    a name where the sentence has another entity, unless it is a word that often opens one.
    """
    found = []
    for sentence in sentences(text):
        named = (
            [] if ASIDE.search(sentence) else [e for e in map(_bare, pattern_entities(sentence)) if e.text]
        )
        only_a_first_word = len(named) == 1 and named[0].start == 0 and named[0].kind == "name"
        if not only_a_first_word or " " in named[0].text:
            found += [entity.text for entity in named]
    return found


def _bare(entity: Entity) -> Entity:
    """Without a possessive and without a word that opens the sentence; empty where it claims nothing."""
    kind, text, start = entity
    if kind == "number" and not re.search(r"[$€£%]", text) and not YEAR.fullmatch(text):
        return Entity(kind, "", start)
    if kind == "name":
        text = re.sub(r"['’]s?$", "", text)
        first, _, others = text.partition(" ")
        if start == 0 and first.lower() in OPENERS:
            text, start = others, start + len(first) + 1
    return Entity(kind, text, start)


def absent(text: str, evidence: str, find: Split = entities) -> list[str]:
    """Entities that the evidence lacks. It has one where a sentence of it has all its words: "Marcus Morgan
    Bentley" is there for "Marcus Bentley"."""
    said = [set(_words(sentence)) for sentence in sentences(evidence)]
    return [entity for entity in find(text) if not any(set(_words(entity)) <= words for words in said)]


def _words(text: str) -> list[str]:
    return [re.sub(r"(?<=\d),(?=\d)", "", word) for word in WORD.findall(text.casefold())]
