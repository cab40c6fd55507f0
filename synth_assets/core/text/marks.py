"""Spans of a text: marked in it (`<person>Ann</person> sings.`), as places, and as BIO tags of its tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

MARK = re.compile(r"<(/?)(\w[\w-]*)>")
TAG = re.compile(r"O|[BI]-\S+")
TOKEN = re.compile(r"\w+(?:['’.-]\w+)*|[^\w\s]")


class Span(NamedTuple):
    """What stands in a text from one character to before another."""

    kind: str
    start: int
    end: int


def unmarked(text: str) -> tuple[str, list[Span]]:
    """The text without its marks, and what was marked. ValueError: a mark that does not close or stands in
    another one, or a span of nothing."""
    plain, spans = "", list[Span]()
    opened: tuple[str, int] | None = None
    at = 0
    text = text.strip()
    for mark in MARK.finditer(text):
        plain += text[at : mark.start()]
        at = mark.end()
        closes, kind = bool(mark[1]), mark[2]
        if not closes and opened is None:
            opened = (kind, len(plain))
        elif closes and opened is not None and opened[0] == kind:
            inside = plain[opened[1] :]
            if not inside.strip():
                raise ValueError(f"nothing is marked by {mark[0]}")
            start = opened[1] + len(inside) - len(inside.lstrip())
            spans.append(Span(kind, start, start + len(inside.strip())))
            opened = None
        else:
            where = f"inside <{opened[0]}>" if opened else "which was not opened"
            raise ValueError(f"{mark[0]} stands {where}")
    if opened is not None:
        raise ValueError(f"<{opened[0]}> is not closed")
    plain += text[at:]
    shift = len(plain) - len(plain.lstrip())
    return plain.strip(), [Span(kind, start - shift, end - shift) for kind, start, end in spans]


def marked(text: str, spans: Iterable[Span]) -> str:
    """The text with marks around its spans, none of which overlap."""
    made, at = "", 0
    for kind, start, end in sorted(spans, key=lambda span: span.start):
        made += f"{text[at:start]}<{kind}>{text[start:end]}</{kind}>"
        at = end
    return made + text[at:]


def found(text: str, listed: Iterable[tuple[str, str]]) -> list[Span]:
    """Where spans stand that are listed as (kind, words): each at its first place that no other has, whole
    words before parts of words. ValueError for one that does not stand in the text."""
    spans: list[Span] = []
    for kind, words in listed:
        free = (s for s in _places(text, words) if all(s[1] <= o.start or s[0] >= o.end for o in spans))
        if (place := next(free, None)) is None:
            raise ValueError(f"{words!r} does not stand in the text")
        spans.append(Span(kind, *place))
    return sorted(spans, key=lambda span: span.start)


def _places(text: str, words: str) -> Iterator[tuple[int, int]]:
    if not (words and words.strip()):  # a list may hold nothing
        return
    whole = re.compile(rf"(?<!\w){re.escape(words.strip())}(?!\w)")
    for pattern in (whole, re.compile(re.escape(words.strip()))):
        yield from (match.span() for match in pattern.finditer(text))


def tokens(text: str) -> list[tuple[int, int]]:
    """Where the words and signs of a text stand."""
    return [match.span() for match in TOKEN.finditer(text)]


def tagged(text: str, spans: Sequence[Span]) -> tuple[list[str], list[str]]:
    """Tokens and their BIO tags; a token that a span cuts is one more token on each side of the cut."""
    cuts = sorted({edge for span in spans for edge in (span.start, span.end)})
    parts: list[tuple[int, int]] = []
    for start, end in tokens(text):
        edges = [start, *(cut for cut in cuts if start < cut < end), end]
        parts += pairwise(edges)
    tags = ["O"] * len(parts)
    for kind, start, end in spans:
        inside = [i for i, (first, last) in enumerate(parts) if start <= first and last <= end]
        for i in inside:
            tags[i] = f"{'B' if i == inside[0] else 'I'}-{kind}"
    return [text[first:last] for first, last in parts], tags


def columns(sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[str, list[Any]]:
    """Of sentences (tokens and BIO tags): `text`, the same `marked`, and its `spans` with their `kinds`."""
    rows = [of_tags(words, tags) for words, tags in sentences]
    return {
        "text": [text for text, _ in rows],
        "marked": [marked(text, spans) for text, spans in rows],
        "spans": [[text[s.start : s.end] for s in spans] for text, spans in rows],
        "kinds": [[s.kind for s in spans] for _, spans in rows],
    }


def sentence(tokens: Any, tags: Any, names: Sequence[str] = ()) -> tuple[list[str], list[str]] | None:
    """Tokens and BIO tags of two lists, or their JSON, in which numbers may stand for `names`; None where
    they are none."""
    try:
        words, said = (json.loads(each) if isinstance(each, str) else list(each) for each in (tokens, tags))
        known = dict(enumerate(names))
        named = [known[tag] if known and isinstance(tag, int) else str(tag) for tag in said]
        whole = len(words) == len(named) and all(isinstance(word, str) for word in words)
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return (words, named) if whole and all(map(TAG.fullmatch, named)) else None


def of_tags(words: Sequence[str], tags: Sequence[str]) -> tuple[str, list[Span]]:
    """The text of tokens, a space between two, and the spans of their BIO tags. As in CoNLL's script an `I-`
    that goes on with nothing begins a span."""
    spans: list[Span] = []
    at, opened = 0, ""
    for word, tag in zip(words, tags, strict=True):
        prefix, _, kind = tag.partition("-")
        end = at + len(word)
        if prefix == "I" and kind == opened:
            spans[-1] = spans[-1]._replace(end=end)
        elif prefix in ("B", "I"):
            spans.append(Span(kind, at, end))
        opened = kind if prefix in ("B", "I") else ""
        at = end + 1
    return " ".join(words), spans
