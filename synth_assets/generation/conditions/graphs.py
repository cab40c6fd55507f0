"""Knowledge graphs as condition values: triples from files, and small connected sets of them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

from synth_assets.core.errors import UserError
from synth_assets.core.identity import seed_from

if TYPE_CHECKING:
    from pathlib import Path

Triple = tuple[str, str, str]  # head, relation, tail

# a term of N-Triples (W3C 2014): <IRI>, _:node or "literal" with language or type
TERM = r'(<[^<>"\s]*>|_:[^\s<"]+|"(?:[^"\\]|\\.)*"(?:@[A-Za-z0-9-]+|\^\^<[^>]*>)?)'
LINE = re.compile(rf"\s*{TERM}\s*{TERM}\s*{TERM}\s*\.\s*(?:#.*)?")
HEADS = ({"head", "relation", "tail"}, {"subject", "predicate", "object"})
FEW = 64  # triples among which a set's first one is drawn


def read_triples(path: Path) -> list[Triple]:
    """The triples of a .csv, .tsv, .parquet or .nt file, or of what rdflib reads; each once, in their order.

    Tables have three columns: head, relation, tail. In RDF, an IRI is called by its local name. Raises
    UserError for what is not like that.
    """
    readers = {".csv": _table, ".tsv": _table, ".parquet": _parquet, ".nt": _n_triples}
    try:
        triples = list(dict.fromkeys(readers.get(path.suffix.lower(), _rdf)(path)))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}: save the file as UTF-8.") from error
    if not triples:
        raise UserError(f"{path} has no triples.")
    return triples


def _table(path: Path) -> Iterator[Triple]:
    import csv

    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in (reader := csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")):
            if row and not (reader.line_num == 1 and {cell.strip().lower() for cell in row} in HEADS):
                yield _triple(row, f"{path}:{reader.line_num}")


def _parquet(path: Path) -> Iterator[Triple]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} is not Parquet: {error}") from error
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        yield _triple(["" if cell is None else str(cell) for cell in row], str(path))


def _triple(cells: Sequence[str], where: str) -> Triple:
    cells = [cell.strip() for cell in cells]
    if len(cells) != 3 or not all(cells):
        raise UserError(f"{where}: {cells} is no triple: three columns, head, relation and tail, none empty.")
    return cells[0], cells[1], cells[2]


def _n_triples(path: Path) -> Iterator[Triple]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                if not (found := LINE.fullmatch(line.strip())):
                    raise UserError(f"{path}:{number}: not N-Triples: write <head> <relation> <tail> .")
                yield _triple([_named(term) for term in found.groups()], f"{path}:{number}")


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
    from urllib.parse import unquote

    return unquote(re.split(r"[/#]", iri.rstrip("/#"))[-1]).replace("_", " ")


def _rdf(path: Path) -> Iterator[Triple]:
    try:
        import rdflib
    except ImportError as error:
        raise UserError(
            f"{path}: reading {path.suffix or 'this'} takes rdflib: pip install rdflib, or save the triples "
            "as .nt, .csv, .tsv or .parquet."
        ) from error
    try:
        graph = rdflib.Graph().parse(path)
    except Exception as error:  # each of its parsers has errors of its own
        raise UserError(f"{path} is not RDF that rdflib reads: {error}") from error
    for triple in sorted(graph):  # a graph has no order
        yield _triple([_local(t) if isinstance(t, rdflib.URIRef) else str(t) for t in triple], str(path))


def subgraphs(triples: Iterable[Triple], n: int, size: int, *parts: object) -> list[list[Triple]]:
    """`n` connected sets of `size` triples, that cover relations and entities evenly (SynthIE, Josifoski et
    al. 2023); a set is smaller where no more triples hang together.

    Each set grows from entities that are in it. A relation is drawn with a weight inverse to how often it was
    used, then one of its triples by how often its entities were. More sets leave the earlier ones.
    """
    graph = list(dict.fromkeys(triples))
    touching: dict[str, list[Triple]] = defaultdict(list)
    of_relation: dict[str, list[Triple]] = defaultdict(list)
    for triple in graph:
        of_relation[triple[1]].append(triple)
        for entity in (triple[0], triple[2]):
            touching[entity].append(triple)
    relations: Counter[str] = Counter()
    entities: Counter[str] = Counter()

    def drawn(near: Mapping[str, list[Triple]], random: Random) -> Triple:
        relation = random.choices(list(near), [1 / (1 + relations[r]) for r in near])[0]
        few = random.sample(near[relation], min(FEW, len(near[relation])))
        head, _, tail = triple = random.choices(
            few, [1 / ((1 + entities[h]) * (1 + entities[t])) for h, _, t in few]
        )[0]
        relations[relation] += 1
        entities.update({head, tail})
        return triple

    sets = []
    for i in range(n if graph else 0):
        random = Random(seed_from(*parts, i))
        made = [drawn(of_relation, random)]
        while len(made) < size and (near := _near(made, touching)):
            made.append(drawn(near, random))
        sets.append(made)
    return sets


def _near(made: list[Triple], touching: Mapping[str, list[Triple]]) -> dict[str, list[Triple]]:
    """Relation -> triples that have an entity with the set in common, and are not in it."""
    known = dict.fromkeys(entity for head, _, tail in made for entity in (head, tail))
    near: dict[str, list[Triple]] = {}
    for triple in dict.fromkeys(t for entity in known for t in touching[entity]):
        if triple not in made:
            near.setdefault(triple[1], []).append(triple)
    return near
