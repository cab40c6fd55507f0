"""`synth report`: write a page on a round: cost, funnel, metrics, examples."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.commands.options import add_round, recipe_named
from synth_assets.commands.output import add_json

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    add_round(parser)
    parser.add_argument("--to", metavar="FILE", type=Path, help="default: among the reports in the data home")
    add_json(parser)
    parser.add_argument("--open", action="store_true", help="in the browser")


def page(recipe: Recipe, round_: str | None = None, to: Path | None = None) -> Path:
    """Writes the page of a round, by default of the latest; returns where it is."""
    from synth_assets.report.one_round import latest_round, place
    from synth_assets.report.round import write
    from synth_assets.report.views import show
    from synth_assets.resources.home import shared

    warehouse = show(recipe)
    round_ = latest_round(recipe, "generations", round_)
    if to is not None:
        write(recipe, warehouse, round_, to := to.expanduser().absolute())
        return to
    here = place(recipe.name, round_)
    write(recipe, warehouse, round_, here)
    shared(here.parent, here.name, changed=True)
    return here


def command(options: argparse.Namespace) -> None:
    import webbrowser

    from synth_assets.report.one_round import Round, latest_round
    from synth_assets.resources.home import warehouse

    recipe = recipe_named(options.name)
    to = page(recipe, options.round, options.to)
    round_ = latest_round(recipe, "generations", options.round)
    options.out.give(page=to, **Round(recipe, warehouse(), round_).data())
    options.out.lines([to])
    if options.open and not webbrowser.open(to.as_uri()):
        print("note: no browser was found here: open the file by hand.", file=sys.stderr)
