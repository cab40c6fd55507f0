"""Where condition values come from (the condition providers of a recipe), found by their first word.

A *pool* knows its values before any row is drawn: a design spreads them over the rows. A *draw* makes a value
for each row, from a hash of the row's place, so that a row keeps its value when others are added. What a
provider says of its files is resolved by the caller: nothing here opens the network or asks a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from synth_assets.errors import UserError, unknown
from synth_assets.generation import graphs, prompts, values
from synth_assets.selection.select import ranked, select_random

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.protocols import Encode

PROVIDERS: dict[str, type[Provider]] = {}
Weights = Mapping[str, float]
SEPARATOR = ", "  # between several words of one value
OF_LABEL = {"definition", "verbalizer"}
TASK = {"role", "instruction", "text_type", "label_type", "definitions", "verbalizers"}


@dataclass(frozen=True)
class Around:
    """What a provider may look at besides its own section."""

    rows: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # seeds, kept: row_id, text, label, split
    encode: Encode | None = None
    asked: Callable[[str, str], Sequence[str]] = lambda name, given: ()  # values that the model gave
    made: dict[object, Any] = field(default_factory=dict)  # what rows share

    def once(self, key: object, make: Callable[[], Any]) -> Any:
        """What rows share, made for the first that asks."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    @property
    def shown(self) -> pd.DataFrame:
        """All rows that a prompt may show."""
        import pandas as pd

        tables = list(self.rows.values())
        return pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]


