"""The `synth` command: a thin hand on the same functions that the assets use."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.errors import UserError, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resources.call_log import CallLog
    from resources.lake import Lake
    from resources.warehouse import Warehouse
    from synth_assets.cleaning import Removal
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
    new.add_argument("--like", metavar="SYSTEM", help="one of the gallery, such as attrprompt, with its data")
    new.set_defaults(command=_new)

    check = commands.add_parser("check", help="say whether a recipe is right, without a model")
    check.add_argument("name")
    check.set_defaults(command=_check)

    run = commands.add_parser("run", help="make one round: all stages, in this process")
    run.add_argument("name")
    which = run.add_mutually_exclusive_group()
    which.add_argument("--round", metavar="DATE", help="2026-11-22; default: today")
    which.add_argument("--rounds", metavar="A..B", help="2026-11-01..2026-11-22, one after the other")
    run.add_argument("--rows", type=int, metavar="N", help="rows a cell instead of the recipe's number")
    run.add_argument(
        "--wait", action="store_true", help="with `mode: batch`: until the provider has answered"
    )
    run.set_defaults(command=_run)

    plan = commands.add_parser("plan", help="say what a round would make and cost, without a model")
    plan.add_argument("name")
    plan.add_argument("--round", metavar="DATE", help="2026-11-22; default: today")
    plan.add_argument("--rows", type=int, metavar="N", help="rows a cell instead of the recipe's number")
    plan.add_argument("--diff", metavar="FILE", help="as if the recipe were this file")
    plan.add_argument("--json", action="store_true", help="for programs")
    plan.set_defaults(command=_plan)

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
    sample.set_defaults(command=_sample)

    tune = commands.add_parser("tune", help="what a filter's threshold does to kept rows and to a student")
    tune.add_argument("name")
    tune.add_argument("--filter", metavar="NAME", help="default: every filter that has a threshold")
    tune.add_argument("--round", metavar="DATE", help="2026-11-22; default: the latest one")
    tune.set_defaults(command=_tune)

    show = commands.add_parser("show", help="print rows of a stage")
    show.add_argument("name")
    show.add_argument("--stage", default="weighted")
    show.add_argument("-n", type=int, default=5, metavar="ROWS")
    show.set_defaults(command=_show)

    sql = commands.add_parser("sql", help="ask the warehouse: a query, a .sql file, or a named query")
    what = sql.add_mutually_exclusive_group(required=True)
    what.add_argument("sql", nargs="?", help="SQL, or the path of a .sql file")
    what.add_argument("--query", metavar="NAME", help="a query that is there already: see --list")
    what.add_argument("--list", action="store_true", help="the named queries, with their parameters")
    sql.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="$NAME in the query")
    sql.add_argument("--csv", action="store_true", help="print as CSV")
    sql.set_defaults(command=_sql)

    trace = commands.add_parser("trace", help="tell the whole story of a row")
    trace.add_argument("row_id", help="how the id starts, at least 6 characters; or RECIPE.ROW_ID")
    trace.add_argument("--json", action="store_true", help="for a program")
    trace.set_defaults(command=_trace)

    verify = commands.add_parser("verify", help="is all of the call log and the lake there, and unchanged?")
    verify.add_argument("name", nargs="?", help="default: all recipes")
    verify.add_argument("--repair", action="store_true", help="make what is lost again, from the call log")
    verify.set_defaults(command=_verify)

    report = commands.add_parser("report", help="write a page on a round: cost, funnel, metrics, examples")
    report.add_argument("name")
    report.add_argument("--round", metavar="DATE", help="2026-11-22; default: the latest one")
    report.add_argument("--to", metavar="FILE", type=Path, help="default: among the reports in the data home")
    report.add_argument("--open", action="store_true", help="in the browser")
    report.set_defaults(command=_report)

    compare = commands.add_parser("compare", help="two sets side by side, measured again on the same rows")
    compare.add_argument("a", help="a recipe, RECIPE@2026-11-22, or the folder of an export")
    compare.add_argument("b", help="likewise")
    compare.add_argument("--html", metavar="FILE", type=Path, help="write it as a page too")
    compare.set_defaults(command=_compare)

    export = commands.add_parser("export", help="write the set into a folder, with its dataset card")
    export.add_argument("name")
    export.add_argument("--to", metavar="DIR", required=True, type=Path, help="a new folder")
    export.add_argument("--format", choices=["parquet", "jsonl", "hf"], default="hf")
    export.add_argument("--stage", default="weighted")
    export.add_argument("--round", metavar="DATE", help="2026-11-22; default: the latest one")
    export.set_defaults(command=_export)

    clean = commands.add_parser("clean", help="say what nobody needs any more, and remove it with --yes")
    clean.add_argument("name", nargs="?", help="default: all recipes")
    clean.add_argument("--keep-rounds", type=int, metavar="N", help="old rounds: all but the latest N")
    clean.add_argument("--before", metavar="DATE", help="old rounds: those before this day")
    clean.add_argument("--rejected-texts", action="store_true", help="texts of rejected rows; reasons stay")
    clean.add_argument("--gone", action="store_true", help="all rows of recipes whose YAML is gone")
    clean.add_argument("--yes", action="store_true", help="do it")
    clean.set_defaults(command=_clean)

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
    from synth_assets.recipe import NAME, TAKEN

    if not NAME.fullmatch(options.name):
        raise UserError(f"a recipe's name has lower-case letters, digits and _, not {options.name!r}.")
    if options.name in TAKEN:
        raise UserError(f"in SQL, {options.name} is the name of something else: choose another name.")
    path = recipes() / f"{options.name}.yaml"
    if path.exists():
        raise UserError(f"{path} exists: choose another name, or edit it.")
    source = _like(options.like) if options.like else Path(__file__).parent / "new_recipe.yaml"
    text = source.read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    for file in sorted(set(re.findall(r"\bdata/\w+\.\w+", text))) if options.like else ():
        if not Path(file).exists():
            Path(file).parent.mkdir(exist_ok=True)
            shutil.copyfile(source.parent / file, file)
            print(f"wrote {file}")
    path.write_text(text.replace("TODAY", date.today().isoformat()), encoding="utf-8")
    print(f"wrote {path}\nedit it, then: synth check {options.name}")


def _like(system: str) -> Path:
    gallery = Path(__file__).parent / "gallery"
    if not (gallery / f"{system}.yaml").is_file():
        raise unknown("system of the gallery", system, [path.stem for path in gallery.glob("*.yaml")])
    return gallery / f"{system}.yaml"


def _check(options: argparse.Namespace) -> None:
    from synth_assets.checking import check_recipe

    for line in check_recipe(_load(options.name)):
        print(line)


def _with_rows(recipe: Recipe, rows: int | None) -> Recipe:
    if rows is None:
        return recipe
    if rows < 1:
        raise UserError(f"--rows {rows}: ask for at least one row.")
    return recipe.model_copy(update={"rows": rows})


def _run(options: argparse.Namespace) -> int:
    recipe = _with_rows(_load(options.name), options.rows)

    from partitions import today
    from synth_assets.running import RoundFailed, check_rounds, dagster_instance, run_round
    from synth_assets.summary import summary

    rounds = check_rounds(recipe, options.rounds or options.round or today(recipe.timezone))
    pending: list[str] = []
    try:
        with dagster_instance() as instance:
            for round_ in rounds:
                pending += run_round(recipe, round_, instance, wait=options.wait)
    except RoundFailed as failure:
        print(f"stopped by a check:\n{failure}", file=sys.stderr)
        return 1
    if pending:
        which = f"--rounds {options.rounds}" if options.rounds else f"--round {rounds[-1]}"
        rows = "" if options.rows is None else f" --rows {options.rows}"
        again = f"synth run {recipe.name} {which}{rows}"
        print("\n".join(["", *pending, "", f"Go on later: {again}", f"Or wait:     {again} --wait"]))
        return 0
    print("\n".join(["", *summary(recipe.name, rounds[-1])]))
    return 0


def _plan(options: argparse.Namespace) -> None:
    from partitions import today
    from resources.call_log import CallLog
    from resources.home import call_log, home
    from resources.lake import Lake
    from synth_assets.planning import as_json, plan, report
    from synth_assets.recipe import load
    from synth_assets.running import check_round, dagster_instance

    recipe = _with_rows(_load(options.name), options.rows)
    if options.diff:
        recipe = _with_rows(load(Path(options.diff)).model_copy(update={"name": recipe.name}), options.rows)
    round_ = check_round(recipe, options.round or today(recipe.timezone))
    with dagster_instance() as instance:
        lines = plan(recipe, round_, instance, Lake(home() / "lake"), CallLog(call_log()))
    print(as_json(lines) if options.json else "\n".join(report(lines)))


def _sample(options: argparse.Namespace) -> None:
    from resources.home import home
    from resources.lake import Lake
    from synth_assets.evaluation.faithfulness import sample_size
    from synth_assets.sampling import latest, sample_pairs, sample_rows

    recipe, lake = _load(options.name), Lake(home() / "lake")
    if options.to.exists():
        raise UserError(f"{options.to} exists: people may have filled in some of it. Choose another name.")
    if not options.to.absolute().parent.is_dir():
        raise UserError(f"--to {options.to}: there is no folder {options.to.parent}.")
    if options.n is None and not 0 < options.width < 1:
        raise UserError(f"--width {options.width}: it is between 0 and 1.")
    if options.n is not None and options.n < 1:
        raise UserError(f"-n {options.n}: people are shown one row or more.")
    round_ = _day(options.round) if options.round else latest(recipe, lake)
    n = sample_size(options.width) if options.n is None else options.n
    for line in (sample_pairs if options.pairs else sample_rows)(recipe, lake, round_, n, options.to):
        print(line)
    if options.n is None:
        print(f"An interval of width {options.width:g} takes {n:,}.")


def _tune(options: argparse.Namespace) -> None:
    from resources.encoder import MiniLM
    from resources.home import home
    from resources.lake import Lake
    from synth_assets.students.made import build
    from synth_assets.tuning import Tuning, draw, latest, report, tunable

    recipe, lake = _load(options.name), Lake(home() / "lake")
    names = tunable(recipe, options.filter)
    round_ = _day(options.round) if options.round else latest(recipe, lake)
    encoder = MiniLM()
    student = build(recipe.student, encoder.encode, encoder.folder)
    tuning = Tuning(recipe, lake, round_, encoder.encode, student)
    print(f"{recipe.name}, round {round_}; accuracy on the validation split")
    for name in names:
        for sweep in tuning.sweeps(name):
            picture = home() / "reports" / recipe.name / f"tune_{name}_{sweep.bound}.png"
            draw(sweep, picture)
            print("\n".join(["", *report(sweep), f"picture: {picture}"]))


def _show(options: argparse.Namespace) -> None:
    from resources.warehouse import identifier
    from synth_assets.summary import warehouse
    from synth_assets.tables import stages

    known = stages(_load(options.name))
    if options.stage not in known:
        raise unknown("stage", options.stage, known)
    sql = f"select * from {identifier(options.name)}.{identifier(options.stage)} limit {int(options.n)}"
    answer = warehouse().query(sql)
    for row in answer.fetchall():
        shown = ("unknown" if value is None else value for value in row)
        lines = (f"{name:22}{value}" for name, value in zip(answer.columns, shown, strict=True))
        print("\n".join(lines), end="\n\n")


def _sql(options: argparse.Namespace) -> None:
    from synth_assets.queries import parameters, queries, query

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
    answer = _warehouse().query(sql, given)
    if answer is None:
        return
    if options.csv:
        print(answer.df().to_csv(index=False), end="")
    else:
        answer.show(max_width=200, max_rows=200)


def _trace(options: argparse.Namespace) -> None:
    import json

    from synth_assets.trace import story, tell

    found = story(_warehouse(), options.row_id)
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(tell(found)))


def _warehouse() -> Warehouse:
    """The warehouse with all recipes as they are now; what is wrong with some of them is no obstacle."""
    from synth_assets.views import current

    warehouse, wrong = current()
    for words in wrong:
        print(f"note: {words}", file=sys.stderr)
    return warehouse


def _verify(options: argparse.Namespace) -> int:
    from resources.call_log import CallLog
    from resources.home import call_log

    log = CallLog(call_log())
    found = 0
    for row in log.verify():
        found += 1
        print(f"call {row.id}: its identity is {row.identity}, what it holds has {row.expected or 'none'}")
    print(f"{log.count():,} calls in {log.name}, {found:,} do not hold what their identity stands for")
    for recipe in _recipes(options.name):
        found += _verify_lake(recipe, log, options.repair)
    return 1 if found else 0


def _recipes(name: str | None) -> list[Recipe]:
    """This recipe, or all of them."""
    from resources.home import recipes

    return [_load(name)] if name else [_load(path.stem) for path in sorted(recipes().glob("*.yaml"))]


def _verify_lake(recipe: Recipe, log: CallLog, repairs: bool) -> int:
    """How many partitions of the recipe are not as they were made, in the end."""
    from resources.home import home
    from resources.lake import Lake
    from synth_assets.integrity import damages, repair
    from synth_assets.running import RoundFailed, dagster_instance

    lake = Lake(home() / "lake")
    with dagster_instance() as instance:
        found = list(damages(recipe, lake, instance))
        for damage in found:
            print(damage.why)
        if found and repairs:
            try:
                for words in repair(recipe, found, lake, instance, log):
                    print(words)
            except RoundFailed as failure:
                print(f"stopped by a check:\n{failure}", file=sys.stderr)
            found = list(damages(recipe, lake, instance))
    print(f"{recipe.name}: {len(found):,} partitions are missing or not as they were made")
    return len(found)


def _export(options: argparse.Namespace) -> None:
    from resources.home import home
    from resources.lake import Lake
    from synth_assets.exporting import export
    from synth_assets.summary import warehouse
    from synth_assets.tables import stages
    from synth_assets.views import show

    recipe = _load(options.name)
    if options.stage not in stages(recipe):
        raise unknown("stage", options.stage, stages(recipe))
    if options.stage in ("calls", "feedback"):
        raise UserError(f"--stage {options.stage} has no rows of the set: try weighted, or generations.")
    round_, to = options.round and _day(options.round), options.to.expanduser().absolute()
    show(warehouse(), recipe)
    lake = Lake(home() / "lake")
    rows = export(recipe, lake, warehouse(), to, options.format, options.stage, round_)
    print(f"{rows:,} rows and their card are in {to}")


def _report(options: argparse.Namespace) -> None:
    import webbrowser

    from synth_assets.reporting import latest_round, place, write
    from synth_assets.summary import warehouse
    from synth_assets.views import show

    recipe = _load(options.name)
    show(warehouse(), recipe)
    asked = options.round and _day(options.round)
    round_ = latest_round(recipe, warehouse(), "generations", asked)
    to = options.to.expanduser().absolute() if options.to else place(recipe.name, round_)
    write(recipe, warehouse(), round_, to)
    print(to)
    if options.open and not webbrowser.open(to.as_uri()):
        print("note: no browser was found here: open the file by hand.", file=sys.stderr)


def _compare(options: argparse.Namespace) -> None:
    from resources.encoder import MiniLM
    from synth_assets.comparing import compare
    from synth_assets.pages import html, lines, save

    found = compare(options.a, options.b, MiniLM())
    print("\n".join(lines(found)))
    if options.html:
        to = options.html.expanduser().absolute()
        title = f"{options.a} and {options.b}"
        save(html(title, "Two sets side by side. Intervals are 95 %.", found), to)
        print(f"\n{to}")


def _clean(options: argparse.Namespace) -> None:
    from resources.home import home
    from resources.lake import Lake
    from synth_assets.cleaning import remove, report
    from synth_assets.running import dagster_instance

    lake = Lake(home() / "lake")
    removals = list(_removals(options, lake))
    print("\n".join(report(removals)) if removals else "nothing to remove.")
    if options.yes and removals:
        with dagster_instance() as instance:
            left = list(remove(removals, lake, instance))
        print("\n".join(["", *left, f"removed {len(removals) - len(left):,} of {len(removals):,}."]))
        print("The call log stays: what was paid comes back free when it is made again.")
    elif removals:
        print("\nnothing was removed: add --yes to do it. The call log stays in any case.")


def _removals(options: argparse.Namespace, lake: Lake) -> Iterator[Removal]:
    from resources.home import recipes
    from synth_assets import cleaning

    if options.keep_rounds is not None and options.keep_rounds < 1:
        raise UserError(f"--keep-rounds {options.keep_rounds}: keep at least one round.")
    before, keep = options.before and _day(options.before), options.keep_rounds
    yield from cleaning.unfinished(lake)
    if options.gone:
        if not recipes().is_dir():
            raise UserError(f"--gone: there is no folder {recipes()}: set SYNTH_RECIPES.")
        yield from cleaning.gone([path.stem for path in recipes().glob("*.yaml")], lake)
    rounds = keep is not None or before
    for recipe in _recipes(options.name):
        if rounds:
            yield from cleaning.old_rounds(recipe, lake, keep, before)
        if options.rejected_texts:
            yield from cleaning.rejected_texts(recipe, lake)
        if not (rounds or options.rejected_texts or options.gone):
            yield from cleaning.orphans(recipe, lake)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UserError(f"{text!r} is no date: write it as {date.today().isoformat()}.") from None


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
