"""`synth show`: print rows of a stage."""

import argparse

from synth_assets.commands.options import recipe_named
from synth_assets.commands.output import add_json
from synth_assets.core.errors import unknown


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--stage", default="weighted")
    parser.add_argument("-n", type=int, default=5, metavar="ROWS")
    add_json(parser)


def command(options: argparse.Namespace) -> None:
    from synth_assets.resources.home import warehouse
    from synth_assets.resources.storage.warehouse import identifier
    from synth_assets.stages.tables import stages

    known = stages(recipe_named(options.name))
    if options.stage not in known:
        raise unknown("stage", options.stage, known)
    sql = f"select * from {identifier(options.name)}.{identifier(options.stage)} limit {int(options.n)}"
    answer = warehouse().query(sql)
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]
    options.out.give(recipe=options.name, stage=options.stage, rows=rows)
    for row in rows:
        options.out.lines(f"{name:22}{'unknown' if v is None else v}" for name, v in row.items())
        options.out.lines([""])