class Provider(BaseModel):
    """Base of all: `key` is the field by which a recipe names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.key:
            PROVIDERS[cls.key] = cls

    def files(self) -> list[Path]:
        """Files whose content decides the values: a change of one makes the conditions stale."""
        return []

    def templates(self) -> list[str]:
        """Templates that may name conditions written above this one."""
        return []


class Pool(Provider):
    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        """Value -> weight, for a row that has these values of the attributes above."""
        raise NotImplementedError

    @property
    def depends(self) -> bool:
        """Whether the values differ from row to row."""
        return False


class Draw(Provider):
    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        """The value of one row; `parts` are seed, round, cell, number of the question, attribute."""
        raise NotImplementedError


class Lines(Pool):
    """The lines of a text file."""

    key = "file"
    file: str

    def files(self) -> list[Path]:
        return [Path(self.file)]

    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        found = _lines(self.file)
        if not found:
            raise UserError(f"conditions.{name}: {self.file} has no lines: write one value a line.")
        return dict.fromkeys(found, 1.0)


class Leaves(Pool):
    """The leaves of a folder tree of examples (LAB, Sudalairaj et al. 2024)."""

    key = "taxonomy"
    taxonomy: str

    def files(self) -> list[Path]:
        return [path for path in sorted(Path(self.taxonomy).rglob("*")) if path.is_file()]

    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        return {leaf.path: 1.0 for leaf in values.taxonomy(Path(self.taxonomy))}


class Column(Pool):
    """The values that a field of the seeds has (`seeds.fields`)."""

    key = "column"
    column: str

    def pool(self, name: str, row: Mapping[str, Any], around: Around) -> Weights:
        found = around.rows["seeds"].get(self.column)
        if found is None:
            raise UserError(
                f"conditions.{name}: {self.column!r} is no field of the seeds: add it to seeds.fields."
            )
        return dict.fromkeys(sorted(set(found)), 1.0)


class Given(Pool):
    """A list of values for each value of another attribute (AttrPrompt's class-dependent attributes)."""

    key = "by"
    by: str
    values: dict[str, Annotated[list[str | int | float], Field(min_length=1)]]

    @property
    def depends(self) -> bool:
        return True

    def pool(self, name: str, row: Mapping[str, str], around: Around) -> Weights:
        if row[self.by] not in self.values:
            known = ", ".join(self.values)
            raise UserError(
                f"conditions.{name}: no values for {self.by} = {row[self.by]!r}; there are: {known}."
            )
        return {str(value): 1.0 for value in self.values[row[self.by]]}


class Listed(Pool):
    """Values that a model lists: the asset `values` asks for them, a person may edit them."""

    temperature: float = Field(default=0.7, ge=0)
    max_tokens: int = Field(default=512, ge=1)

    @property
    def wanted(self) -> int:
        """Values that one answer should list."""
        raise NotImplementedError

    @property
    def named(self) -> set[str]:
        """The conditions that the question names: it is asked for each combination of their values."""
        return set()

    def given(self, row: Mapping[str, Any]) -> str:
        return SEPARATOR.join(str(row[name]) for name in sorted(self.named & set(row)))

    @property
    def depends(self) -> bool:
        return bool(self.named)

    def pool(self, name: str, row: Mapping[str, Any], around: Around) -> Weights:
        given = self.given(row)
        if found := around.asked(name, given):
            return dict.fromkeys(found, 1.0)
        where = f" for {given}" if given else ""
        raise UserError(f"conditions.{name}: there are no values{where} yet: materialize the asset `values`.")


class Asked(Listed):
    """A list asked of the model, once for each combination of the conditions that the question names
    (AttrPrompt, Yu et al. 2023; ClinGen, Xu et al. 2023)."""

    key = "ask"
    ask: str
    n: int = Field(default=20, ge=1)

    def templates(self) -> list[str]:
        return [self.ask]

    @property
    def wanted(self) -> int:
        return self.n

    @property
    def named(self) -> set[str]:
        names = prompts.names(self.ask) - {"n"} - TASK
        return names - OF_LABEL | ({"label"} if names & OF_LABEL else set())


class Tree(Listed):
    """The leaves of a tree of concepts that the model grows, `breadth` below each node, `depth` levels below
    the root (UltraChat, Ding et al. 2023; Explore-Instruct, Wan et al. 2023). A value is the leaf's path."""

    key = "tree"
    tree: str  # the question; it knows node, path, siblings, breadth
    root: str
    depth: int = Field(default=2, ge=1, le=6)
    breadth: int = Field(default=5, ge=1)

    @property
    def wanted(self) -> int:
        return self.breadth


class SomeOf(Draw):
    """Several of the listed values, between two numbers of them or exactly `k` (TinyStories' features)."""

    key = "some_of"
    some_of: list[str | int | float] = Field(min_length=1)
    k: int | tuple[int, int] = 1

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        low, high = (self.k, self.k) if isinstance(self.k, int) else self.k
        k = int(values.number(low, high, *parts, "k", whole=True)) if high > low else low
        chosen = select_random([str(value) for value in self.some_of], k, *parts)
        return SEPARATOR.join(chosen)


class Words(Draw):
    """`k` words of each part of speech of a file of lines `word,pos` (TinyStories, Eldan and Li 2023)."""

    key = "words"
    words: str
    k: int = Field(default=1, ge=1)

    def files(self) -> list[Path]:
        return [Path(self.words)]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        return SEPARATOR.join(values.words(_vocabulary(*_stamp(self.words)), self.k, *parts))


class Number(Draw):
    """A number between two bounds."""

    key = "number"
    number: tuple[float, float]
    whole: bool = True
    distribution: Literal["uniform", "normal", "log_uniform"] = "uniform"

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        low, high = self.number
        drawn = values.number(low, high, *parts, whole=self.whole, distribution=self.distribution)
        return str(drawn) if self.whole else f"{drawn:.6g}"


class Day(Draw):
    """A day between two days, both included."""

    key = "day"
    day: tuple[date, date]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        return values.day(*self.day, *parts).isoformat()


class Triples(Draw):
    """A connected set of `size` triples of a knowledge graph, its relations covered evenly (SynthIE,
    Josifoski et al. 2023), `head | relation | tail` a line."""

    key = "triples"
    triples: str
    size: int = Field(default=3, ge=1)

    def files(self) -> list[Path]:
        return [Path(self.triples)]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        *place, number, name = parts
        found = _subgraphs(*_stamp(self.triples), self.size, _up_to(int(str(number)) + 1), *place, name)
        return "\n".join(" | ".join(triple) for triple in found[int(str(number))])


class Passages(Draw):
    """The passage of a corpus (a text file with one a line, or a column `text`) that answers a query best, by
    BM25; with `k` one of the best k (ReGen, Yu et al. 2023; retrieved knowledge)."""

    key = "passages"
    passages: str
    query: str
    k: int = Field(default=1, ge=1)

    def files(self) -> list[Path]:
        return [Path(self.passages)]

    def templates(self) -> list[str]:
        return [self.query]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        found = retrieve(self.passages, prompts.render(self.query, row), self.k)
        return select_random(found or _lines(self.passages), 1, *parts)[0]


class Snippets(Draw):
    """Consecutive lines of one of some files (OSS-Instruct, Wei et al. 2023)."""

    key = "snippets"
    snippets: str  # a glob
    lines: tuple[int, int] = (1, 15)

    def files(self) -> list[Path]:
        return [path for path in sorted(Path().glob(self.snippets)) if path.is_file()]

    def draw(self, row: Mapping[str, str], around: Around, *parts: object) -> str:
        found = self.files()
        if not found:
            raise UserError(f"conditions.{parts[-1]}: no file matches {self.snippets}.")
        return values.snippet(found, self.lines, *parts).text


class Rows(Draw):
    """The text of a row as a condition: a seed, or a row that an earlier round kept. Each is taken before any
    is taken twice (annotation, Evol-Instruct, DataTune). `label`: the row's own, another one, or any."""

    key = "rows"
    rows: Literal["seeds", "kept"]
    split: Literal["demonstration", "validation", "unlabeled"] = "demonstration"
    label: Literal["same", "other", "any"] = "any"

    def draw(self, row: Mapping[str, Any], around: Around, *parts: object) -> str:
        *place, number, name = parts
        texts = around.once((name, row["label"]), lambda: self._texts(row, around, str(name)))
        turn, at = divmod(int(str(number)), len(texts))
        order = around.once((*place, name, turn), lambda: ranked(texts, *place, name, turn))
        return str(texts[order[at]])

    def _texts(self, row: Mapping[str, Any], around: Around, name: str) -> dict[str, str]:
        """Row id -> text of the rows that may be taken; while no round has kept any, of the seeds."""
        table = around.rows.get(self.rows)
        table = around.rows["seeds"] if table is None or table.empty else table
        if "split" in table:
            table = table[table["split"] == self.split]
        if self.label != "any":
            table = table[(table["label"] == row["label"]) == (self.label == "same")]
        if table.empty:
            raise UserError(
                f"conditions.{name}: there is no row of {self.rows} to take ({self.split}, {self.label})."
            )
        return dict(zip(table["row_id"], table["text"], strict=True))


class FieldOf(Draw):
    """Another field of the row that a condition above took (`rows`): its label, its answer."""

    key = "of"
    of: str
    field: str

    def draw(self, row: Mapping[str, Any], around: Around, *parts: object) -> str:
        for table in around.rows.values():
            found = table[table["text"] == row[self.of]]
            if len(found):
                if self.field not in found:
                    raise unknown("field", self.field, set(found), f"conditions.{parts[-1]}")
                return str(found.iloc[0][self.field])
        raise UserError(f"conditions.{parts[-1]}: {self.of} is no row of the seeds or of earlier rounds.")


def _stamp(file: str) -> tuple[str, int]:
    """What a cache knows a file by."""
    try:
        return file, Path(file).stat().st_mtime_ns
    except OSError as error:
        raise UserError(
            f"{file} cannot be read: {error.strerror}. Name a file of the working directory."
        ) from error


def _lines(file: str) -> list[str]:
    return _read(*_stamp(file))


@lru_cache(maxsize=32)
def _read(file: str, _: int) -> list[str]:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


@lru_cache(maxsize=8)
def _vocabulary(file: str, _: int) -> Mapping[str, Sequence[str]]:
    return values.read_words(Path(file))


def _up_to(n: int) -> int:
    """The next power of two: a longer list of sets begins with the shorter one."""
    return 1 << (n - 1).bit_length()


@lru_cache(maxsize=32)
def _subgraphs(file: str, _: int, size: int, n: int, *parts: object) -> list[list[graphs.Triple]]:
    return graphs.subgraphs(graphs.read_triples(Path(file)), n, size, *parts)


def retrieve(file: str, query: str, k: int) -> list[str]:
    """The `k` passages (a line each) of a file that fit a query best, by BM25; none that shares no word."""
    index, texts = _index(*_stamp(file))
    return [texts[place] for place, _ in index.search(query, k)]


@lru_cache(maxsize=4)
def _index(file: str, _: int) -> tuple[Any, list[str]]:
    from synth_assets.generation.passages import Passages as Index

    texts = _lines(file)
    if not texts:
        raise UserError(f"{file} has no passages: write one a line.")
    return Index(texts), texts


def provider(section: Mapping[str, Any]) -> type[Provider] | None:
    """The provider that a section of a recipe names; None where it is values with their weights."""
    found = [key for key in PROVIDERS if key in section]
    weights = all(isinstance(v, int | float) and not isinstance(v, bool) for v in section.values())
    return PROVIDERS[found[0]] if found and not weights else None
