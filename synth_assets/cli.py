"""The `synth` command: a thin hand on the same functions that the assets use."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.errors import UserError

if TYPE_CHECKING:
    from synth_assets.recipe import Recipe


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: done; 2: the user's mistake, said on standard error; 1: a check that blocks."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
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
    new.set_defaults(command=_new)

    check = commands.add_parser("check", help="say whether a recipe is right, without a model")
    check.add_argument("name")
    check.set_defaults(command=_check)

    run = commands.add_parser("run", help="make one round: all stages, in this process")
    run.add_argument("name")
    run.add_argument("--round", metavar="DATE", help="2026-11-22; default: today")
    run.add_argument("--rows", type=int, metavar="N", help="rows a cell instead of the recipe's number")
    run.add_argument(
        "--wait", action="store_true", help="with `mode: batch`: until the provider has answered"
    )
    run.set_defaults(command=_run)

    show = commands.add_parser("show", help="print rows of a stage")
    show.add_argument("name")
    show.add_argument("--stage", default="weighted")
    show.add_argument("-n", type=int, default=5, metavar="ROWS")
    show.set_defaults(command=_show)

    sql = commands.add_parser("sql", help="ask the warehouse: a query, or a .sql file")
    sql.add_argument("query")
    sql.add_argument("--csv", action="store_true", help="print as CSV")
    sql.set_defaults(command=_sql)

    verify = commands.add_parser("verify", help="derive the identity of every logged call again")
    verify.set_defaults(command=_verify)

    ui = commands.add_parser("ui", help="open the Dagster UI on the same data")
    ui.add_argument("--port", default="3000")
    ui.set_defaults(command=_ui)
    return parser


def _load(name: str) -> Recipe:
    from resources.home import recipes
    from synth_assets.recipe import load

    return load(recipes() / f"{name}.yaml")


def _new(options: argparse.Namespace) -> None:
    from resources.home import recipes
    from synth_assets.recipe import NAME

    if not NAME.fullmatch(options.name):
        raise UserError(f"a recipe's name has lower-case letters, digits and _, not {options.name!r}.")
    path = recipes() / f"{options.name}.yaml"
    if path.exists():
        raise UserError(f"{path} exists: choose another name, or edit it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (Path(__file__).parent / "new_recipe.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("TODAY", date.today().isoformat()), encoding="utf-8")
    print(f"wrote {path}\nedit it, then: synth check {options.name}")


def _check(options: argparse.Namespace) -> None:
    from synth_assets.checking import check_recipe

    for line in check_recipe(_load(options.name)):
        print(line)


def _run(options: argparse.Namespace) -> int:
    recipe = _load(options.name)
    if options.rows is not None:
        if options.rows < 1:
            raise UserError(f"--rows {options.rows}: ask for at least one row.")
        recipe = recipe.model_copy(update={"rows": options.rows})

    from partitions import today
    from synth_assets.running import RoundFailed, check_round, dagster_instance, run_round
    from synth_assets.summary import summary

    round_ = check_round(recipe, options.round or today(recipe.timezone))
    try:
        with dagster_instance() as instance:
            pending = run_round(recipe, round_, instance, wait=options.wait)
    except RoundFailed as failure:
        print(f"stopped by a check:\n{failure}", file=sys.stderr)
        return 1
    if pending:
        rows = "" if options.rows is None else f" --rows {options.rows}"
        again = f"synth run {recipe.name} --round {round_}{rows}"
        print("\n".join(["", *pending, "", f"Go on later: {again}", f"Or wait:     {again} --wait"]))
        return 0
    print("\n".join(["", *summary(recipe.name, round_)]))
    return 0


def _show(options: argparse.Namespace) -> None:
    from resources.warehouse import identifier
    from synth_assets.errors import unknown
    from synth_assets.summary import warehouse
    from synth_assets.tables import STAGES

    _load(options.name)
    if options.stage not in STAGES:
        raise unknown("stage", options.stage, STAGES)
    sql = f"select * from {identifier(options.name)}.{identifier(options.stage)} limit {int(options.n)}"
    answer = warehouse().query(sql)
    for row in answer.fetchall():
        shown = ("unknown" if value is None else value for value in row)
        lines = (f"{name:22}{value}" for name, value in zip(answer.columns, shown, strict=True))
        print("\n".join(lines), end="\n\n")


def _sql(options: argparse.Namespace) -> None:
    from synth_assets.summary import warehouse

    query = options.query
    if query.endswith(".sql"):
        query = Path(query).read_text(encoding="utf-8")
    answer = warehouse().query(query)
    if answer is None:
        return
    if options.csv:
        print(answer.df().to_csv(index=False), end="")
    else:
        answer.show(max_width=200, max_rows=200)


def _verify(_: argparse.Namespace) -> int:
    from resources.call_log import CallLog
    from resources.home import call_log

    log = CallLog(call_log())
    found = 0
    for row in log.verify():
        found += 1
        print(f"call {row.id}: its identity is {row.identity}, what it holds has {row.expected or 'none'}")
    print(f"{log.count():,} calls in {log.name}, {found:,} do not hold what their identity stands for")
    return 1 if found else 0


def _ui(options: argparse.Namespace) -> None:
    from synth_assets.running import dagster_instance

    workspace = Path("workspace.yaml")
    if not workspace.exists():
        workspace = Path(__file__).parents[1] / "workspace.yaml"
    with dagster_instance():  # sets DAGSTER_HOME, and ends runs whose process died
        pass
    dagster = Path(sys.executable).with_name("dagster")
    os.execv(dagster, [str(dagster), "dev", "-w", str(workspace), "-p", str(options.port)])


if __name__ == "__main__":
    sys.exit(main())
