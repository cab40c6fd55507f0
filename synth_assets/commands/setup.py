"""`synth setup`: get the embedded model and the encoder, and check that they are whole."""

import argparse


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="embedded (a model to try with), encoder; default: both"
    )


def command(options: argparse.Namespace) -> None:
    from synth_assets.core.errors import unknown
    from synth_assets.resources.packages import PARTS

    for name in options.parts or PARTS:
        if name not in PARTS:
            raise unknown("part", name, PARTS)
    for name in options.parts or PARTS:
        part = PARTS[name]
        part.get()
        print(f"{part.what} ({part.package}) is there; its SHA-256 is right")
