"""Condition values from documents: pieces of their text, cut at headings and sentences."""

from __future__ import annotations

import os
import re
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from glob import escape, glob
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import Field, model_validator

from synth_assets.contracts.provider import Around, Draw, Pool, Weights
from synth_assets.contracts.section import wrong
from synth_assets.core.errors import UserError
from synth_assets.core.identity import tagged_hash
from synth_assets.core.text import sentences
from synth_assets.core.text.utf8 import clean
from synth_assets.core.text.words import count
from synth_assets.generation.conditions.document_files import Document, Heading, read_document
from synth_assets.generation.conditions.files import stamp

# what a text is cut by; what is longer than a piece by itself is cut by the next one
WAYS = (
    re.compile(rf"{sentences.END}|{sentences.UNSPACED}|\n\s*\n\s*"),
    re.compile(r"\n+"),
    re.compile(r"\s+"),
    re.compile(r"(?<=.)", re.DOTALL),  # a script without spaces
)
BARE = 5  # files without text that are named
EXAMPLE = "manual/**/*.md"


class Documents(Pool, Draw):
    """A piece of one of some documents (Markdown, HTML, PDF, text), cut at headings and sentences. Where it
    stands is in the columns NAME_file, NAME_heading, NAME_offset, and NAME_hash tells it from others."""

    name = "documents"
    beside: ClassVar[Mapping[str, str]] = {
        **{"file": "string", "heading": "string"},  # those that it stands under; in a PDF its page
        **{"offset": "int64", "hash": "string"},  # characters before it; of its text, 16 digits of SHA-256
    }
    documents: str = Field(min_length=1)
    """Which files: a glob."""
    words: int = Field(default=300, ge=1, le=1_000_000)
    """The most words of a piece."""
    overlap: int = Field(default=0, ge=0, le=1_000_000)
    """The most words, in whole sentences, that a piece repeats of the one before."""

    @model_validator(mode="after")
    def _goes_on(self) -> Documents:
        if self.overlap >= self.words:
            raise wrong(f"a piece has {self.words} words: write fewer, as in {self.words // 6}", "overlap")
        return self

    def files(self) -> list[Path]:
        found = matched(os.path.expanduser(self.documents))  # noqa: PTH111 - it is a pattern
        return sorted(path for path in {*map(Path, found)} if os.path.isfile(path))  # noqa: PTH113 - never fails

    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        return around.once((self, "pool"), lambda: dict.fromkeys(self._pieces(around), 1.0))

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        """As `pick` does, the piece whose hash with the row's is least, with numbers in the place of texts:
        a manual has thousands. A new piece changes only the rows that take it."""
        import numpy as np

        texts, hashes = around.once((self, "hashes"), lambda: self._hashes(around))
        mixed = hashes ^ np.uint64(int(tagged_hash("piece/1", parts)[:16], 16))
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        return str(texts[int((mixed ^ (mixed >> np.uint64(31))).argmin())])

    def about(self, value: Any, around: Around) -> Mapping[str, Any]:
        return self._pieces(around)[value]

    def told(self) -> str:
        found, files = self._found()
        of = {about["file"] for about in found.values()}
        bare = [file for file in files if clean(file) not in of]
        said = f"{_many(len(found), 'piece')} of at most {self.words:,} words, of {_many(len(of), 'file')}"
        more = f" and {len(bare) - BARE:,} more" if len(bare) > BARE else ""
        return said + (f"; without text of their own: {', '.join(bare[:BARE])}{more}" if bare else "")

    def _hashes(self, around: Around) -> tuple[list[str], Any]:
        import numpy as np

        found = self._pieces(around)
        return list(found), np.array([int(about["hash"], 16) for about in found.values()], dtype=np.uint64)

    def _pieces(self, around: Around) -> Mapping[str, Mapping[str, Any]]:
        return around.once((self, "pieces"), lambda: self._found()[0])

    def _found(self) -> tuple[Mapping[str, Mapping[str, Any]], list[str]]:
        files = [path.as_posix() for path in self.files()]
        if not files:
            folder = Path(self.documents).expanduser().is_dir()
            of = f"{self.documents.rstrip('/')}/**/*.md, for all below the folder" if folder else EXAMPLE
            fix = f"write a glob from the working directory on, as in {of}"
            raise UserError(f"no file matches {self.documents}: {fix}.")
        found = _read(tuple(map(stamp, files)), self.words, self.overlap)
        if not found:
            fix = "a PDF of scanned pages has to go through text recognition first"
            raise UserError(f"no file of {self.documents} has text ({', '.join(files[:3])}): {fix}.")
        return found, files


