"""`synth compare`: two sets side by side, measured again on the same rows."""

import argparse
from pathlib import Path

from synth_assets.commands.output import add_json


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", help="a recipe, RECIPE@2026-11-22, or the folder of an export")
    parser.add_argument("b", help="likewise")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write it as a page too")
    add_json(parser)


def command(options: argparse.Namespace) -> None:
    from synth_assets.report.comparison import compare
    from synth_assets.report.pages import data, html, lines
    from synth_assets.resources.home import encoder
    from synth_assets.resources.storage.files import write

    found = compare(options.a, options.b, encoder())
    options.out.give(a=options.a, b=options.b, sections=data(found))
    options.out.lines(lines(found))
    if options.html:
        to = options.html.expanduser().absolute()
        title = f"{options.a} and {options.b}"
        write(to, html(title, "Two sets side by side. Intervals are 95 %.", found))
        options.out.give(page=to)
        options.out.lines(["", to])
