"""Condition values from knowledge: triples of a graph, passages of a text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from synth_assets.contracts.provider import Draw
from synth_assets.core import templates as core_templates
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions import graphs
from synth_assets.generation.conditions.files import lines_of, stamp
from synth_assets.selection.select import select_random

if TYPE_CHECKING:
    from synth_assets.contracts.provider import Around


class Triples(Draw):
    """A connected set of `size` triples of a knowledge graph, its relations covered evenly (SynthIE,
    Josifoski et al. 2023), `head | relation | tail` a line."""

    name = "triples"
    triples: str
    size: int = Field(default=3, ge=1)

    def files(self) -> list[Path]:
        return [Path(self.triples)]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        *place, number, name = parts
        found = _subgraphs(*stamp(self.triples), self.size, _up_to(int(str(number)) + 1), *place, name)
        return "\n".join(" | ".join(triple) for triple in found[int(str(number))])


class Passages(Draw):
    """The passage of a corpus (a text file with one a line, or a column `text`) that answers a query best, by
    BM25; with `k` one of the best k (ReGen, Yu et al. 2023; retrieved knowledge)."""

    name = "passages"
    passages: str
    query: str
    k: int = Field(default=1, ge=1)

    def files(self) -> list[Path]:
        return [Path(self.passages)]

    def templates(self) -> list[str]:
        return [self.query]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        found = retrieve(self.passages, core_templates.render(self.query, row), self.k)
        return select_random(found or lines_of(self.passages), 1, *parts)[0]


def _up_to(n: int) -> int:
    """The next power of two: a longer list of sets begins with the shorter one."""
    return 1 << (n - 1).bit_length()


@lru_cache(maxsize=32)
def _subgraphs(file: str, _: int, size: int, n: int, *parts: object) -> list[list[graphs.Triple]]:
    return graphs.subgraphs(graphs.read_triples(Path(file)), n, size, *parts)


def retrieve(file: str, query: str, k: int) -> list[str]:
    """The `k` passages (a line each) of a file that fit a query best, by BM25; none that shares no word."""
    index, texts = _index(*stamp(file))
    return [texts[place] for place, _ in index.search(query, k)]


@lru_cache(maxsize=4)
def _index(file: str, _: int) -> tuple[Any, list[str]]:
    from synth_assets.generation.conditions.bm25 import Passages as Index

    texts = lines_of(file)
    if not texts:
        raise UserError(f"{file} has no passages: write one a line.")
    return Index(texts), texts
