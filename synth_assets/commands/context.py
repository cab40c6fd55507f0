"""`synth context`: print on one page all that a recipe may say here, for a coding agent or a person."""

import argparse

from synth_assets.commands.options import COMMANDS, said_of


def options(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def command(options: argparse.Namespace) -> None:
    from synth_assets.planning.reference import page

    print("\n".join(page({name: said_of(name) for name in COMMANDS})))
