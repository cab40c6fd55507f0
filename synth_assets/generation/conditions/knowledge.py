"""Condition values from knowledge: triples of a graph, passages of a text."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote

from pydantic import Field

from synth_assets.contracts.provider import SEPARATOR, Around, Draw
from synth_assets.core import templates as core_templates
from synth_assets.core.errors import UserError
from synth_assets.core.identity import seed_from
from synth_assets.core.text import words as core_words
from synth_assets.generation.conditions.files import lines_of, places_of_lines, stamp
from synth_assets.generation.conditions.turns import Turns
from synth_assets.selection.select import select_random

K1, B = 1.2, 0.75  # BM25's, as in Lucene
Triple = tuple[str, str, str]  # head, relation, tail
BAR = " | "  # between them in a prompt

# a term of N-Triples (W3C 2014): <IRI>, _:node or "literal" with language or type
TERM = r'(<[^<>"\s]*>|_:[^\s<"]+|"(?:[^"\\]|\\.)*"(?:@[A-Za-z0-9-]+|\^\^<[^>]*>)?)'
LINE = re.compile(rf"\s*{TERM}\s*{TERM}\s*{TERM}\s*\.\s*(?:#.*)?")
HEADS = ({"head", "relation", "tail"}, {"subject", "predicate", "object"})
# of Chinese and Japanese
SIGNS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
UNSPACED = re.compile(f"[{SIGNS}]")
RUNS = re.compile(f"[{SIGNS}]+|[^{SIGNS}]+")
FEW = 64  # triples among which a set's first one is drawn


class Triples(Draw):
    """A connected set of `size` triples of a knowledge graph, its relations covered evenly (SynthIE,
    Josifoski et al. 2023), `head | relation | tail` a line."""

    name = "triples"
    newer = ("place",)
    remembers = True
    triples: str
    """The graph: .csv, .tsv, .parquet or .nt."""
    size: int = Field(default=3, ge=1, le=1_000)
    """Triples of one value."""
    place: bool = False
    """Whether rows say where theirs stand, in columns NAME_file and NAME_lines."""

    @property
    def beside(self) -> Mapping[str, str]:  # type: ignore[override]
        return {"file": "string", "lines": "string"} if self.place else {}

    def about(self, value: Any, around: Around) -> Mapping[str, Any]:
        there = around.once((self, "lines"), self._lines)
        return {"file": self.triples, "lines": SEPARATOR.join(there[line] for line in value.splitlines())}

    def _lines(self) -> dict[str, str]:
        return {BAR.join(triple): str(line) for triple, line in _numbered(*stamp(self.triples)).items()}

    def files(self) -> list[Path]:
        return [Path(self.triples)]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        *place, number, name = parts
        enough = 1 << int(str(number)).bit_length()  # a longer list of sets begins with the shorter one
        if around.before is None:
            found = _subgraphs(*stamp(self.triples), self.size, enough, *place, name)
        else:
            make = partial(self._remembered, around, enough, *place, name)
            found = around.once((*place, name, "sets", enough), make)
        return "\n".join(map(BAR.join, found[int(str(number))]))

    def items(self, name: str, around: Around) -> Collection[str]:
        return {BAR.join(triple) for triple in read_triples(Path(self.triples))}

    def items_of(self, value: str) -> Collection[str]:
        return value.splitlines()

    def _remembered(self, around: Around, n: int, *parts: object) -> list[list[Triple]]:
        graph = {BAR.join(triple): triple for triple in read_triples(Path(self.triples))}
        lines = [line for value in around.taken(str(parts[-1])) for line in (value or "").splitlines()]
        before = [graph[line] for line in lines if line in graph]
        return subgraphs(graph.values(), n, self.size, *parts, before=before)


class Passages(Draw):
    """The passage of a corpus (a text file with one a line, or a column `text`) that answers a query best, by
    BM25; with `k` one of the best k (ReGen, Yu et al. 2023; retrieved knowledge)."""

    name = "passages"
    newer = ("place",)
    passages: str
    """The corpus: a passage a line, or a column `text`."""
    query: str
    """A template; what fits it is taken."""
    k: int = Field(default=1, ge=1, le=10_000)
    """One of so many best passages is taken."""
    place: bool = False
    """Whether rows say where theirs stands, in columns NAME_file and NAME_line."""

    @property
    def beside(self) -> Mapping[str, str]:  # type: ignore[override]
        return {"file": "string", "line": "int64"} if self.place else {}

    def about(self, value: Any, around: Around) -> Mapping[str, Any]:
        if value is None:
            return {"file": None, "line": None}
        return {"file": self.passages, "line": places_of_lines(self.passages)[value]}

    def files(self) -> list[Path]:
        return [Path(self.passages)]

    def templates(self) -> list[str]:
        return [self.query]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str | None:
        found = retrieve(self.passages, core_templates.render(self.query, row), self.k)
        return select_random(found, 1, *parts)[0] if found else None

    def items(self, name: str, around: Around) -> Collection[str]:
        return lines_of(self.passages)

    def missing(self, row: Mapping[str, str]) -> str:
        query = core_templates.render(self.query, row)
        return f"no passage of {self.passages} shares a word with {query!r}"


@lru_cache(maxsize=32)
def _subgraphs(file: str, _: int, size: int, n: int, *parts: object) -> list[list[Triple]]:
    return subgraphs(read_triples(Path(file)), n, size, *parts)


def retrieve(file: str, query: str, k: int) -> list[str]:
    """The `k` passages (a line each) of a file that fit a query best, by BM25; none that shares no word."""
    index, texts = _index(*stamp(file))
    return [texts[place] for place, _ in index.search(query, k)]


@lru_cache(maxsize=4)
def _index(file: str, _: int) -> tuple[Index, list[str]]:
    texts = lines_of(file)
    if not texts:
        raise UserError(f"{file} has no passages: write one a line.")
    return Index(texts), texts


class Index:
    """A BM25 index over `texts` (Robertson and Zaragoza 2009, with Lucene's idf, which is never negative).

    Words are runs of letters, their marks and digits in lower case; of Chinese and Japanese, which do not
    part them, pairs of signs (as in Lucene's CJKAnalyzer), so that no parser decides what is found. Raises
    UserError when no text has a word.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np
        from sklearn.feature_extraction.text import CountVectorizer

        self._counter = CountVectorizer(analyzer=list, dtype=np.float64)  # of words that are parted already
        try:
            counts = self._counter.fit_transform(words(text, alone=True) for text in texts)
        except ValueError as error:  # an empty vocabulary
            raise UserError("the corpus has no words: give texts to retrieve passages from.") from error
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        having = counts.getnnz(axis=0)  # texts that have the word
        rows = np.repeat(np.arange(len(texts)), np.diff(counts.indptr))
        idf = np.log1p((len(texts) - having + 0.5) / (having + 0.5))[counts.indices]
        counts.data = idf * counts.data / (counts.data + K1 * (1 - B + B * lengths[rows] / lengths.mean()))
        self._weights = counts  # (texts, words)

    def search(self, query: str, k: int) -> list[tuple[int, float]]:
        """The `k` best texts that share a word with the query, as (place, score), best first; of two as good
        ones the earlier first."""
        import numpy as np

        asked = self._counter.transform([words(query)])
        scores: np.ndarray = (self._weights @ asked.T).toarray().ravel()
        best = np.argsort(-scores, kind="stable")[:k]
        return [(int(i), float(scores[i])) for i in best if scores[i] > 0]


def words(text: str, alone: bool = False) -> Iterator[str]:
    """The words of a text. `alone`: signs that are written without spaces count by themselves as well, so
    that a query of a single one finds them."""
    for run in RUNS.findall(text.lower()):
        if not UNSPACED.match(run):
            yield from core_words.runs(run)
            continue
        if alone or len(run) == 1:
            yield from run
        yield from map("".join, pairwise(run))


def read_triples(path: Path) -> list[Triple]:
    """The triples of a .csv, .tsv, .parquet or .nt file, or of what rdflib reads; each once, in their order.

    Tables have three columns: head, relation, tail. In RDF, an IRI is called by its local name. Raises
    UserError for what is not like that.
    """
    return list(_numbered(*stamp(str(path))))


@lru_cache(maxsize=4)
def _numbered(file: str, _: int) -> Mapping[Triple, int]:
    """Each triple -> the line of the file that has it first; of Parquet and what rdflib reads, the number of
    the triple."""
    path, triples = Path(file), dict[Triple, int]()
    readers = {".csv": _table, ".tsv": _table, ".parquet": _parquet, ".nt": _n_triples}
    try:
        for line, triple in readers.get(path.suffix.lower(), _rdf)(path):
            triples.setdefault(triple, line)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}: save the file as UTF-8.") from error
    if not triples:
        raise UserError(f"{path} has no triples.")
    return triples


def _table(path: Path) -> Iterator[tuple[int, Triple]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in (reader := csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")):
            if row and not (reader.line_num == 1 and {cell.strip().lower() for cell in row} in HEADS):
                yield reader.line_num, _triple(row, f"{path}:{reader.line_num}")


def _parquet(path: Path) -> Iterator[tuple[int, Triple]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} is not Parquet: {error}") from error
    for number, row in enumerate(zip(*(column.to_pylist() for column in table.columns), strict=True), 1):
        yield number, _triple(["" if cell is None else str(cell) for cell in row], str(path))


def _triple(cells: Sequence[str], where: str) -> Triple:
    cells = [cell.strip() for cell in cells]
    if len(cells) != 3 or not all(cells):
        raise UserError(f"{where}: {cells} is no triple: three columns, head, relation and tail, none empty.")
    return cells[0], cells[1], cells[2]


def _n_triples(path: Path) -> Iterator[tuple[int, Triple]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                if not (found := LINE.fullmatch(line.strip())):
                    raise UserError(f"{path}:{number}: not N-Triples: write <head> <relation> <tail> .")
                yield number, _triple([_named(term) for term in found.groups()], f"{path}:{number}")


def _named(term: str) -> str:
    """What a reader calls a term of N-Triples: the literal's text, or the local name."""
    if term[0] == '"':
        return _unescaped(term[1 : term.rindex('"')])
    return _local(_unescaped(term[1:-1])) if term[0] == "<" else term


def _unescaped(text: str) -> str:
    plain = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f"}

    def character(found: re.Match[str]) -> str:
        code = found[1] or found[2]
        return chr(int(code, 16)) if code else plain.get(found[3], found[3])

    return re.sub(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", character, text)


def _local(iri: str) -> str:
    """http://dbpedia.org/resource/Ada_Lovelace -> Ada Lovelace"""
    return unquote(re.split(r"[/#]", iri.rstrip("/#"))[-1]).replace("_", " ")


def _rdf(path: Path) -> Iterator[tuple[int, Triple]]:
    try:
        import rdflib
    except ImportError as error:
        fix = "pip install rdflib, or save the triples as .nt, .csv, .tsv or .parquet."
        raise UserError(f"{path}: reading {path.suffix or 'this'} takes rdflib: {fix}") from error
    try:
        graph = rdflib.Graph().parse(path)
    except Exception as error:  # each of its parsers has errors of its own
        raise UserError(f"{path} is not RDF that rdflib reads: {error}") from error
    for number, triple in enumerate(sorted(graph), 1):  # a graph has no order
        terms = [_local(t) if isinstance(t, rdflib.URIRef) else str(t) for t in triple]
        yield number, _triple(terms, str(path))


def subgraphs(
    triples: Iterable[Triple], n: int, size: int, *parts: object, before: Sequence[Triple] | None = None
) -> list[list[Triple]]:
    """`n` connected sets of `size` triples, that cover relations and entities evenly (SynthIE, Josifoski et
    al. 2023); a set is smaller where no more triples hang together.

    Each set grows from entities that are in it. A relation is drawn with a weight inverse to how often it was
    used, then one of its triples by how often its entities were. More sets leave the earlier ones. Where the
    triples of sets `before` are given, these were used, and each set begins with one of the triples whose
    turn it is: all stand in a set before one begins another.
    """
    graph = list(dict.fromkeys(triples))
    touching: dict[str, list[Triple]] = defaultdict(list)
    for triple in graph:
        for entity in (triple[0], triple[2]):
            touching[entity].append(triple)
    used, sets = _Used(graph, before), []
    for i in range(n if graph else 0):
        random = Random(seed_from(*parts, i))
        made = [used.drawn(used.beginnings(), random)]
        while len(made) < size and (near := _near(made, touching)):
            made.append(used.drawn(near, random))
        sets.append(made)
    return sets


class _Used:
    """How often the parts of a graph were used."""

    def __init__(self, graph: Sequence[Triple], before: Iterable[Triple] | None) -> None:
        self._graph = graph
        self._turns = None if before is None else Turns(graph, lambda left, _: left)
        self._begin: dict[str, list[Triple]] = {}
        self._relations, self._entities = Counter[str](), Counter[str]()
        for triple in before or ():
            self._took(triple)

    def beginnings(self) -> dict[str, list[Triple]]:
        """Relation -> the triples that a set may begin with."""
        if not self._begin:
            for triple in self._graph if self._turns is None else self._turns.least()[0]:
                self._begin.setdefault(triple[1], []).append(triple)
        return self._begin

    def drawn(self, near: Mapping[str, list[Triple]], random: Random) -> Triple:
        """One of some triples, relation by relation."""
        relation = random.choices(list(near), [1 / (1 + self._relations[r]) for r in near])[0]
        few = random.sample(near[relation], min(FEW, len(near[relation])))
        weights = [1 / ((1 + self._entities[h]) * (1 + self._entities[t])) for h, _, t in few]
        triple = random.choices(few, weights)[0]
        self._took(triple)
        return triple

    def _took(self, triple: Triple) -> None:
        head, relation, tail = triple
        self._relations[relation] += 1
        self._entities.update({head, tail})
        if self._turns is not None:
            self._turns.took(triple)
            if triple in (left := self._begin.get(relation, [])):
                left.remove(triple)
                self._begin = {r: of for r, of in self._begin.items() if of}


def _near(made: list[Triple], touching: Mapping[str, list[Triple]]) -> dict[str, list[Triple]]:
    """Relation -> triples that have an entity with the set in common, and are not in it."""
    known = dict.fromkeys(entity for head, _, tail in made for entity in (head, tail))
    near: dict[str, list[Triple]] = {}
    for triple in dict.fromkeys(t for entity in known for t in touching[entity]):
        if triple not in made:
            near.setdefault(triple[1], []).append(triple)
    return near
