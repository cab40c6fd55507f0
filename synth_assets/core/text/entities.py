"""Named entities by patterns: candidates in English text, found without a model."""

from __future__ import annotations

import re
from typing import NamedTuple

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
ENTITIES = re.compile(
    r"(?P<date>\b\d{4}-\d{2}-\d{2}\b"
    rf"|\b(?:\d{{1,2}} )?(?:{MONTHS}) (?:\d{{1,2}}, )?\d{{4}}\b)"
    r"|(?P<number>(?<![\w.])[-$€£]{0,2}(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?%?(?![\w]))"
    r"|(?P<name>\b[A-Z][\w'’-]*(?: (?:of |de |van |von |the )?[A-Z][\w'’-]*)*)"
)


class Entity(NamedTuple):
    """A name, number or date of a text."""

    kind: str  # name, number, date
    text: str
    start: int  # characters from the start of the text


def pattern_entities(text: str) -> list[Entity]:
    """Runs of capitalised words, numbers and dates, in their order: patterns for English, no model.

    A capitalised first word of a sentence counts as a name: this finds candidates, not named entities.
    """
    return [Entity(m.lastgroup or "", m.group(), m.start()) for m in ENTITIES.finditer(text)]
