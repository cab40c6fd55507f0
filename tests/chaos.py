"""Bad luck, by seed: rounds of a home in which things go wrong, beside those of one in which nothing does."""

from __future__ import annotations

import gc
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from synth_assets.resources.storage.lake import FILE
from tests.commands.test_each_file import DAMAGES, GROUPS, group
from tests.endpoint import Endpoint, Played
from tests.forked import Forked

FIRST, ROUNDS, IN_FLIGHT = date(2025, 1, 1), 8, 2  # rounds of a home; the model's max_concurrency
NO_OUTCOME = ("Traceback", "It is a fault of synth-assets")
COUNTED = ("open", "os.", "shutil.", "sqlite3.", "socket.", "tempfile.")  # what a process does to the world
Draw = random.Random
RECIPE = """
task: {text: review}
conditions: {tone: [angry, calm]}
steps:
  draft: "Sketch a {{ tone }} review."
  text: "Write it out: {{ draft }}"
rows: 10
filters: {words: {between: [1, 100]}}
minimum_yield: 0.0
metrics: {student: false, diversity: false, privacy: false, faithfulness: false}
"""


class Chaos:
    """Each step makes the next round, which is disturbed; then files of the home are damaged. After a repair
    and a run the tables must be those of the home that nothing happened to, and nothing was asked twice but
    what was in flight when a process died."""

    def __init__(
        self,
        folder: Path,
        endpoint: Endpoint,
        seed: int,
        disk: Disk | None = None,
        clock: Callable[[int], None] | None = None,
    ) -> None:
        """`clock` sets that of all processes of this one, to so many seconds from now."""
        self.folder, self.endpoint, self.seed, self.clock = folder, endpoint, seed, clock
        self.disk = disk or Disk()
        self.did = list[str]()  # in this step
        self.happened = Counter[str]()
        self.answered = Counter[str]()
        self.luck = Draw(seed)  # of the endpoint
        self.wanted = dict[str, tuple[dict[str, bytes], int, float]]()  # by round: see `without_luck`
        self.paid = self.again = 0  # in homes before this one
        self.lost = 0  # processes of this home that died or were stopped while they asked
        self.number, self.printed, self.fails = 0, 0, False
        self.does, self.takes_s = 0, 0.0  # of a run without bad luck
        endpoint.play, endpoint.logprobs, endpoint.delay_s = self.play, False, 0.02
        (folder / "recipes").mkdir()
        model = f"{{name: scripted, base_url: {endpoint.url}, max_concurrency: {IN_FLIGHT}}}"
        recipe = f"start: {FIRST}\nmodel: {model}\n{RECIPE}"
        (folder / "recipes" / "films.yaml").write_text(recipe)
        self.ends(self.start("--version"), 0)  # all is imported from here on

    @property
    def home(self) -> Path:
        return self.folder / "disk" / f"home-{self.number // ROUNDS}"

    @property
    def done(self) -> Path:
        return self.folder / "done"

    def dies(self, draw: Draw, process: Forked) -> None:
        """Kill it at a time that is drawn, unless it has ended."""
        time.sleep(draw.uniform(0, self.takes_s))
        with suppress(ProcessLookupError):
            process.kill()
        self.noted(process)

    def noted(self, process: Forked) -> None:
        """Whether it died, which costs what it had asked for and not been told."""
        if process.wait() == -signal.SIGKILL:
            self.happened["killed"] += 1
            self.lost += 1

    def play(self, body: dict[str, Any]) -> Played | None:
        """A provider that is busy now and then."""
        if self.fails and self.luck.random() < 0.1:
            status = self.luck.choice([429, 500, 503])
            return Played(status, {"error": {"message": "busy"}}, {"Retry-After": "0"})
        self.answered[json.dumps(body, sort_keys=True)] += 1
        return None

    def start(self, *words: str, home: Path | None = None, limit: int = 0, dies_at: int = 0) -> Forked:
        """A command. `limit`: the largest file that it may write; `dies_at`: what it does last."""
        home, self.printed = home or self.home, self.printed + 1
        env = {**os.environ, "OPENAI_API_KEY": "k", "SYNTH_HOME": str(home)}
        call, printed = partial(disturbed, limit, dies_at, self.done), self.folder / f"{self.printed % 4}.txt"
        return Forked(call, ["synth", *words], printed, self.folder, env)

    def ends(self, process: Forked, *allowed: int) -> str:
        code, said = process.wait(), process.said()
        assert not any(words in said for words in NO_OUTCOME), said
        assert code in allowed, f"status {code}: {said}"
        return said

    def step(self, number: int) -> str:
        """What was done, in words. AssertionError when something did not hold."""
        draw, self.number, self.did = Draw(f"{self.seed}/{number}"), number, []
        if number % ROUNDS == 0:
            self.paid, self.again = self.paid + self.answered.total(), self.again + twice_paid(self.answered)
            self.answered, self.lost = Counter(), 0
            for old in self.folder.glob("disk/*"):
                shutil.rmtree(old)
        day = str(FIRST + timedelta(days=number % ROUNDS))
        run = ("run", "films", "--round", day)
        wanted, self.does, self.takes_s = self.wanted.get(day) or self.without_luck(day, run)
        self.fails = True
        for _ in range(draw.randint(2, 5)):
            self.did.append(draw.choice(DISTURBANCES)(self, draw, run))
        self.fails = False
        self.made(run)
        calls = self.answered.total()
        self.damage(draw)
        self.ends(self.start(*run), 0)
        assert self.answered.total() == calls, "what was damaged was paid for"
        again = twice_paid(self.answered)
        assert again <= IN_FLIGHT * self.lost, f"{again} answers were paid twice, {self.lost} processes died"
        assert tables(self.home) == wanted, "other tables"
        return f"{day} {'; '.join(self.did)}"

    def without_luck(self, day: str, run: Iterable[str]) -> tuple[dict[str, bytes], int, float]:
        """The tables of this round and those before it as they come without any; how much a process does for
        that, and how long it takes."""
        before, began, home = self.answered.copy(), time.monotonic(), self.folder / "undisturbed"
        self.ends(self.start(*run, home=home), 0)
        self.answered = before
        self.wanted[day] = tables(home), int(self.done.read_text()), time.monotonic() - began
        return self.wanted[day]

    def made(self, run: Iterable[str]) -> None:
        """Go on until the round is whole: what the provider was too busy for is asked again."""
        for _ in range(3):
            said = self.ends(process := self.start(*run), 0, 75)
            if not process.poll():
                return
        raise AssertionError(f"not whole: {said}")

    def damage(self, draw: Draw) -> None:
        """Damage files of one group: none holds what another one is mended from. `verify` names those that
        are no cache."""
        files = [path for name in GROUPS for path in [group(self.home, name)] if path]
        of_group = draw.choice(files)
        chosen = draw.sample(of_group, min(len(of_group), draw.randint(1, 4)))
        for path in chosen:
            damage = draw.choice(DAMAGES)
            self.happened[damage.__name__] += 1
            self.did.append(f"{damage.__name__} {path.relative_to(self.home)}")
            damage(path, draw)
        said = self.mended(draw)
        for path in chosen:
            assert path.name != FILE or str(path) in said, f"{path} is not named: {said}"

    def mended(self, draw: Draw) -> str:
        """All that is said until `synth verify` finds nothing any more."""
        all_said = ""
        for _ in range(6):
            process = self.start("verify")
            all_said += (said := self.ends(process, 0, 1))
            if not process.poll():
                return all_said
            if advice := re.search(r"`(mkdir [^`]+)`", said):
                subprocess.run(advice[1], shell=True, check=True)
            elif settings := re.search(r"error: (\S+) cannot be used .* delete it", said):
                Path(settings[1]).unlink()
            else:
                if draw.random() < 0.2:
                    self.did.append("a repair was killed")
                    repair = self.start("verify", "--repair", dies_at=draw.randint(1, 400))
                    self.ends(repair, 0, 1, -signal.SIGKILL)
                    self.noted(repair)
                self.ends(self.start("verify", "--repair"), 0, 1)
        raise AssertionError(f"not mended: {said}")


