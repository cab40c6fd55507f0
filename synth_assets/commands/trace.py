"""`synth trace`: tell the whole story of a row."""

import argparse

from synth_assets.commands.options import current_warehouse
from synth_assets.commands.output import add_json


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("row_id", help="how the id starts, at least 6 characters; or RECIPE.ROW_ID")
    add_json(parser)


def command(options: argparse.Namespace) -> None:
    from synth_assets.report.trace import story, tell
    from synth_assets.resources.home import needed

    needed()
    found = story(current_warehouse(), options.row_id)
    options.out.give(**found)
    options.out.lines(tell(found))
