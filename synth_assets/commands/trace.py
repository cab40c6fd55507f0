"""`synth trace`: tell the whole story of a row."""

import argparse
import json

from synth_assets.commands.options import current_warehouse


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("row_id", help="how the id starts, at least 6 characters; or RECIPE.ROW_ID")
    parser.add_argument("--json", action="store_true", help="for a program")


def command(options: argparse.Namespace) -> None:
    from synth_assets.report.trace import story, tell

    found = story(current_warehouse(), options.row_id)
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(tell(found)))