def disturbed(limit: int, dies_at: int, done: Path) -> int:
    """The command line in a process that may write no larger file, or that dies when it does so many things
    to the world."""
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    done_so_far = count(1)

    def counts(event: str, _: object) -> None:
        if event.startswith(COUNTED) and next(done_so_far) == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(counts)
    from synth_assets.cli import main
    from synth_assets.report import charts

    charts.markdown = lambda *_: ""  # takes longer than all the rest
    code = main()
    gc.collect()  # closes what is open
    with suppress(OSError):
        done.write_text(str(next(done_so_far)))
    return code


def tables(home: Path) -> dict[str, bytes]:
    """The files of all tables but those that tell when something was asked."""
    lake = home / "lake"
    found = (path for path in lake.rglob(FILE) if "calls" not in path.parts)
    return {str(path.relative_to(lake)): path.read_bytes() for path in found}


def twice_paid(answered: Counter[str]) -> int:
    return sum(times - 1 for times in answered.values())


def killed_at_a_step(chaos: Chaos, draw: Draw, run: Sequence[str]) -> str:
    at = draw.randint(1, chaos.does)
    chaos.ends(process := chaos.start(*run, dies_at=at), 0, 75, -signal.SIGKILL)
    chaos.noted(process)
    return f"killed at {at:,} of {chaos.does:,}"


