"""Condition values from files: lines, words, a taxonomy, snippets of code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from synth_assets.contracts.provider import SEPARATOR, Draw, Pool
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions import drawn

if TYPE_CHECKING:
    from synth_assets.contracts.provider import Around, Weights


class Lines(Pool):
    """The lines of a text file."""

    name = "file"
    file: str

    def files(self) -> list[Path]:
        return [Path(self.file)]

    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        found = lines_of(self.file)
        if not found:
            raise UserError(f"conditions.{name}: {self.file} has no lines: write one value a line.")
        return dict.fromkeys(found, 1.0)


class Leaves(Pool):
    """The leaves of a folder tree of examples (LAB, Sudalairaj et al. 2024)."""

    name = "taxonomy"
    taxonomy: str

    def files(self) -> list[Path]:
        return [path for path in sorted(Path(self.taxonomy).rglob("*")) if path.is_file()]

    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        return {leaf.path: 1.0 for leaf in drawn.taxonomy(Path(self.taxonomy))}


class Words(Draw):
    """`k` words of each part of speech of a file of lines `word,pos` (TinyStories, Eldan and Li 2023)."""

    name = "words"
    words: str
    k: int = Field(default=1, ge=1)

    def files(self) -> list[Path]:
        return [Path(self.words)]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        return SEPARATOR.join(drawn.words(_vocabulary(*stamp(self.words)), self.k, *parts))


class Snippets(Draw):
    """Consecutive lines of one of some files (OSS-Instruct, Wei et al. 2023)."""

    name = "snippets"
    snippets: str  # a glob
    lines: tuple[int, int] = (1, 15)

    def files(self) -> list[Path]:
        return [path for path in sorted(Path().glob(self.snippets)) if path.is_file()]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        found = self.files()
        if not found:
            raise UserError(f"conditions.{parts[-1]}: no file matches {self.snippets}.")
        return drawn.snippet(found, self.lines, *parts).text


def stamp(file: str) -> tuple[str, int]:
    """What a cache knows a file by."""
    try:
        return file, Path(file).stat().st_mtime_ns
    except OSError as error:
        raise UserError(
            f"{file} cannot be read: {error.strerror}. Name a file of the working directory."
        ) from error


def lines_of(file: str) -> list[str]:
    return _read(*stamp(file))


@lru_cache(maxsize=32)
def _read(file: str, _: int) -> list[str]:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


@lru_cache(maxsize=8)
def _vocabulary(file: str, _: int) -> Mapping[str, Sequence[str]]:
    return drawn.read_words(Path(file))
