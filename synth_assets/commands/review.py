"""`synth review`: let people answer what a recipe asks about its rows, on a page in their browser."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from synth_assets.commands.options import add_round, recipe_named
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.review import HOST, PORT

TOKEN = "SYNTH_REVIEW_TOKEN"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    add_round(parser)
    files = parser.add_mutually_exclusive_group()
    kinds = ".csv, .jsonl, .json (Label Studio) or .conll"
    files.add_argument("--export", metavar="FILE", type=Path, help=f"write what was decided: {kinds}")
    files.add_argument("--import", metavar="FILE", type=Path, dest="take", help="take what a file says")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--host", default=HOST, help=f"0.0.0.0 for other machines, which {TOKEN} lets in")
    parser.add_argument(
        "--person", help="your name beside your answers; the page, or a file, may say another"
    )


def command(options: argparse.Namespace) -> None:
    from synth_assets.review.opened import opened
    from synth_assets.review.server import Site, listening, serve

    recipe = recipe_named(options.name)
    if options.export or options.take:
        for line in _file(recipe, options):
            print(line)
        return
    desk = opened(recipe, options.round)
    token = os.environ.get(TOKEN) or None
    with listening(options.host, options.port, token) as listens:
        here = HOST if options.host == "0.0.0.0" else options.host
        print(f"{recipe.name}, {desk.rows.round}: {desk.queue.left:,} rows to look at.")
        print(
            f"http://{here}:{listens.getsockname()[1]} (Ctrl-C ends it; each answer is stored at once)",
            flush=True,
        )
        with suppress(KeyboardInterrupt):
            serve(Site(desk, token, options.person or _user()).app(), [listens])


def _file(recipe: Recipe, options: argparse.Namespace) -> Iterator[str]:
    from synth_assets.review import files

    if options.export:
        return files.export(recipe, options.export, options.round)
    return files.take(recipe, options.take, options.person or "")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "me"
