"""`synth compare`: two sets side by side."""

from __future__ import annotations

import argparse


def command(options: argparse.Namespace) -> None:
    from synth_assets.report.comparison import compare
    from synth_assets.report.pages import html, lines
    from synth_assets.resources.home import encoder
    from synth_assets.resources.storage.files import write

    found = compare(options.a, options.b, encoder())
    print("\n".join(lines(found)))
    if options.html:
        to = options.html.expanduser().absolute()
        title = f"{options.a} and {options.b}"
        write(to, html(title, "Two sets side by side. Intervals are 95 %.", found))
        print(f"\n{to}")
