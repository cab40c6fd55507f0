"""The warehouse: a DuckDB file that holds nothing but views on the lake, one schema a recipe.

Runs never open it, so nobody waits for a lock; it is built beside its place and renamed into it when
what it shows has changed. Any DuckDB client can open it read-only.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.errors import UserError
from synth_assets.identity import tagged_hash

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

VIEWS = Path(__file__).parents[1] / "sql" / "views"
NEVER = {
    "round": "0001-01-01",
    "cell": "none",
    "used_by": "none",
}  # where the empty file lies that gives a view its columns


class Warehouse:
    def __init__(self, path: Path, lake: Path) -> None:
        self.path, self.lake = Path(path), Path(lake)

    def show(self, recipe: str, stages: Mapping[str, pa.Schema], cuts: Mapping[str, tuple[str, ...]]) -> bool:
        """Show one recipe: the schemas of its stages, and what cuts each stage into partitions.

        Returns whether anything had to be built. The views of other recipes stay.
        """
        statements = self._statements(recipe, stages, cuts)
        version = tagged_hash("warehouse/1", statements)
        if self.path.exists() and self._shown().get(recipe) == version:
            return False
        for stage, schema in stages.items():
            self._empty(recipe, stage, schema, cuts[stage])
        with self._alone():
            self._build(statements)
            self._state.write_text(json.dumps({**self._shown(), recipe: version}))
        return True

    @property
    def _state(self) -> Path:
        return self.path.with_suffix(".json")

    def _shown(self) -> dict[str, str]:
        return json.loads(self._state.read_text()) if self._state.exists() else {}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two runs that show two recipes at once build one after the other."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _build(self, statements: list[str]) -> None:
        import duckdb

        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        if self.path.exists():
            shutil.copyfile(self.path, beside)
        with duckdb.connect(str(beside)) as connection:
            for statement in statements:
                connection.execute(statement)
        beside.replace(self.path)

    def _empty(self, recipe: str, stage: str, schema: pa.Schema, cut: tuple[str, ...]) -> None:
        """A file without rows: a stage that nothing was made of yet is an empty view, not an error."""
        import pyarrow.parquet as pq

        folders = [f"{column}={NEVER[column]}" for column in cut]
        path = self.lake.joinpath(recipe, stage, *folders, "empty.parquet")
        if path.exists() and pq.read_schema(path).equals(schema):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        pq.write_table(schema.empty_table(), beside)
        beside.replace(path)

    def _statements(
        self, recipe: str, stages: Mapping[str, pa.Schema], cuts: Mapping[str, tuple[str, ...]]
    ) -> list[str]:
        made = [f"drop schema if exists {identifier(recipe)} cascade", f"create schema {identifier(recipe)}"]
        for stage, schema in stages.items():
            files = self.lake.joinpath(recipe, stage, *(f"{c}=*" for c in cuts[stage]), "*.parquet")
            hive = ", ".join(f"{literal(c)}: {'date' if c == 'round' else 'varchar'}" for c in cuts[stage])
            options = f", hive_partitioning = true, hive_types = {{{hive}}}" if hive else ""
            made.append(
                f"create view {identifier(recipe)}.{identifier(stage)} as "
                f"select {', '.join(map(identifier, schema.names))} "
                f"from read_parquet({literal(str(files))}, union_by_name = true{options})"
            )
        for path in sorted(VIEWS.glob("*.sql")):
            made.append(
                f"create view {identifier(recipe)}.{identifier(path.stem)} as "
                + path.read_text(encoding="utf-8").replace("{recipe}", identifier(recipe))
            )
        return made

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyRelation:
        """The answer to one query, read-only. UserError when the SQL is wrong."""
        import duckdb

        if not self.path.exists():
            raise UserError(f"{self.path} does not exist yet: `synth run NAME` makes it.")
        connection = duckdb.connect(str(self.path), read_only=True)
        try:
            return connection.sql(sql, params=dict(parameters or {}))
        except duckdb.Error as error:
            raise UserError(f"SQL: {error}") from error


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
