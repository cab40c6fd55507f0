"""The `synth` command: a thin hand on the same functions that the assets use."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from synth_assets.core.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: done; 2: the user's mistake, said on standard error; 1: a check that blocks."""
    options = _parser().parse_args(arguments)
    try:
        module = import_module(f"synth_assets.commands.{options.command}")  # each loads what it alone needs
        return module.command(options) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # synth show ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"error: {error}. What was there before stays; mend this and run again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run again to go on: what was answered is kept.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="synth", description="Synthetic text data sets from recipes.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    new = commands.add_parser("new", help="write a commented recipe to start from")
    new.add_argument("name")
    new.add_argument("--like", metavar="SYSTEM", help="one of the gallery, such as attrprompt, with its data")
    new.set_defaults(command="new")

    check = commands.add_parser("check", help="say whether a recipe is right, without a model")
    check.add_argument("name")
    check.set_defaults(command="check")

    run = commands.add_parser("run", help="make one round: all stages, in this process")
    run.add_argument("name")
    which = run.add_mutually_exclusive_group()
    which.add_argument("--round", metavar="DATE", help="2026-11-22; default: today")
    which.add_argument("--rounds", metavar="A..B", help="2026-11-01..2026-11-22, one after the other")
    run.add_argument("--rows", type=int, metavar="N", help="rows a cell instead of the recipe's number")
    run.add_argument(
        "--wait", action="store_true", help="with `mode: batch`: until the provider has answered"
    )
    run.set_defaults(command="run")

    plan = commands.add_parser("plan", help="say what a round would make and cost, without a model")
    plan.add_argument("name")
    plan.add_argument("--round", metavar="DATE", help="2026-11-22; default: today")
    plan.add_argument("--rows", type=int, metavar="N", help="rows a cell instead of the recipe's number")
    plan.add_argument("--diff", metavar="FILE", help="as if the recipe were this file")
    plan.add_argument("--json", action="store_true", help="for programs")
    plan.set_defaults(command="plan")

    sample = commands.add_parser("sample", help="draw kept rows for people to label: labelled.human")
    sample.add_argument("name")
    size = sample.add_mutually_exclusive_group()
    size.add_argument("-n", type=int, metavar="ROWS")
    size.add_argument("--width", type=float, default=0.1, help="of the interval of the share of right ones")
    sample.add_argument(
        "--pairs", action="store_true", help="pairs that the judge compares, for people: metrics.judge.people"
    )
    sample.add_argument("--round", metavar="DATE", help="2026-11-22; default: the latest one")
    sample.add_argument("--to", metavar="FILE", required=True, type=Path, help="a new CSV file")
    sample.set_defaults(command="sample")

    tune = commands.add_parser("tune", help="what a filter's threshold does to kept rows and to a student")
    tune.add_argument("name")
    tune.add_argument("--filter", metavar="NAME", help="default: every filter that has a threshold")
    tune.add_argument("--round", metavar="DATE", help="2026-11-22; default: the latest one")
    tune.set_defaults(command="tune")

    show = commands.add_parser("show", help="print rows of a stage")
    show.add_argument("name")
    show.add_argument("--stage", default="weighted")
    show.add_argument("-n", type=int, default=5, metavar="ROWS")
    show.set_defaults(command="show")

    sql = commands.add_parser("sql", help="ask the warehouse: a query, a .sql file, or a named query")
    what = sql.add_mutually_exclusive_group(required=True)
    what.add_argument("sql", nargs="?", help="SQL, or the path of a .sql file")
    what.add_argument("--query", metavar="NAME", help="a query that is there already: see --list")
    what.add_argument("--list", action="store_true", help="the named queries, with their parameters")
    sql.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="$NAME in the query")
    sql.add_argument("--csv", action="store_true", help="print as CSV")
    sql.set_defaults(command="sql")

    trace = commands.add_parser("trace", help="tell the whole story of a row")
    trace.add_argument("row_id", help="how the id starts, at least 6 characters; or RECIPE.ROW_ID")
    trace.add_argument("--json", action="store_true", help="for a program")
    trace.set_defaults(command="trace")

    verify = commands.add_parser("verify", help="is all of the call log and the lake there, and unchanged?")
    verify.add_argument("name", nargs="?", help="default: all recipes")
    verify.add_argument("--repair", action="store_true", help="make what is lost again, from the call log")
    verify.set_defaults(command="verify")

    report = commands.add_parser("report", help="write a page on a round: cost, funnel, metrics, examples")
    report.add_argument("name")
    report.add_argument("--round", metavar="DATE", help="2026-11-22; default: the latest one")
    report.add_argument("--to", metavar="FILE", type=Path, help="default: among the reports in the data home")
    report.add_argument("--open", action="store_true", help="in the browser")
    report.set_defaults(command="report")

    compare = commands.add_parser("compare", help="two sets side by side, measured again on the same rows")
    compare.add_argument("a", help="a recipe, RECIPE@2026-11-22, or the folder of an export")
    compare.add_argument("b", help="likewise")
    compare.add_argument("--html", metavar="FILE", type=Path, help="write it as a page too")
    compare.set_defaults(command="compare")

    export = commands.add_parser("export", help="write the set into a folder, with its dataset card")
    export.add_argument("name")
    export.add_argument("--to", metavar="DIR", required=True, type=Path, help="a new folder")
    export.add_argument("--format", choices=["parquet", "jsonl", "hf"], default="hf")
    export.add_argument("--stage", default="weighted")
    export.add_argument("--round", metavar="DATE", help="2026-11-22; default: the latest one")
    export.set_defaults(command="export")

    clean = commands.add_parser("clean", help="say what nobody needs any more, and remove it with --yes")
    clean.add_argument("name", nargs="?", help="default: all recipes")
    clean.add_argument("--keep-rounds", type=int, metavar="N", help="old rounds: all but the latest N")
    clean.add_argument("--before", metavar="DATE", help="old rounds: those before this day")
    clean.add_argument("--rejected-texts", action="store_true", help="texts of rejected rows; reasons stay")
    clean.add_argument("--gone", action="store_true", help="all rows of recipes whose YAML is gone")
    clean.add_argument("--yes", action="store_true", help="do it")
    clean.set_defaults(command="clean")

    ui = commands.add_parser("ui", help="open the Dagster UI on the same data")
    ui.add_argument("--port", default="3000")
    ui.set_defaults(command="ui")
    return parser


if __name__ == "__main__":
    sys.exit(main())
