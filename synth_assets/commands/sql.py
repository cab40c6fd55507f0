"""`synth sql`: ask the warehouse: a query, a .sql file, or a named query."""

import argparse
from pathlib import Path
from shutil import get_terminal_size

from synth_assets.commands.options import current_warehouse
from synth_assets.resources.home import needed
from synth_assets.sql.named import parameters, queries, query


def options(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("sql", nargs="?", help="SQL, or the path of a .sql file")
    what.add_argument("--query", metavar="NAME", help="a query that is there already: see --list")
    what.add_argument("--list", action="store_true", help="the named queries, with their parameters")
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
