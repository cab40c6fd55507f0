"""Decisions about spans as CoNLL: a token and its BIO tag a line, and above them what else is known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from synth_assets.annotation.exchange import NAMES, Of, Read, made, read_each
from synth_assets.contracts.decision import Decision, text_id
from synth_assets.core.errors import UserError
from synth_assets.core.text import marks

SAID = re.compile(r"#\s*(\w+)\s*=\s?(.*)")


def to_conll(decisions: Iterable[Decision], of: Of) -> str:
    """Those about spans of a text that is still there."""
    parts = []
    for decision in decisions:
        row = of.row(decision.row_id)
        if decision.kind != "spans" or row is None:
            continue
        known = {name: getattr(decision, name) for name in NAMES if name not in ("value", "kind")}
        lines = [
            f"# {name} = {json.dumps(v, ensure_ascii=False)}" for name, v in known.items() if v is not None
        ]
        spans = [marks.Span(kind, start, end) for start, end, kind in decision.value]
        words, tags = marks.tagged(row.texts[0], spans)
        parts.append("\n".join([*lines, *(f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True))]))
    return "\n\n".join(parts) + "\n" * bool(parts)


def of_conll(text: str, of: Of) -> Read:
    """Sentences whose comments say the row (`# row_id = ...`), or whose words are those of one row alone."""
    by_words: dict[str, list[str]] = {}
    for row_id, row in of.rows.items():
        by_words.setdefault(_bare(row.texts[0]), []).append(row_id)

    def items() -> Iterator[tuple[str, Any]]:
        for first, lines in _sentences(text):
            yield f"line {first}", partial(_decision, lines, of, by_words)

    return read_each(items())


def _sentences(text: str) -> Iterator[tuple[int, list[str]]]:
    lines: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip():
            lines.append(line.rstrip("\r"))
        elif lines:
            if any(not part.startswith(("#", "-DOCSTART-")) for part in lines):
                yield number - len(lines), lines
            lines = []


def _bare(text: str) -> str:
    return "".join(text.split())


def _decision(lines: Sequence[str], of: Of, by_words: Mapping[str, list[str]]) -> list[Decision]:
    said: dict[str, Any] = {}
    words, tags = [], []
    for line in lines:
        fields, is_word = line.split(), not line.startswith(("# ", "-DOCSTART-"))
        if is_word and len(fields) > 1 and marks.TAG.fullmatch(fields[-1]):
            words.append(fields[0])
            tags.append(fields[-1])
        elif found := SAID.fullmatch(line):
            said[found[1]] = _json(found[2])
        elif not line.startswith(("#", "-DOCSTART-")):
            raise UserError(f"{line[:60]!r} ends with no tag (O, B-kind, I-kind)")
    if "row_id" not in said:
        rows = by_words.get("".join(words), [])
        if len(rows) != 1:
            raise UserError(f"{len(rows) or 'no'} rows have these words: write `# row_id = ID` above them")
        said["row_id"] = rows[0]
    if (row := of.row(str(said["row_id"]))) is None:
        raise UserError(f"there is no row {str(said['row_id'])[:60]!r}")
    spans = _spans(words, tags, row.texts[0])
    return [made(of, {"text_id": text_id(*row.texts), **said, "kind": "spans", "value": spans})]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _spans(words: Sequence[str], tags: Sequence[str], text: str) -> list[list[Any]]:
    """Where the tagged words stand in the text. UserError where it has other words."""
    places, at = [], 0
    for word in words:
        start = text.find(word, at)
        if start < 0 or text[at:start].strip():
            raise UserError(f"{word!r} does not come next in the text of the row: it is another one")
        places.append((start, at := start + len(word)))
    spans: list[list[Any]] = []
    opened = ""
    for (start, end), tag in zip(places, tags, strict=True):
        prefix, _, kind = tag.partition("-")
        if prefix == "I" and kind == opened:
            spans[-1][1] = end
        elif prefix in ("B", "I"):
            spans.append([start, end, kind])
        opened = kind if prefix in ("B", "I") else ""
    return spans
