"""What a stage may reach besides the tables that it is given: rows that are there, models, vectors, tools."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from synth_assets.core.errors import NotInstalled, UserError
from synth_assets.core.text.pairs import of_pairs
from synth_assets.stages import tables

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_assets.contracts.decision import Decision
    from synth_assets.contracts.model_spec import NamedModel
    from synth_assets.contracts.reading import Reading
    from synth_assets.core.asking import Completes, Encode, RunsTools
    from synth_assets.core.engine import Engine
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.resources.storage.lake import Lake
    from synth_assets.stages.stage import Stage, Table

LEARNT = "vectors of the lake"  # among what a run shares
THIN_FROM = 50_000  # rows that are held before they are thinned the first time
Thin = Callable[["pa.Table"], "pa.Table"]  # some of the rows, in their order; done twice it leaves the same


def read_rows(file: str, reading: Reading | None = None, wanted: Collection[str] | None = None) -> Table:
    """The rows of a user's file, or of several. UserError names it, the line and what is wrong."""
    from synth_assets.resources.storage import sources

    return sources.read_rows(file, reading, wanted)


def place(at: Any) -> str:
    """Where a row of it stands, by its entry in the index."""
    from synth_assets.resources.storage import sources

    return sources.place(at)


def check_tool(tool: str, settings: Mapping[str, Any]) -> None:
    """UserError when the tool of a step cannot work at all: its file is not there, or of another format."""
    from synth_assets.resources.sandbox import tools

    tools.check(tool, settings)


def passes(programs: Sequence[str]) -> list[bool]:
    """(n,) whether each program, run in the sandbox, comes to its last line without an error."""
    from synth_assets.resources.sandbox.python import run_many

    return [ran.reason == "ok" for ran in run_many(programs, to_its_end=True)]


def decisions(recipe: str) -> list[Decision]:
    """What people decided about rows of a recipe, as it holds."""
    from synth_assets.resources import home

    return home.decisions().current(recipe)


class Encoder(Protocol):
    """Texts to vectors; `folder` holds the weights, for students that train them further."""

    def encode(self, texts: Sequence[str]) -> Any: ...
    def folder(self) -> Path: ...
    def learn(self, made: Mapping[str, Callable[[str], Any]]) -> None: ...
    def version(self) -> str | None: ...


