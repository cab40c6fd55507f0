"""Thirty nights with the real daemon under a moved clock: two without an endpoint, the power cut in
generation, between stages and in filtering, three nights off, a typo, an edit, a batch, a budget, both
changes of the clocks; see tests/nights_played.py. Linux, with a C compiler.

    python benchmarks/thirty_nights.py
    python benchmarks/thirty_nights.py --first 2026-10-29    # without the plain nights before

Prints how long each night took, and what should be empty: rounds that are not
whole, tables that are others than those of undisturbed nights. Calls in flight at a cut may be paid twice.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.batch_endpoint import BatchEndpoint
from tests.endpoint import Endpoint
from tests.nights_played import differs, play

FIRST = "2026-10-12"  # and the night in March


def main() -> int:
    parser = ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--first", default=FIRST)
    first, began = parser.parse_args().first, time.monotonic()
    with TemporaryDirectory() as folder, Endpoint(say=lambda _: "fine") as hook, BatchEndpoint() as provider:
        played = play(Path(folder), provider, hook, first, loud=True)
        seconds, asked = time.monotonic() - began, played.asked
        said = played.machine.synth("nights", "reviews", "--last", "40", "--json")
        nights = json.loads(said)["nights"]
        wrong = {
            "not whole": [n for n in nights if n["state"] not in ("whole", "stale")],
            "out of order": [] if played.machine.made("metrics") == played.rounds else played.rounds,
            "other tables": differs(played),
        }
        paid_twice = sum(times - 1 for times in asked.values())
        figures = {
            "nights": len(played.rounds),
            "minutes": round(seconds / 60, 1),
            "calls": sum(asked.values()),
            "paid_twice": paid_twice,
            "in_flight_at_cuts": played.in_flight,
            "messages": played.messages,
            **wrong,
        }
    print(json.dumps(figures, indent=2))
    return int(any(wrong.values()) or paid_twice > played.in_flight)


if __name__ == "__main__":
    sys.exit(main())
