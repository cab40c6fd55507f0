"""`synth sql`: ask the warehouse: a query, a .sql file, or a named query."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from shutil import get_terminal_size

from synth_assets.commands.options import current_warehouse
from synth_assets.resources.home import lake, needed
from synth_assets.resources.storage.delta_sql import named_only, statements
from synth_assets.resources.storage.quoted import identifier, literal
from synth_assets.sql.named import parameters, queries, query


def options(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("sql", nargs="?", help="SQL, or the path of a .sql file")
    what.add_argument("--query", metavar="NAME", help="a query that is there already: see --list")
    what.add_argument("--list", action="store_true", help="the named queries, with their parameters")
    what.add_argument(
        "--init", action="store_true", help="what another DuckDB client runs first, to read an object store"
    )
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="$NAME in the query"
    )
    parser.add_argument("--csv", action="store_true", help="print as CSV")


def command(options: argparse.Namespace) -> None:
    if options.list:
        for named in queries().values():
            print(f"{named.name:24}{named.answers}")
            for name, what in named.parameters.items():
                print(f"{'':24}--param {name}=...  {what}")
        return
    if options.init:
        print("\n".join(_init()))
        return
    given, sql = parameters(options.param), options.sql
    if options.query:
        named = query(options.query)
        given, sql = named.bind(given), named.sql
    elif sql.endswith(".sql"):
        sql = Path(sql).read_text(encoding="utf-8")
    needed()
    answer = current_warehouse().query(sql, given)
    if answer is None:
        return
    if options.csv:
        print(answer.df().to_csv(index=False), end="")
    else:
        answer.show(max_width=get_terminal_size((200, 0)).columns, max_rows=200)


def _init() -> Iterator[str]:
    """The statements, without a key: the variables that hold it are named in its place."""
    rows = lake()
    if rows.tables is None:
        yield f"attach {literal(str(current_warehouse().path))} as synth (read_only);"
        return
    for statement in statements(rows.tables.where, named_only(os.environ)):
        yield f"{statement};"
    for recipe in rows.recipes():
        yield f"create schema if not exists {identifier(recipe)};"
        for stage in sorted({stage for stage, _ in rows.everything(recipe)}):
            view = f"{identifier(recipe)}.{identifier(stage)}"
            yield f"create or replace view {view} as {rows.tables.select(recipe, stage)};"
