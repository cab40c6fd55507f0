"""`synth report`: a page on a round."""

from __future__ import annotations

import argparse
import sys

from synth_assets.commands.options import as_day, recipe_named


def command(options: argparse.Namespace) -> None:
    import webbrowser

    from synth_assets.report.one_round import latest_round, place
    from synth_assets.report.round import write
    from synth_assets.resources.home import warehouse
    from synth_assets.stages.views import show

    recipe = recipe_named(options.name)
    show(warehouse(), recipe)
    asked = options.round and as_day(options.round)
    round_ = latest_round(recipe, warehouse(), "generations", asked)
    to = options.to.expanduser().absolute() if options.to else place(recipe.name, round_)
    write(recipe, warehouse(), round_, to)
    print(to)
    if options.open and not webbrowser.open(to.as_uri()):
        print("note: no browser was found here: open the file by hand.", file=sys.stderr)
