"""Bad luck, by seed: rounds against an endpoint that fails, while they are killed, run out of disk, run two
and three times at once, their clock moves, and files of their home are damaged; see tests/chaos.py.

    python benchmarks/chaos.py --seconds 300 --seed 7

A step that fails is printed with its seed, and `--seed` replays it; what depends on time, as some of the
kills, comes out a little otherwise. A full disk needs the right to mount one, and a moved clock a C compiler:
else files are limited in their size, and the clock is left alone.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import forked
from tests.chaos import Chaos, Disk, Memory, twice_paid
from tests.endpoint import Endpoint, reviewer
from tests.nights import Clock, compiler_there


def disk(folder: Path, end: ExitStack) -> Disk:
    """One that can be full, if this user may have it."""
    try:
        made = Memory(folder / "disk")
    except OSError:
        return Disk()
    end.callback(made.close)
    return made


def clock(folder: Path) -> Callable[[int], None] | None:
    """Sets the clock of all processes that are forked from now on, to so many seconds from now."""
    if not compiler_there():
        return None
    made, ahead = Clock(folder), 0
    os.environ |= made.variables

    def move(seconds: int) -> None:
        nonlocal ahead
        made.forward(seconds - ahead)
        ahead = seconds

    return move


def main() -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--plain", action="store_true", help="Dagster as it is, and not as quick as in tests")
    given = parser.parse_args()
    os.environ.setdefault("PYTEST_CURRENT_TEST", f"chaos/{given.seed}")  # says the endpoint's address
    kind = "tests.imported" if given.plain else "tests.clean_fork"
    forked.context.set_forkserver_preload([kind, "tests.chaos"])
    until, folder = time.monotonic() + given.seconds, Path(tempfile.mkdtemp(prefix="chaos-"))
    with ExitStack() as end:
        endpoint = end.enter_context(Endpoint(say=reviewer))
        chaos = Chaos(folder, endpoint, given.seed, disk(folder, end), clock(folder))
        number = 0
        while time.monotonic() < until:
            try:
                print(number, chaos.step(number), flush=True)
            except AssertionError as failure:
                end.pop_all()  # the home stays as it is
                did = "; ".join(chaos.did)
                print(f"step {number}: {did}: {failure}\n")
                print(f"--seed {given.seed} replays it. Its home: {chaos.home}")
                return 1
            number += 1
    shutil.rmtree(folder)
    print(f"{number} steps of seed {given.seed}, all as it should be: {figures(chaos)}")
    return 0


def figures(chaos: Chaos) -> str:
    """How often what happened, and what was paid."""
    happened = ", ".join(f"{what} {times}" for what, times in sorted(chaos.happened.items()))
    paid, again = chaos.paid + chaos.answered.total(), chaos.again + twice_paid(chaos.answered)
    return f"{happened}; {paid:,} answers, {again} of them again, which were in flight"


if __name__ == "__main__":
    sys.exit(main())