@lru_cache(maxsize=4)
def _read(files: Sequence[tuple[str, int]], words: int, overlap: int) -> Mapping[str, Mapping[str, Any]]:
    """Text of each piece -> where it stands; where several are the same, the first."""
    found: dict[str, Mapping[str, Any]] = {}
    for file, _ in files:
        document = read_document(Path(file))
        for piece in cut(document, words, overlap):
            text = document.text[piece.start : piece.end]
            if text.strip() and text.strip() not in found:
                offset = piece.start + len(text) - len(text.lstrip())
                place = piece.heading or _page(document, offset)
                digest = sha256(text.strip().encode()).hexdigest()[:16]
                of_it = {"file": clean(file), "heading": place, "offset": offset, "hash": digest}
                found[text.strip()] = of_it
    return found


def matched(pattern: str) -> Iterator[str]:
    """The paths that a glob means. Below `**` each folder is entered once, whatever links lead to it: two
    that lead back would never end."""
    head, found, tail = re.sub(r"(\*\*/)+", "**/", pattern).partition("**/")
    if not found and pattern.endswith("**"):
        head, found, tail = pattern.removesuffix("**"), "**", "*"
    if not found or (head and not head.endswith("/")):
        yield from glob(pattern)  # noqa: PTH207 - it may be an absolute path
        return
    for base in glob(head) if head else ["."]:  # noqa: PTH207
        entered = {os.path.realpath(base)}
        for folder, folders, _ in os.walk(base, followlinks=True):
            folders[:] = [name for name in sorted(folders) if _is_new(folder, name, entered)]
            yield from matched(f"{escape(folder)}/{tail}")


def _is_new(folder: str, name: str, entered: set[str]) -> bool:
    """Whether it is a folder that is looked into: no hidden one, as in `glob`, and none a second time."""
    place = os.path.realpath(f"{folder}/{name}")
    if name.startswith(".") or place in entered:
        return False
    entered.add(place)
    return True


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _page(document: Document, offset: int) -> str:
    return f"page {bisect(document.pages, offset)}" if document.pages else ""


class Piece(NamedTuple):
    """From one character to before another, and the headings over it."""

    start: int
    end: int
    heading: str


def cut(document: Document, words: int, overlap: int = 0) -> Iterator[Piece]:
    """Pieces of at most so many words. None goes over a heading, but for one that has no text of its own.
    With no overlap they are the text, each letter in one of them."""
    for start, body, end, heading in _sections(document):
        parts = list(_parts(document.text, start, end, words))
        above = [part for part in parts if part[1] <= body]
        if above and count(document.text[start : parts[len(above)][1]]) <= words:
            parts[: len(above) + 1] = [(start, parts[len(above)][1])]  # headings stay with what follows
        for first, last in _packed([count(document.text[a:b]) for a, b in parts], words, overlap):
            yield Piece(parts[first][0], parts[last - 1][1], heading)


def _packed(sizes: Sequence[int], words: int, overlap: int) -> Iterator[tuple[int, int]]:
    """As many parts as fit into a piece, from one to before another, and so on; each piece but the first may
    begin with parts of the one before."""
    first = last = 0
    while last < len(sizes):
        last, size = first, 0
        while last < len(sizes) and (last == first or size + sizes[last] <= words):
            size, last = size + sizes[last], last + 1
        yield first, last
        room = min(overlap, words - sizes[last]) if last < len(sizes) else 0
        least, first = first + 1, last
        while room > 0 and first > least and sizes[first - 1] <= room:
            first -= 1
            room -= sizes[first]


def _sections(document: Document) -> Iterator[tuple[int, int, int, str]]:
    """Where what stands between two headings starts, its own text starts and it ends, and the headings over
    it. A heading without text goes with the next one, and at the end with the last."""
    text, above, start = document.text, list[Heading](), 0
    marks = [Heading(0, 0, 0, ""), *document.headings]
    ends = [*(mark.start for mark in document.headings), len(text)]
    full = {at for at, mark in enumerate(marks) if text[mark.end : ends[at]].strip()}
    last = max(full, default=0)
    for at, mark in enumerate(marks):
        above = [*(other for other in above if other.level < mark.level), mark]
        if at in full:
            end = len(text) if at == last else ends[at]
            body = ends[at] - len(text[mark.end : ends[at]].lstrip())
            yield start, body, end, " > ".join(each.title for each in above if each.title)
            start = end
    if text and not full:
        yield 0, 0, len(text), ""


def _parts(
    text: str, start: int, end: int, words: int, ways: Sequence[re.Pattern[str]] = WAYS
) -> Iterator[tuple[int, int]]:
    """Sentences, one after the other; of one that has more words than a piece, its lines, or its words."""
    edges = sorted({start, *(found.end() for found in ways[0].finditer(text, start, end)), end})
    for a, b in pairwise(edges):
        if len(ways) > 1 and count(text[a:b]) > words:
            yield from _parts(text, a, b, words, ways[1:])
        else:
            yield a, b
