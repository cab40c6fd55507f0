"""Nights as they come, played with the real daemon: see `play`, and benchmarks/thirty_nights.py."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.batch_endpoint import BatchEndpoint
from tests.conftest import SEEDS
from tests.endpoint import Endpoint, reviewer
from tests.nights import Clock, Machine, local

SPRING, FIRST, LAST = "2026-03-08", "2026-10-29", "2026-11-09"
CAP = 20_000  # tokens a day
RECIPE = """
task:
  classify: {negative: the reviewer did not like it, positive: the reviewer liked it}
  text: review
  label: sentiment
seeds: {file: seeds.csv, splits: {demonstration: 4, validation: 2, test: 4}}
conditions: {label: labels, tone: [angry, calm, witty]}
demonstrations: {k: 2, sets: 3}
steps:
  text:
    complete: "{% for d in demonstrations %}{{ label }}: {{ d.text }}\\n{% endfor %}{{ label }} ({{ tone }}):"
    stop: ["\\n"]
    max_tokens: 30
rows: 2
model: {name: m, base_url: URL}
mode: online
budget: {tokens: {day: 20000}}
filters:
  words: {between: [2, 40]}
  duplicate: {}
  held_up:Held: {at_least: 0}
minimum_yield: 0.0
metrics: {student: false}
schedule: {cron: "30 2 * * *", tries: 2}
missed_nights: catch_up
timezone: America/New_York
start: 2026-03-08
"""
HELD = '''
import time
from pathlib import Path

from synth_assets.contracts.filter import Filter

HOLD, HELD = Path(__file__).with_name("hold"), Path(__file__).with_name("held")


class Held(Filter):
    """Takes as long as there is a file `hold`."""

    name = "held"

    def score(self, rows, context):
        while HOLD.exists():
            HELD.touch()
            time.sleep(0.02)
        return {"held": [1.0] * len(rows)}
'''


class Played:
    """What came of the nights: `rounds` that should be whole, what the webhook heard, how often each request
    arrived, and how many were in flight when the power was cut."""

    def __init__(self, folder: Path, provider: BatchEndpoint, hook: Endpoint) -> None:
        self.folder, self.provider, self.hook = folder, provider, hook
        self.rounds: list[str] = []
        self.in_flight = 0
        self.at = "01:30"  # that a night's round is due
        self.edits: dict[str, tuple[str, str]] = {}  # round, from which on -> old words, new words
        self.clock = Clock(folder)
        self.machine = Machine(
            folder,
            self.clock,
            OPENAI_API_KEY="scripted",
            SYNTH_WEBHOOK=f"{hook.url}/T0/secret",
            OMP_NUM_THREADS="1",
            OPENBLAS_NUM_THREADS="1",
        )

    @property
    def messages(self) -> list[str]:
        """What the webhook was told of nights."""
        return [message["text"] for message in self.hook.requests if "round" in message]

    @property
    def asked(self) -> Counter[str]:
        """Requests -> how often each arrived, online or in a batch."""
        online = [json.dumps(body, sort_keys=True) for body in self.provider.requests]
        return Counter([*online, *self.provider.paid.elements()])

    def edit(self, old: str, new: str) -> None:
        """Change the recipe, as somebody does at noon."""
        path = self.folder / "recipes" / "reviews.yaml"
        text = path.read_text()
        assert old in text, old
        path.write_text(text.replace(old, new))

    # nights

    def plain(self, day: str) -> None:
        """Nothing happens but the round."""
        self.falls(day)
        self.whole(day)

    def falls(self, day: str) -> None:
        """The night comes."""
        self.rounds.append(day)
        self.machine.night(day, self.at)

    def whole(self, day: str) -> None:
        """Its round is there, and nothing is at work any more."""
        self.machine.wait(lambda: self.machine.is_over(day), f"the round {day}", fast=True)

    def cut(self) -> None:
        """The power is cut, and ten seconds later somebody types `synth ui` again."""
        self.machine.cut()
        self.clock.forward(10)
        self.machine.start()

    def told(self, messages: int) -> None:
        """The webhook has heard of as many nights."""
        self.machine.wait(lambda: len(self.messages) >= messages, "a message", fast=True)

    def noon(self, day: str) -> None:
        """The night is over, and it is noon."""
        self.machine.wait(lambda: not self.machine.at_work(), "the night to be over", fast=True)
        self.clock.move_to(local(day, "12:00"))


def spring(played: Played) -> None:
    """02:30 is left out by the clocks. Then nobody is there for half a year."""
    machine = played.machine
    played.at = "03:00"
    played.plain(SPRING)
    played.at = "01:30"
    played.noon(SPRING)
    machine.stop()
    played.edit("30 2 * * *", "30 1 * * *")


def back_after_months(played: Played, day: str) -> None:
    """More than a month of nights is not made up; the one of that day is."""
    played.clock.move_to(local(day, "12:00"))
    played.rounds.append(day)
    played.machine.start()
    played.whole(day)


def cut_in_generation(played: Played, day: str) -> None:
    """While the provider has the first requests."""
    before = len(played.provider.requests)
    played.provider.delay_s = 30.0
    played.falls(day)
    played.machine.wait(lambda: len(played.provider.requests) > before, "a request")
    time.sleep(0.2)
    played.in_flight += len(played.provider.requests) - before
    played.provider.delay_s = 0.0
    played.cut()
    played.whole(day)


def nobody_answers(played: Played, day: str) -> None:
    """Two tries, and a message."""
    played.provider.__exit__()
    played.falls(day)
    played.told(len(played.messages) + 1)


def still_nobody(played: Played, day: str) -> None:
    """Both rounds are tried twice, and one message more comes. 01:30 comes twice in this night."""
    played.falls(day)
    played.told(len(played.messages) + 1)
    url = played.provider.url
    played.provider.__enter__()
    assert played.provider.url == url


def cut_between_stages(played: Played, day: str) -> None:
    """In the first of the rounds that are made up."""
    late = (date.fromisoformat(day) - timedelta(days=2)).isoformat()
    played.falls(day)
    played.machine.wait(lambda: played.machine.has("scores", late, "positive"), "scores")
    played.cut()
    assert not played.machine.has("filtered", late)
    played.whole(day)


def edits_and_three_nights_off(played: Played, day: str) -> None:
    """A typo in another recipe, an edit of this one; then nobody is there, and three nights are made up. In
    the first of them the power is cut."""
    machine, folder = played.machine, played.folder
    yesterday = date.fromisoformat(day) - timedelta(days=1)
    played.noon(yesterday.isoformat())
    typo = folder.joinpath("recipes", "reviews.yaml").read_text().replace("rows: 2", "rwos: 2")
    folder.joinpath("recipes", "other.yaml").write_text(typo)
    change = ("words: {between: [2, 40]}", "words: {between: [2, 30]}")
    played.edit(*change)
    played.edits[day] = change
    machine.stop()
    nights = [(yesterday + timedelta(days=n)).isoformat() for n in (1, 2, 3)]
    played.rounds += nights
    folder.joinpath("hold").touch()
    played.clock.move_to(local(nights[-1], "12:00"))
    machine.start()
    machine.wait(folder.joinpath("held").exists, "the filter", fast=True)
    machine.cut()
    folder.joinpath("hold").unlink()
    machine.start()
    played.whole(nights[-1])


def batch(played: Played, day: str) -> None:
    """Sent to the provider in one night, back at the next noon."""
    provider, next_day = played.provider, (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    played.edit("mode: online", "mode: batch")  # which `synth ui` sees by itself
    provider.polls = 1_000_000
    played.falls(day)
    played.machine.wait(
        lambda: len(provider.batches) == 2 and not played.machine.at_work(), "batches", fast=True
    )
    played.falls(next_day)
    played.noon(next_day)
    assert not played.machine.has("metrics", day)
    provider.polls = 0
    for each in provider.batches.values():
        each["polls_left"] = 0
    played.whole(next_day)
    played.edit("mode: batch", "mode: online")


def budget(played: Played, day: str) -> None:
    """A row of the first cell takes more than all: the other cell waits for the next night."""
    usual = played.provider.usage
    played.provider.usage = {"prompt_tokens": CAP, "completion_tokens": 2}
    played.falls(day)
    played.told(len(played.messages) + 1)
    played.provider.usage = usual


ACTS: dict[str, Callable[[Played, str], None]] = {
    "2026-10-30": cut_in_generation,
    "2026-10-31": nobody_answers,
    "2026-11-01": still_nobody,
    "2026-11-02": cut_between_stages,
    "2026-11-03": edits_and_three_nights_off,  # and the two after it
    "2026-11-06": batch,  # and the night after it
    "2026-11-08": budget,
}


def play(
    folder: Path, provider: BatchEndpoint, hook: Endpoint, first: str = FIRST, loud: bool = False
) -> Played:
    """The nights from `first` on, after the one of spring; but for those in ACTS, only the round is made."""
    provider.say = reviewer
    text = RECIPE.replace("URL", provider.url).replace("seeds.csv", str(folder / "seeds.csv"))
    folder.joinpath("recipes").mkdir()
    folder.joinpath("recipes", "reviews.yaml").write_text(text)
    folder.joinpath("seeds.csv").write_text(SEEDS)
    folder.joinpath("held_up.py").write_text(HELD)
    played = Played(folder, provider, hook)
    machine, clock = played.machine, played.clock
    clock.set(local(SPRING, "01:00"))
    try:
        machine.start()
        machine.switch_on("reviews_nightly")
        machine.wait(lambda: machine.has_seeds() and not machine.at_work(), "seeds", fast=True)
        spring(played)
        back_after_months(played, first)
        day = date.fromisoformat(first)
        while (day := day + timedelta(days=1)) <= date.fromisoformat(LAST):
            if (night := day.isoformat()) not in played.rounds:
                began = time.monotonic()
                ACTS.get(night, Played.plain)(played, night)
                if loud:
                    print(f"{time.monotonic() - began:6.1f} s  {night}", file=sys.stderr, flush=True)
        machine.wait(lambda: not machine.at_work(), "the end", fast=True)
    finally:
        machine.stop()
    return played


def differs(played: Played) -> list[str]:
    """Tables that are others than those of the same rounds made one after the other, with nothing in between;
    those that tell when something was asked or looked at are left out."""
    old, new = next(iter(played.edits.values()))
    edited = next(iter(played.edits))
    home = played.folder / "undisturbed"
    played.edit(new, old)
    for first, last in _in_a_row(played.rounds, edited):
        if first == edited:
            played.edit(old, new)
        played.machine.synth("run", "reviews", "--rounds", f"{first}..{last}", SYNTH_HOME=str(home))
    ours, theirs = _tables(played.machine.home), _tables(home)
    return sorted(file for file in {*ours, *theirs} if ours.get(file) != theirs.get(file))


def _in_a_row(rounds: list[str], edited: str) -> Iterator[tuple[str, str]]:
    """First and last of each row of days; an edit begins another one."""
    first = before = rounds[0]
    for day in rounds[1:]:
        if day == edited or date.fromisoformat(day) - date.fromisoformat(before) != timedelta(days=1):
            yield first, before
            first = day
        before = day
    yield first, before


def _tables(home: Path) -> dict[str, pa.Table]:
    """Without what answers took, which is more in the night of the budget."""
    files = [f for f in (home / "lake").glob("**/part.parquet") if not {"calls", "nights"} & set(f.parts)]
    took = ("prompt_tokens", "completion_tokens")
    return {
        str(file.relative_to(home)): table.select([name for name in table.column_names if name not in took])
        for file in files
        for table in [pq.ParquetFile(file).read()]
    }
