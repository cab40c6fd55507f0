"""Documents as text: Markdown, HTML, PDF; any other file is plain text."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synth_assets.core.errors import UserError
from synth_assets.core.text.utf8 import clean

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

# fields between two lines, of YAML or TOML; what begins with a rule and goes on as a text is none
FRONT_MATTER = re.compile(
    r"\A(?:---[ \t]*\n(?:[\w\"'][^\n:]*:(?:[ \t][^\n]*)?\n.*?^)?(?:---|\.\.\.)"
    r"|\+\+\+[ \t]*\n(?:[\w\"'\[][^\n]*\n.*?^)?\+\+\+)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
MARKS = {  # of the order of bytes, at the start of a file; the longer ones first
    codecs.BOM_UTF8: "utf-8-sig",
    **dict.fromkeys((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE), "utf-32"),
    **dict.fromkeys((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-16"),
}
CHARSET = re.compile(
    rb"<meta\b[^>]*?\bcharset\s*=\s*[\"']?([\w:.-]+)|\A\s*<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([\w:.-]+)",
    re.IGNORECASE,
)
WEB = {  # what browsers take them for
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "ascii", "us-ascii"), "cp1252"),
    **dict.fromkeys(("utf-16", "utf-16le", "utf-16be", "utf8", "utf-8"), "utf-8-sig"),
}
HYPHEN = re.compile(r"(\w)-\n(\w)")  # perhaps of a word that a line's end parts
LEVELS = {f"h{level}": level for level in range(1, 7)}
HIDDEN = frozenset(["script", "style", "template", "noscript", "title", "nav"])
BLOCKS = frozenset(
    [*LEVELS, "address", "article", "aside", "blockquote", "body", "button", "caption", "center"]
)
BLOCKS |= {"center", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form"}
BLOCKS |= {"header", "hr", "legend", "li", "main", "menu", "ol", "optgroup", "option", "p", "pre", "section"}
BLOCKS |= {"select", "summary", "table", "textarea", "tr", "ul"}
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
    mark = next((name for mark, name in MARKS.items() if content.startswith(mark)), "")
    if b"\0" in content and not mark.startswith(("utf-16", "utf-32")):
        why = f"{path} is no text: documents are Markdown, HTML, PDF and plain text"
        raise UserError(f"{why}. Save it as one of them, {LEAVE_OUT}, as in manual/**/*.md.")
    if path.suffix.lower() in (".html", ".htm", ".xhtml"):
        return _html(_decoded(path, content, mark or _charset(content)))
    text = _decoded(path, content, mark or "utf-8")
    return _markdown(text) if path.suffix.lower() in (".md", ".markdown") else Document(text)


def _charset(content: bytes) -> str:
    """The one that a page says of itself."""
    said = CHARSET.search(content[:1024])
    name = (said[1] or said[2]).decode().lower() if said else "utf-8"
    return WEB.get(name, name)


def _decoded(path: Path, content: bytes, charset: str) -> str:
    name = charset.upper().removesuffix("-SIG")
    try:
        return content.decode(charset).replace("\r\n", "\n").replace("\r", "\n")
    except LookupError as error:
        raise UserError(f"{path}: unknown charset {name}: save the file as UTF-8, {LEAVE_OUT}.") from error
    except UnicodeError as error:
        at = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise UserError(f"{path}: not {name}{at}: save the file as UTF-8, {LEAVE_OUT}.") from error


def _markdown(text: str) -> Document:
    """Its headings by CommonMark's rules: none in a block of code. Front matter is blanked."""
    text = FRONT_MATTER.sub(lambda found: re.sub(r"\S", " ", found[0]), text)
    starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    tokens = _parser().parse(text)
    return Document(
        text,
        [
            Heading(starts[token.map[0]], min(starts[token.map[1]], len(text)), int(token.tag[1]), of.content)
            for token, of in pairwise(tokens)
            if token.type == "heading_open" and token.level == 0 and token.map
        ],
    )


@cache
def _parser() -> MarkdownIt:
    """Of blocks alone."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").disable("inline")


def _html(text: str) -> Document:
    closed, end, rest = text.rpartition("-->")
    text = (
        closed + end + rest.replace("<!--", "&lt;!--")
    )  # a comment that nothing ends, and takes ages to see
    parser = _Blocks(text)
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

    def __init__(self, text: str) -> None:
        super().__init__()
        self.blocks: list[tuple[int, str]] = []
        self._now = ""
        self._hidden = self._as_it_is = 0
        self._level = 0  # of a heading that has begun, and has no text yet
        # what is not closed hides nothing: the whole page would be behind it
        self._hide = {tag for tag in HIDDEN if _times(f"</{tag}", text) >= _times(f"<{tag}", text)}

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in self._hide
        if tag in BLOCKS:
            self.end()
            self._level = LEVELS.get(tag, self._level)
        elif tag == "br":
            self._now += "\n"
        elif tag in ("td", "th") and self._now.strip():
            self._now += " | "
        self._as_it_is += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in self._hide))
        self._as_it_is = max(0, self._as_it_is - (tag == "pre"))
        if tag in BLOCKS:
            self.end()
            self._level = 0 if tag in LEVELS else self._level

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if not self._as_it_is:
            data = re.sub(r"\s+", " ", data)
            data = data.lstrip() if self._now[-1:] in ("", " ", "\n") else data
        self._now += data

    def end(self) -> None:
        """What there is of a paragraph is one; the first of a heading is the heading."""
        if block := re.sub(r"[ \t]+$", "", self._now, flags=re.MULTILINE).strip():
            self.blocks.append((self._level, block))
            self._level = 0
        self._now = ""


def _times(start: str, text: str) -> int:
    """How often a tag begins."""
    return len(re.findall(rf"{start}\b", text, re.IGNORECASE))


def _pdf(path: Path) -> Document:
    try:
        from pypdf import PdfReader
    except ImportError as error:
        raise UserError(f"{path}: PDF files need pypdf: pip install 'synth-assets[pdf]'") from error
    try:
        found = [_page_of(page.extract_text()) for page in PdfReader(path).pages]
    except OSError:
        raise
    except Exception as error:  # damaged files have errors of many kinds
        fix = f"save it anew, without a password, {LEAVE_OUT}."
        raise UserError(f"{path} cannot be read as PDF ({error}): {fix}") from error
    return Document("\n\n".join(found), pages=[0, *accumulate(len(page) + 2 for page in found)][: len(found)])


def _page_of(text: str) -> str:
    """Without the hyphens at ends of lines, and the zeros that some fonts give."""

    def joined(found: re.Match[str]) -> str:
        return found[1] + found[2] if found[1].islower() and found[2].islower() else found[0]

    return clean(HYPHEN.sub(joined, text.replace("\0", "")))
