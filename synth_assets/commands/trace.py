"""`synth trace`: the whole story of a row."""

from __future__ import annotations

import argparse

from synth_assets.commands.options import current_warehouse


def command(options: argparse.Namespace) -> None:
    import json

    from synth_assets.report.trace import story, tell

    found = story(current_warehouse(), options.row_id)
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(tell(found)))