@dataclass
class Run:
    """One partition of one stage while it is made. This one reads the lake and asks nobody; whoever has a
    model, or only counts what would be asked, says so in `model`."""

    recipe: Recipe
    lake: Lake
    encoder: Encoder
    round: str = ""  # both empty: what no round owns
    cell: str = ""
    tools: RunsTools | None = None  # None: no tool is run, their results are foreseen
    shared: dict[object, Any] = field(default_factory=dict)  # what the conditions of several cells share
    # (stage, cell, or empty) -> rows that stand in the place of the lake's
    made: Mapping[tuple[str, str], Table] = field(default_factory=dict)

    @property
    def encode(self) -> Encode:
        """Of a recipe of pairs, pairs too."""
        return of_pairs(self.vectors) if self.recipe.task.pair else self.vectors

    def vectors(self, texts: Sequence[str]) -> Any:
        """(n, d) float32, rows of length 1. What the lake has of them is not made again: it is read when the
        first text is asked for, which in many stages never is."""
        self._learn_vectors()
        return self.encoder.encode(texts)

    def _learn_vectors(self) -> None:
        """Put the lake's, if the recipe has any there, where the encoder keeps its own, which are not there
        yet."""
        if not self.recipe.vectors or LEARNT in self.shared:
            return
        self.shared[LEARNT] = True
        recipe, made = self.recipe.name, {}
        for at in self.lake.partitions(recipe, "vectors", ("round",)):
            with suppress(UserError):  # it was removed just now
                when = self.lake.modified(recipe, "vectors", at).isoformat()
                made[f"{recipe} {at['round']} {when}"] = partial(self._vectors_by, at)
        self.encoder.learn(made)

    def _vectors_by(self, at: Mapping[str, str], encoder: str) -> tuple[list[str], Any] | None:
        """Hashes of texts, and their vectors (n, d) float32, of a round; those that this encoder made. None
        where the partition is damaged: no round needs it to be made."""
        import numpy as np

        try:
            rows = self.read("vectors", at, columns=["text_hash", "encoder", "vector"])
        except UserError as error:
            self.warn(f"texts are encoded again: {error}")
            return None
        rows = rows[rows["encoder"] == encoder].drop_duplicates("text_hash")
        return list(rows["text_hash"]), np.array([*rows["vector"]], dtype=np.float32)

    @property
    def no_encoder(self) -> str:
        """Why there are no vectors, if a filter of the recipe needs some; else empty."""
        try:
            if any(rule.encodes for rule in self.recipe.filters.values()):
                self.encoder.folder()
        except NotInstalled as error:
            return str(error)
        return ""

    @property
    def place(self) -> dict[str, str]:
        """The partition, as the lake's columns."""
        return {name: value for name, value in (("round", self.round), ("cell", self.cell)) if value}

    def model(self, spec: str | NamedModel | None = None, what: str = "", lines: int = 0) -> Completes:
        """A model by name (None: the stage's own). `what` it is asked for, where a stage has several
        questions, and of how many `lines` an answer would be, are for those who only count."""
        raise UserError(f"{self.recipe.name}: no model is asked here.")

    def engine(self, rows: int) -> Engine | None:
        """What works on so many rows in the place of this process; None: nothing does."""
        from synth_assets.resources import ray_engine

        return ray_engine.engine(rows, self.say, self.warn)

    def of(self, stage: Stage) -> Run:
        """The run of a stage that asks ahead, as one of the stage whose questions it asks."""
        return self

    @property
    def lacks(self) -> bool:
        """Whether something was asked of which no answer is there yet. For those who only count."""
        return False

    def held(self) -> str:
        """Why nothing more is asked for: the caps of a budget that are in the way; empty where none is."""
        return ""

    def warn(self, words: str) -> None:
        """Tell people something that stops nothing."""

    def say(self, words: str) -> None:
        """Tell those who look on how far it is."""

    def doing(self, words: str) -> AbstractContextManager[None]:
        """While what is done takes long, those who look on are told that it goes on, and with what."""
        return nullcontext()

    def seen(self, row: Mapping[str, Any]) -> None:
        """A row that a step has just made, for those who look on."""

    def there(self, stage: str, place: Mapping[str, str]) -> bool:
        made = (stage, place.get("cell", "")) in self.made
        return made or self.lake.has(self.recipe.name, stage, place)

    def read(
        self,
        stage: str,
        *places: Mapping[str, str],
        columns: Sequence[str] | None = None,
        thin: Thin | None = None,
    ) -> Table:
        """The rows of these partitions (none named: of the one that there is), with all columns of the stage
        or with these; those that `thin` leaves of them. UserError where a partition is not made yet."""
        if not places and (stage, "") in self.made:
            return self.made[stage, ""]
        schema = self._schema(stage, columns)
        if thin is not None:
            return self._thinned(stage, places, schema, thin)
        return self.lake.read(self.recipe.name, stage, places or [{}], schema)

    def _thinned(
        self,
        stage: str,
        places: Sequence[Mapping[str, str]],
        schema: pa.Schema,
        thin: Thin,
        cells: Collection[str] | None = None,
    ) -> Table:
        """What `thin` leaves of the rows, all that are read so far together: never are all in memory."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found, held, most = [schema.empty_table()], 0, THIN_FROM
        for place in places:
            for rows in self.lake.stream(self.recipe.name, stage, place, schema):
                some = rows if cells is None else rows.filter(pc.is_in(rows["cell"], pa.array([*cells])))
                found.append(some)
                held += len(some)
                if held > most:
                    found = [thin(pa.concat_tables(found))]
                    held = len(found[0])
                    most = 2 * held + THIN_FROM
        return thin(pa.concat_tables(found)).to_pandas()

    def rounds(self, stage: str) -> list[str]:
        """The rounds before this one of which a stage has rows, the earliest first."""
        found = self.lake.partitions(self.recipe.name, stage, tables.stages(self.recipe)[stage])
        return sorted({place["round"] for place in found if place["round"] < self.round})

    def before(
        self,
        stage: str,
        columns: Sequence[str] | None = None,
        cell: str | None = None,
        last: int | None = None,
        thin: Thin | None = None,
    ) -> Table:
        """The rows of a stage in all rounds before this one, or in the `last` of them that have any; of one
        cell or of those that the recipe still has; of its columns those that are named, and the cell; those
        that `thin` leaves of them."""
        cells = [cell] if cell else self.recipe.cells
        found = self.lake.partitions(self.recipe.name, stage, tables.stages(self.recipe)[stage])
        places: Sequence[Mapping[str, str]]
        places = [p for p in found if p["round"] < self.round and p.get("cell", cells[0]) in cells]
        if last is not None:
            places = self._last(stage, places, cells, last)
        schema = self._schema(stage, columns and [*columns, "cell"])
        if thin is not None:
            return self._thinned(stage, places, schema, thin, cells)
        rows = self.lake.read(self.recipe.name, stage, places, schema)
        return rows[rows["cell"].isin(cells)].reset_index(drop=True)

    def _last(
        self, stage: str, places: Sequence[Mapping[str, str]], cells: Collection[str], number: int
    ) -> list[Mapping[str, str]]:
        """Those of the last rounds that have rows of these cells; the rounds before them are not read."""
        found, rounds = list[Mapping[str, str]](), set[str]()
        for place in reversed(places):
            if len(rounds | {place["round"]}) > number:
                break
            if self.read(stage, place, columns=["cell"])["cell"].isin(cells).any():
                rounds.add(place["round"])
                found.insert(0, place)
        return found

    def _schema(self, stage: str, columns: Sequence[str] | None) -> pa.Schema:
        import pyarrow as pa

        schema = tables.schema(self.recipe, stage)
        return schema if columns is None else pa.schema([f for f in schema if f.name in {*columns}])

    def of_all(self, stage: str, column: str) -> Any:
        """(n,) one column of a stage in all its partitions: of all rounds and of all cells."""
        import pyarrow as pa

        places = self.lake.partitions(self.recipe.name, stage, tables.stages(self.recipe)[stage])
        rows = self.lake.read(self.recipe.name, stage, places, pa.schema([(column, pa.string())]))
        return rows[column]

    def ids(self, stage: str) -> dict[str, set[str]]:
        """Round -> the ids of its rows of a stage, in the cells that the recipe still has."""
        found: dict[str, set[str]] = {}
        for place in self.lake.partitions(self.recipe.name, stage, tables.stages(self.recipe)[stage]):
            if place["cell"] in self.recipe.cells:
                rows = self.read(stage, place, columns=["row_id"])
                found.setdefault(place["round"], set()).update(rows["row_id"])
        return found

    def expect(self, model: Completes, calls: int) -> None:
        """So many calls at the most, of what cannot be asked yet. For those who only count."""

    def maybe(self, model: Completes, calls: int) -> None:
        """So many calls that may come besides, or not: it depends on what is answered. For those who only
        count."""

    def perhaps(self, share: float = 1.0) -> AbstractContextManager[None]:
        """What is asked inside may come to nothing, too; likely, this share of it is asked. For those who
        only count."""
        return nullcontext()

    def may_end(self, rows: Sequence[str], share: float, words: str) -> None:
        """These rows may not be asked for: that depends on the answers of those before. Likely, this share of
        them is. For those who only count."""

    def sure_first(self, rows: Table, make: Callable[[Table], Table]) -> Table:
        """What is made of rows; of those of a plan that may not be asked for, behind the others."""
        return make(rows)
