"""Documents as text: Markdown, HTML, PDF; any other file is plain text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from synth_assets.core.errors import UserError
from synth_assets.core.text.utf8 import clean

FRONT_MATTER = re.compile(r"\A---\n.*?^---\s*$", re.MULTILINE | re.DOTALL)
CHARSET = re.compile(rb"charset=[\"']?([\w-]+)", re.IGNORECASE)
HYPHEN = re.compile(r"(?<=[a-z])-\n(?=[a-z])")  # of a word that a line's end parts
LEVELS = {f"h{level}": level for level in range(1, 7)}
HIDDEN = frozenset(["script", "style", "template", "noscript", "title", "nav"])
BLOCKS = frozenset(
    [
        *(
            "address",
            "article",
            "aside",
            "blockquote",
            "body",
            "dd",
            "details",
            "div",
            "dl",
            "dt",
            "fieldset",
        ),
        *(
            "figcaption",
            "figure",
            "footer",
            "form",
            "header",
            "hr",
            "li",
            "main",
            "ol",
            "p",
            "pre",
            "section",
        ),
        *("summary", "table", "tr", "ul", *LEVELS),
    ]
)
LEAVE_OUT = "or write a glob that leaves it out"


class Heading(NamedTuple):
    """Where it stands, in characters from the start of the text."""

    start: int
    end: int
    level: int
    title: str


@dataclass(frozen=True)
class Document:
    """The text of a file, with what says where one is in it."""

    text: str
    headings: Sequence[Heading] = ()
    pages: Sequence[int] = ()  # where each begins


def read_document(path: Path) -> Document:
    """The text of a file by its suffix, with `\\n` at the ends of lines. UserError for what is not text."""
    try:
        if path.suffix.lower() == ".pdf":
            return _pdf(path)
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    if b"\0" in content:
        why = f"{path} is no text: documents are Markdown, HTML, PDF and plain text"
        raise UserError(f"{why}. Save it as one of them, {LEAVE_OUT}, as in manual/**/*.md.")
    if path.suffix.lower() in (".html", ".htm", ".xhtml"):
        charset = CHARSET.search(content[:1024])
        return _html(_decoded(path, content, charset[1].decode() if charset else "utf-8-sig"))
    text = _decoded(path, content, "utf-8-sig")
    return _markdown(text) if path.suffix.lower() in (".md", ".markdown") else Document(text)


def _decoded(path: Path, content: bytes, charset: str) -> str:
    name = charset.upper().removesuffix("-SIG")
    try:
        return content.decode(charset).replace("\r\n", "\n").replace("\r", "\n")
    except LookupError as error:
        raise UserError(f"{path}: unknown charset {name}: save the file as UTF-8, {LEAVE_OUT}.") from error
    except UnicodeDecodeError as error:
        why = f"{path}: not {name} at byte {error.start}"
        raise UserError(f"{why}: save the file as UTF-8, {LEAVE_OUT}.") from error


def _markdown(text: str) -> Document:
    """Its headings by CommonMark's rules: none in a block of code. Front matter is blanked."""
    from markdown_it import MarkdownIt

    text = FRONT_MATTER.sub(lambda found: re.sub(r"\S", " ", found[0]), text)
    starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    tokens = MarkdownIt("commonmark").disable("inline").parse(text)
    return Document(
        text,
        [
            Heading(starts[token.map[0]], min(starts[token.map[1]], len(text)), int(token.tag[1]), of.content)
            for token, of in pairwise(tokens)
            if token.type == "heading_open" and token.level == 0 and token.map
        ],
    )


def _html(text: str) -> Document:
    parser = _Blocks()
    parser.feed(text)
    parser.close()
    parser.end()
    starts = [0, *accumulate(len(block) + 2 for _, block in parser.blocks)]
    headings = [
        Heading(start, start + len(block), level, " ".join(block.split()))
        for start, (level, block) in zip(starts, parser.blocks, strict=False)
        if level
    ]
    return Document(clean("\n\n".join(block for _, block in parser.blocks)), headings)


class _Blocks(HTMLParser):
    """The paragraphs of a page, each with its level as a heading, or 0."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[tuple[int, str]] = []
        self._now = ""
        self._hidden = self._as_it_is = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in HIDDEN
        if tag in BLOCKS:
            self.end()
        elif tag == "br":
            self._now += "\n"
        elif tag in ("td", "th") and self._now.strip():
            self._now += " | "
        self._as_it_is += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in HIDDEN))
        self._as_it_is = max(0, self._as_it_is - (tag == "pre"))
        if tag in BLOCKS:
            self.end(LEVELS.get(tag, 0))

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if not self._as_it_is:
            data = re.sub(r"\s+", " ", data)
            data = data.lstrip() if self._now[-1:] in ("", " ", "\n") else data
        self._now += data

    def end(self, level: int = 0) -> None:
        if block := re.sub(r"[ \t]+$", "", self._now, flags=re.MULTILINE).strip():
            self.blocks.append((level, block))
        self._now = ""


def _pdf(path: Path) -> Document:
    try:
        from pypdf import PdfReader
    except ImportError as error:
        raise UserError(f"{path}: PDF files need pypdf: pip install 'synth-assets[pdf]'") from error
    try:
        found = [clean(HYPHEN.sub("", page.extract_text())) for page in PdfReader(path).pages]
    except OSError:
        raise
    except Exception as error:  # damaged files have errors of many kinds
        fix = f"save it anew, without a password, {LEAVE_OUT}."
        raise UserError(f"{path} cannot be read as PDF ({error}): {fix}") from error
    return Document("\n\n".join(found), pages=[0, *accumulate(len(page) + 2 for page in found)][: len(found)])