def killed_at_a_time(chaos: Chaos, draw: Draw, run: Sequence[str]) -> str:
    chaos.dies(draw, chaos.start(*run))
    return "killed at some time"


def out_of_disk(chaos: Chaos, draw: Draw, run: Sequence[str]) -> str:
    chaos.happened["out of disk"] += 1
    chaos.lost += 1
    size = draw.randrange(4_000, 400_000)
    if not chaos.disk.is_real:
        chaos.ends(chaos.start(*run, limit=size), 0, 1, 2, 75)
        return f"no file larger than {size:,} bytes"
    chaos.disk.leave(size)
    try:
        chaos.ends(chaos.start(*run), 0, 1, 2, 75)
    finally:
        chaos.disk.leave(None)
    return f"{size:,} bytes left on the disk"


def at_once(chaos: Chaos, draw: Draw, run: Sequence[str]) -> str:
    chaos.happened["more than one at once"] += 1
    first, *others = (chaos.start(*run) for _ in range(draw.randint(2, 3)))
    chaos.dies(draw, first)
    for each in others:
        chaos.ends(each, 0, 1, 75)
    return f"run {len(others) + 1} times at once, and one of them killed"


def moved_clock(chaos: Chaos, draw: Draw, run: Sequence[str]) -> str:
    if chaos.clock is None:
        return killed_at_a_time(chaos, draw, run)
    chaos.happened["clock moved"] += 1
    days = [draw.uniform(-20, 20) for _ in range(2)]
    chaos.clock(round(days[0] * 86_400))
    process = chaos.start(*run)
    time.sleep(draw.uniform(0, chaos.takes_s))
    chaos.clock(round(days[1] * 86_400))
    if dies := draw.random() < 0.5:
        chaos.dies(draw, process)
    chaos.ends(process, 0, 75, *([-signal.SIGKILL] if dies else []))
    return f"the clock moved by {days[0]:.1f} and {days[1]:.1f} days{', killed' * dies}"


DISTURBANCES = (killed_at_a_step, killed_at_a_time, out_of_disk, at_once, moved_clock)


class Disk:
    """Where homes are; `left` bytes of it may be taken away. This one is the machine's, and never full."""

    is_real = False

    def leave(self, size: int | None) -> None:
        """So many bytes are free; None: plenty."""


class Memory(Disk):
    """A file system in memory, if this user may mount one: OSError if not."""

    is_real = True

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=2g", "tmpfs")

    def _mount(self, *words: str) -> None:
        done = subprocess.run(["mount", *words, self.place], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr)

    def leave(self, size: int | None) -> None:
        stat = os.statvfs(self.place)
        used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize
        self._mount("-o", "remount,size=2g" if size is None else f"remount,size={used + size}")

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", self.place], check=False)
