"""The warehouse: a DuckDB file that holds nothing but views on the lake, one schema a recipe.

Runs never open it, so nobody waits for a lock; it is built beside its place and renamed into it when
what it shows has changed. Any DuckDB client can open it read-only. What it shows is in a JSON file beside it.
"""

from __future__ import annotations

import copy
import errno
import json
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.core.errors import UserError
from synth_assets.resources.machine import temporary
from synth_assets.resources.storage import files, parts
from synth_assets.resources.storage.looks import COLUMNS, Looks
from synth_assets.resources.storage.process import processors
from synth_assets.resources.storage.quoted import identifier, literal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from synth_assets.resources.storage.delta_lake import DeltaLake

Cuts = Mapping[str, tuple[str, ...]]  # stage -> the columns that cut it into partitions
Only = Mapping[str, tuple[str, Collection[str]]]  # stage -> a column, and its values that are shown
Shown = tuple[Mapping[str, "pa.Schema"], Cuts, Only]  # the stages of a recipe
VIEWS = Path(__file__).parents[2] / "sql" / "views"
# where the empty file lies that gives a view its columns
NEVER = {"round": "0001-01-01", "cell": "none", "used_by": "none", parts.PART: "none"}
ACROSS = {  # what has the same columns in every recipe
    *("seeds", "rejected", "reviews", "vectors", "labelled", "weighted", "metrics", "feedback"),
    *("calls", "nights"),
    *("signals", "steps"),
    *(path.stem for path in VIEWS.glob("*.sql")),
}
EMPTY = "empty.parquet"
ATTEMPTS = 12  # to read while runs write
IN_VIEWS = {  # of `weighted`, whose rows all rounds have: what need not read them once a round
    "{rows of weighted by round}": parts.counted,
    "{latest weights}": parts.latest,
}
JSON_OF = re.compile(r"\{json of (\w+) without (\w+)\}")  # in a view: see _json_of


