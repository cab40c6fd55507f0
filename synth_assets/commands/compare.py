"""`synth compare`: two sets side by side."""

from __future__ import annotations

import argparse


def command(options: argparse.Namespace) -> None:
    from synth_assets.report.comparison import compare
    from synth_assets.report.pages import html, lines, save
    from synth_assets.resources.encoder import MiniLM

    found = compare(options.a, options.b, MiniLM())
    print("\n".join(lines(found)))
    if options.html:
        to = options.html.expanduser().absolute()
        title = f"{options.a} and {options.b}"
        save(html(title, "Two sets side by side. Intervals are 95 %.", found), to)
        print(f"\n{to}")
