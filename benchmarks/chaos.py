"""Bad luck, by seed: rounds against an endpoint that fails, while they are killed, run out of disk, run twice
at once, and files of their home are damaged.

    python benchmarks/chaos.py --seconds 300 --seed 7

Each step makes the next round, which is disturbed; then one file of the home is damaged, and verified.
After a repair and a run, the tables must be those of a home that nothing happened to, and nothing was asked
twice but what was in flight when a process died. A step that fails is printed with its seed, and `--seed`
replays it; what depends on time, as the moment of a kill, comes out a little otherwise.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.commands.test_each_file import DAMAGES, RECIPE
from tests.conftest import SEEDS
from tests.endpoint import Endpoint, Played, reviewer

FIRST, IN_FLIGHT = date(2026, 1, 1), 16
NO_OUTCOME = ("Traceback", "It is a fault of synth-assets")


class Chaos:
    """A home in which things go wrong, and one in which nothing does."""

    def __init__(self, folder: Path, endpoint: Endpoint, seed: int) -> None:
        self.folder, self.endpoint, self.seed = folder, endpoint, seed
        self.lost = 0  # processes that died or were stopped while they asked
        self.fails = False
        self.did = ""  # in this step, in words
        self.answered: Counter[str] = Counter()
        endpoint.play, endpoint.logprobs, endpoint.delay_s = self.play, False, 0.05
        (folder / "recipes").mkdir()
        (folder / "seeds.csv").write_text(SEEDS)
        (folder / "recipes" / "films.yaml").write_text(f"start: {FIRST}\n{RECIPE}")

    def play(self, body: dict[str, Any]) -> Played | None:
        if self.fails and random.random() < 0.1:
            return Played(
                random.choice([429, 500, 503]), {"error": {"message": "busy"}}, {"Retry-After": "0"}
            )
        self.answered[json.dumps(body, sort_keys=True)] += 1
        return None

    def start(self, *given: str, home: str = "home", limit: int = 0) -> subprocess.Popen[str]:
        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        env = {**os.environ, "SYNTH_MODEL": "scripted", "OPENAI_BASE_URL": self.endpoint.url}
        command = [sys.executable, "-m", "synth_assets.cli", *given]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=env | {"SYNTH_HOME": str(self.folder / home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=limited if limit else None,
        )

    def ends(self, process: subprocess.Popen[str], *allowed: int) -> str:
        said, _ = process.communicate()
        assert not any(words in said for words in NO_OUTCOME), said
        assert process.returncode in allowed, f"status {process.returncode}: {said}"
        return said

    def tables(self, home: str) -> dict[str, bytes]:
        lake = self.folder / home / "lake"
        found = (path for path in lake.rglob("part.parquet") if "calls" not in path.parts)
        return {str(path.relative_to(lake)): path.read_bytes() for path in found}

    def step(self, number: int) -> str:
        """What was done, in words. AssertionError when something did not hold."""
        draw, day = random.Random(f"{self.seed}/{number}"), str(FIRST + timedelta(days=number))
        run = ("run", "films", "--round", day)
        self.fails = True
        words = draw.choice(DISTURBANCES)(self, draw, run)
        self.fails = False
        for _ in range(3):  # what was asked too often, and is without an answer, is asked again
            process = self.start(*run)
            self.ends(process, 0, 75)
            if not process.returncode:
                break
        calls, path = sum(self.answered.values()), draw.choice(self.files())
        damage = draw.choice(DAMAGES)
        self.did = f"{day} {words}; {damage.__name__} {path.relative_to(self.folder)}"
        damage(path, draw)
        said = self.mended()
        named = str(path) in said
        self.ends(self.start(*run), 0)
        assert sum(self.answered.values()) == calls, f"{damage.__name__} {path} was paid for"
        again = sum(n - 1 for n in self.answered.values())
        assert again <= IN_FLIGHT * self.lost, f"{again} answers were paid twice"
        before = self.answered.copy()
        self.ends(self.start(*run, home="undisturbed"), 0)
        self.answered = before
        assert self.tables("home") == self.tables("undisturbed"), (
            f"other tables after {damage.__name__} {path}"
        )
        return f"{self.did}{' (named)' if named else ''}"

    def files(self) -> list[Path]:
        return sorted(path for path in (self.folder / "home").rglob("*") if path.is_file())

    def mended(self) -> str:
        """All that is said until `synth verify` finds nothing any more."""
        all_said = ""
        for _ in range(5):
            process = self.start("verify")
            all_said += (said := self.ends(process, 0, 1))
            if not process.returncode:
                return all_said
            if advice := re.search(r"`(mkdir [^`]+)`", said):
                subprocess.run(advice[1], shell=True, check=True)
            elif settings := re.search(r"error: (\S+) cannot be used .* delete it", said):
                Path(settings[1]).unlink()
            else:
                self.ends(self.start("verify", "--repair"), 0, 1)
        raise AssertionError(f"not mended: {said}")


Disturbance = Callable[[Chaos, random.Random, tuple[str, ...]], str]


def killed(chaos: Chaos, draw: random.Random, run: tuple[str, ...]) -> str:
    process, seconds = chaos.start(*run), draw.uniform(1, 8)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    chaos.lost += 1
    return f"killed after {seconds:.1f} s"


def out_of_disk(chaos: Chaos, draw: random.Random, run: tuple[str, ...]) -> str:
    size = draw.randrange(20_000, 400_000)
    chaos.ends(chaos.start(*run, limit=size), 0, 1, 2, 75)
    chaos.lost += 1
    return f"no file larger than {size:,} bytes"


def twice(chaos: Chaos, draw: random.Random, run: tuple[str, ...]) -> str:
    first, second = chaos.start(*run), chaos.start(*run)
    time.sleep(draw.uniform(2, 8))
    first.kill()
    first.communicate()
    chaos.ends(second, 0, 1, 75)
    chaos.lost += 1
    return "run twice at once, and one of them killed"


DISTURBANCES: tuple[Disturbance, ...] = (killed, out_of_disk, twice)


def main() -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    os.environ.setdefault("PYTEST_CURRENT_TEST", f"chaos/{given.seed}")  # its address depends on it
    until, number = time.monotonic() + given.seconds, 0
    with TemporaryDirectory() as folder, Endpoint(say=reviewer) as endpoint:
        chaos = Chaos(Path(folder), endpoint, given.seed)
        while time.monotonic() < until:
            try:
                print(chaos.step(number), flush=True)
            except AssertionError as failure:
                print(f"step {number}: {chaos.did}: {failure}\n\n--seed {given.seed} replays it")
                return 1
            number += 1
        print(
            f"{number} steps, seed {given.seed}: {sum(chaos.answered.values())} answers, all as it should be"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