class Warehouse:
    """A recipe is a schema; what has the same columns in every recipe is also in the schema `main`, over all
    recipes. What cannot be shown (a file that is no Parquet, say) is a view that says why when it is read,
    and is left out of `main`: the other recipes' views stay up."""

    def __init__(
        self, path: Path, lake: Path, empty: Path | None = None, tables: DeltaLake | None = None
    ) -> None:
        """`empty`: where the files without rows are, if not in the lake: it may be somebody else's. `tables`:
        where the rows are, if they are no files of this machine."""
        self.path, self.lake, self.empty = Path(path), Path(lake), Path(empty or lake)
        self.tables = tables
        self._keeps = tables is not None  # to make a connection ready takes half a second
        self._kept: tuple[tuple[int, int], duckdb.DuckDBPyConnection] | None = None

    def held(self) -> Warehouse:
        """The same for many questions one after the other: its connection stays as long as it does. To open
        one takes longer than most of the answers."""
        held = copy.copy(self)
        held._keeps = True
        return held

    def show(
        self, recipe: str, stages: Mapping[str, pa.Schema], cuts: Cuts, only: Only | None = None
    ) -> bool:
        """Show one recipe, given the schema of each stage. Returns whether anything had to be built."""
        return self.show_all({recipe: (stages, cuts, only or {})})

    def show_all(self, recipes: Mapping[str, Shown], keep: Collection[str] | None = None) -> bool:
        """Show these recipes, built once for all of them. The schemas of others stay, or only those of `keep`
        do; their files stay in any case."""
        files.private(self.path.parent)
        new = {
            self._empty(name, of, schema, ({**cuts, **parts.CUTS})[of])
            for name, (stages, cuts, _) in recipes.items()
            for stage, whole in stages.items()
            for of, schema in (parts.schemas(whole) if stage == parts.STAGE else {stage: whole}).items()
        }
        views = {name: self._views(name, *shown) for name, shown in recipes.items()}
        with self._alone():
            shown, troubles = self._state()
            wanted = {n: v for n, v in {**shown, **views}.items() if keep is None or n in views or n in keep}
            same = shown == wanted and not troubles.keys() & views and True not in new
            if same and self.path.exists() and not self._has_moved():
                return False
            self._build(wanted)
        return True

    def troubles(self) -> dict[str, str]:
        """Recipe -> why some of its views cannot be read."""
        return self._state()[1]

    def _state(self) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
        """What is shown, recipe -> view -> query, and the troubles."""
        state = self._written()
        views, before = state.get("views", {}), Path(state.get("lake", self.lake))
        if before != self.lake:  # the home was moved, or copied
            for places in ((before, self.lake), [p.with_name("looks") for p in (before, self.lake)]):
                old, new = (literal(as_pattern(place))[:-1] + "/" for place in places)
                views = {r: {name: q.replace(old, new) for name, q in of.items()} for r, of in views.items()}
        return views, state.get("troubles", {})

    def _has_moved(self) -> bool:
        """Whether the views look for the lake where it was before."""
        return self._written().get("lake", str(self.lake)) != str(self.lake)

    def _written(self) -> dict[str, Any]:
        """What is in the file; nothing where it is damaged: whoever shows recipes next writes it anew."""
        with suppress(OSError, ValueError):
            state = json.loads(self.path.with_suffix(".json").read_text(encoding="utf-8"))
            if isinstance(state, dict) and all(
                isinstance(state.get(n, {}), dict) for n in ("views", "troubles")
            ):
                return state
        return {}

    def _alone(self) -> AbstractContextManager[None]:
        """Two runs that show two recipes at once build one after the other."""
        return files.locked(self.path.with_suffix(".lock"))

    def _build_again(self) -> None:
        with self._alone():
            self._build(self._state()[0])

    def _build(self, shown: Mapping[str, Mapping[str, str]]) -> None:
        import duckdb

        with files.beside(self.path) as written, _new_database(written) as connection:
            self._ready(connection)
            try:
                troubles = _create(connection, shown)
                # closing does it too, and says nothing where the disk is full
                connection.execute("checkpoint")
            except duckdb.Error as error:
                raise OSError(errno.EIO, str(error), str(self.path)) from error
        state = {"lake": str(self.lake), "views": shown, "troubles": troubles}
        files.write(self.path.with_suffix(".json"), json.dumps(state))

    def _empty(self, recipe: str, stage: str, schema: pa.Schema, cut: tuple[str, ...]) -> bool:
        """A file without rows: a stage that nothing was made of yet is an empty view, not an error. Returns
        whether it had to be written."""
        import pyarrow.parquet as pq

        folders = [f"{column}={NEVER[column]}" for column in cut]
        path = self.empty.joinpath(recipe, stage, *folders, EMPTY)
        with suppress(OSError, ValueError):  # there is none, or it is damaged
            if pq.read_schema(path).equals(schema):
                return False
        with files.replacing(path) as file:
            pq.write_table(schema.empty_table(), file)
        return True

    def _views(self, recipe: str, stages: Mapping[str, pa.Schema], cuts: Cuts, only: Only) -> dict[str, str]:
        """View -> its query: the stages, then `steps` and `nights`, then the files of sql/views in the order
        of their names; each may read those before it."""
        made = {stage: self._stage(recipe, stage, schema, cuts[stage]) for stage, schema in stages.items()}
        shown = dict.fromkeys(stages, "true")
        for stage, (column, values) in only.items():
            of_none = "" if column in cuts[stage] else f" or {identifier(column)} is null"
            shown[stage] = f"({identifier(column)} in ({', '.join(map(literal, values))}){of_none})"
            made[stage] += f" where {shown[stage]}"
        made |= {"steps": _steps(recipe, stages), "nights": _nights(Looks(self.empty).folder(recipe))}
        for path in sorted(VIEWS.glob("*.sql")):
            text = path.read_text(encoding="utf-8").replace("{recipe}", identifier(recipe))
            for words, query in IN_VIEWS.items():
                text = text.replace(words, query(*self._weighted(recipe), shown.get(parts.STAGE, "true")))
            made[path.stem] = JSON_OF.sub(lambda found: _json_of(stages, *found.groups()), text)
        return made

    def _stage(self, recipe: str, stage: str, schema: pa.Schema, cut: tuple[str, ...]) -> str:
        # The cast is not left to hive_types: with a date there, and a filter on another folder's name,
        # DuckDB 1.5.5 fails at `group by round`. Folders that a query leaves out are not read either way.
        names = ["cast(round as date) as round" if n == "round" else identifier(n) for n in schema.names]
        if stage == parts.STAGE:
            return f"select {', '.join(names)} from {parts.select(*self._weighted(recipe), schema.names)}"
        return f"select {', '.join(names)} from {self._found(recipe, stage, cut)}"

    def _weighted(self, recipe: str) -> tuple[str, str]:
        """What stands behind `from` for the files of `weighted`, and for those of its parts."""
        stored, of_parts = (self._found(recipe, stage, cut) for stage, cut in parts.CUTS.items())
        return stored, of_parts

    def _found(self, recipe: str, stage: str, cut: tuple[str, ...]) -> str:
        """What stands behind `from` for the files of a stage."""
        # where the rows are in a store, those that are here are of the time before it
        file = "*.parquet" if self.tables is None else EMPTY
        inside = "/".join([recipe, stage, *(f"{c}=*" for c in cut), file])
        places = [p for p in dict.fromkeys([self.lake, self.empty]) if p == self.empty or any(p.glob(inside))]
        paths = [literal(f"{as_pattern(place)}/{inside}") for place in places]
        hive = ", ".join(f"{literal(c)}: 'varchar'" for c in cut)
        options = f", hive_partitioning = true, hive_types = {{{hive}}}" if hive else ""
        found = paths[0] if len(paths) == 1 else f"[{', '.join(paths)}]"
        source = f"read_parquet({found}, union_by_name = true{options})"
        if self.tables is not None and self.tables.delta(recipe, stage) is not None:
            dated = " replace (cast(round as date) as round)" if "round" in cut else ""  # as it is there
            source = f"(select *{dated} from {source} union all by name {self.tables.select(recipe, stage)})"
        return source

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyRelation:
        """The answer to one query, read-only. UserError when the SQL is wrong. DuckDB opens a file twice, for
        its columns and for its rows, and raises an error when a run replaced it in between: it is asked
        again. Where a file still cannot be read, the views are built without it."""
        import duckdb

        if self._has_moved():
            self._build_again()
        mistakes = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.DataError)
        for attempt in range(ATTEMPTS):
            try:
                return self._ask(sql, parameters)
            except duckdb.Error as error:
                if isinstance(error, mistakes) or attempt == ATTEMPTS - 1:
                    raise UserError(f"SQL: {error}") from error
            if attempt == ATTEMPTS - 2:
                self._build_again()
        raise AssertionError("the last attempt returns or raises")

    def _ask(self, sql: str, parameters: Mapping[str, Any] | None) -> duckdb.DuckDBPyRelation:
        if not self.path.exists():
            raise UserError(f"{self.path} does not exist yet: `synth run NAME` makes it.")
        answer = self._connection().sql(sql, params=dict(parameters or {}))
        if answer is not None:
            answer.execute()  # here, so that an error in the middle of the rows is raised here
        return answer

    def _ready(self, connection: duckdb.DuckDBPyConnection) -> None:
        if self.tables is not None:
            from synth_assets.resources.storage.delta_sql import ready

            ready(connection, self.tables.where)

    def _connection(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        stat = self.path.stat()
        of = stat.st_ino, stat.st_mtime_ns
        if self._kept and self._kept[0] == of:
            return self._kept[1].cursor()
        # files are replaced while it is open: none of them is kept in memory
        config: dict[str, Any] = {"threads": processors(), "enable_external_file_cache": False}
        connection = duckdb.connect(str(self.path), read_only=True, config=config)
        self._ready(connection)
        self._kept = (of, connection) if self._keeps else None
        return connection


def _create(connection: duckdb.DuckDBPyConnection, shown: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Create the views; returns recipe -> why some of its views cannot be read."""
    import duckdb

    troubles: dict[str, str] = {}
    across: dict[str, list[str]] = {}
    for recipe, views in sorted(shown.items()):
        connection.execute(f"create schema {identifier(recipe)}")
        for name, query in views.items():
            view = f"{identifier(recipe)}.{identifier(name)}"
            try:
                connection.execute(f"create view {view} as {query}")
            except duckdb.TransactionException:  # the disk does not take it
                raise
            except duckdb.Error as error:
                why = troubles.setdefault(recipe, f"{recipe}.{name} cannot be read: {error}")
                # in a condition too: DuckDB computes no column that a query does not ask for
                says = f"error({literal(why)})"
                connection.execute(f"create view {view} as select {says} as error where {says} > ''")
                continue
            if name in ACROSS:
                one = f"select {literal(recipe)} as recipe, * from {view}"
                across.setdefault(name, []).append(one)
    for name, of_recipes in across.items():
        query = " union all by name ".join(of_recipes)
        connection.execute(f"create view main.{identifier(name)} as {query}")
    return troubles


@contextmanager
def _new_database(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB takes what is behind a question mark for a query when it writes: then it writes elsewhere."""
    import duckdb

    place = temporary() / path.name if "?" in str(path) else path
    with duckdb.connect(str(place)) as connection:
        yield connection
    if place != path:
        shutil.move(place, path)


def _steps(recipe: str, stages: Mapping[str, pa.Schema]) -> str:
    """Each row's call in each stage whose rows are answers, in the order of the stages."""
    asked = [s for s, schema in stages.items() if {"row_id", "call_id", "accepted"} <= set(schema.names)]
    columns = "row_id, round, cell, call_id, model, accepted, reason, error"
    return " union all by name ".join(
        f"select {literal(stage)} as step, {position} as position, {columns} "
        f"from {identifier(recipe)}.{identifier(stage)}"
        for position, stage in enumerate(asked, start=1)
    )


def _nights(folder: Path) -> str:
    """What was found of each round when it was last looked at."""
    where = literal(f"{as_pattern(folder)}/*.json")
    columns = ", ".join(f"{name}: {literal(kind)}" for name, kind in COLUMNS.items())
    # a file that is damaged has no line: the next look at its round writes it anew
    options = f"columns = {{{columns}}}, format = 'newline_delimited', ignore_errors = true"
    return f"select * from read_json({where}, {options})"


def _json_of(stages: Mapping[str, pa.Schema], stage: str, other: str) -> str:
    """The columns of a stage that another one does not have, as a JSON object."""
    columns = [c for c in stages[stage].names if c not in stages[other].names]
    return f"json_object({', '.join(f'{literal(c)}, {identifier(stage)}.{identifier(c)}' for c in columns)})"


def plain(name: str) -> str:
    """The same for people: without quotes, where SQL takes it so."""
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) and name not in _reserved() else identifier(name)


@cache
def _reserved() -> frozenset[str]:
    """Words that stand for no table or column unless they are quoted."""
    import duckdb

    kinds = "keyword_category in ('reserved', 'type_function')"
    with duckdb.connect() as connection:
        found = connection.execute(f"select keyword_name from duckdb_keywords() where {kinds}").fetchall()
    return frozenset(name for (name,) in found)


def as_pattern(path: Path) -> str:
    """A path as DuckDB takes one, which reads brackets and stars as a pattern."""
    return re.sub(r"[\[*?]", r"[\g<0>]", str(path))
