"""Servers of the review page that kill themselves: forks of a process that has imported all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synth_assets.recipe.load import load
from synth_assets.resources import home
from synth_assets.review.desk import Desk
from synth_assets.review.rows import Rows
from tests.review.made_up import ROUND, serving

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def servers(port: int) -> Iterator[Callable[[str], None]]:
    """Starts servers of the round in this folder, each when the one before it has died."""
    command = [sys.executable, "-m", "tests.review.killed", str(port)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True
    )
    assert process.stdin
    assert process.stdout

    def start(dies: str) -> None:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{dies}\n".encode())
        process.stdin.flush()
        assert process.stdout.readline() == b"listens\n"

    try:
        yield start
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


def main(port: int) -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            serve(port, line.strip())
        os.waitpid(pid, 0)


def serve(port: int, dies: str) -> None:
    """Dies where the second decision that it is given is stored."""
    recipe = load(Path("recipes/reviews.yaml"))
    store = home.decisions()
    of = Desk(recipe, Rows(recipe, home.lake(), ROUND), store)
    append, given = store.append, list[Any]()

    def appended(*decisions: Any) -> int:
        given.extend(decisions)
        if len(given) == 2 and dies == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        new = append(*decisions)
        if len(given) == 2 and dies == "behind":
            os.kill(os.getpid(), signal.SIGKILL)
        return new

    store.append = appended  # type: ignore[method-assign]
    with serving(of, port):
        print("listens", flush=True)
        time.sleep(600)


if __name__ == "__main__":
    main(int(sys.argv[1]))
