"""What nights leave behind: two recipes of 10 labels, 20 nights. Linux, with a C compiler.

    python benchmarks/nights.py
    python benchmarks/nights.py --nights 5

Rounds are made by `synth run`, with a model on loopback. After the second and after the last of them, one
JSON line each: what a night added to each folder of the data home, how much memory daemon, web server and
code server hold after two minutes with both schedules on, and how long the code location takes to load. The
last line has what grew to more than LIMIT times as much, and is exit code 1.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser import descendants
from tests.endpoint import Endpoint, reviewer
from tests.nights import Clock, Machine, local

LIMIT, LOOK_S = 1.5, 120.0
FIRST = date(2026, 10, 1)
LABELS = [f"topic_{n}" for n in range(10)]
RECIPE = """
task:
  classify: CLASSES
  text: question
seeds: {file: SEEDS, splits: {demonstration: 20, test: 20}}
conditions: {label: labels, tone: [calm, angry]}
demonstrations: {k: 2, sets: 2}
steps:
  text: "{% for d in demonstrations %}{{ d.text }}\\n{% endfor %}A {{ tone }} one about {{ verbalizer }}:"
rows: 4
model: {name: m, base_url: URL}
filters: {words: {between: [2, 40]}, duplicate: {}}
minimum_yield: 0.0
metrics: {student: false}
schedule: "0 2 * * *"
timezone: America/New_York
start: 2026-10-01
"""
LOAD = "from time import process_time as t; from synth_assets.code_location import defs; defs(); print(t())"
ROLES = {"dagster._daemon": "daemon", "dagster_webserver": "web server", "api grpc": "code server"}


def project(folder: Path, url: str) -> None:
    """Two recipes with their seeds."""
    folder.joinpath("recipes").mkdir()
    rows = [f"what is {label} number {n} about,{label}" for label in LABELS for n in range(6)]
    (folder / "seeds.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    classes = json.dumps({label: f"about {label}" for label in LABELS})
    for name in ("one", "two"):
        text = (
            RECIPE.replace("CLASSES", classes).replace("URL", url).replace("SEEDS", str(folder / "seeds.csv"))
        )
        (folder / "recipes" / f"{name}.yaml").write_text(text)


def sizes(home: Path) -> dict[str, float]:
    """MB of each folder and file of the data home."""
    found = dict[str, float]()
    for file in home.rglob("*"):
        if file.is_file():
            name = file.relative_to(home).parts[0].partition("-")[0]
            found[name] = found.get(name, 0.0) + file.stat().st_size / 1e6
    return found


def memory(machine: Machine) -> dict[str, float]:
    """MB that the processes of `synth ui` hold after a while, by what they are."""
    machine.start()
    for name in ("one", "two"):
        machine.switch_on(f"{name}_nightly")
    time.sleep(LOOK_S)
    held = dict[str, float]()
    for pid in descendants(machine.pid):
        command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        for part, role in ROLES.items():
            if part in command:
                status = Path(f"/proc/{pid}/status").read_text()
                held[role] = int(status.partition("VmRSS:")[2].split()[0]) / 1e3
    machine.stop()
    return held


def figures(machine: Machine, days: list[date]) -> dict[str, float]:
    """What the last of these nights added, and how the processes are after it; the nights are made first."""
    for name in ("one", "two"):
        if days[:-1]:
            machine.synth("run", name, "--rounds", f"{days[0]}..{days[-2]}")
    before = sizes(machine.home)
    for name in ("one", "two"):
        machine.synth("run", name, "--round", str(days[-1]))
    grown = {f"MB a night: {k}": v - before.get(k, 0.0) for k, v in sizes(machine.home).items()}
    loading = min(float(machine.python("-c", LOAD)) for _ in range(3))
    held = {f"MB held: {role}": value for role, value in memory(machine).items()}
    return grown | held | {"CPU seconds to load": loading}


def main() -> int:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nights", type=int, default=20)
    days = [FIRST + timedelta(days=n) for n in range(parser.parse_args().nights)]
    with TemporaryDirectory() as name, Endpoint(say=reviewer) as endpoint:
        folder = Path(name)
        project(folder, endpoint.url)
        clock = Clock(folder)
        clock.set(local(str(days[-1]), "12:00"))  # the schedules, switched on later, have nothing to ask for
        machine = Machine(folder, clock, OPENAI_API_KEY="scripted", OMP_NUM_THREADS="1")
        machine.synth("run", "one", "--round", str(FIRST))  # seeds, tables of the first use
        machine.synth("run", "two", "--round", str(FIRST))
        first = figures(machine, days[1:2])
        print(json.dumps({"after": 2} | {k: round(v, 2) for k, v in first.items()}), flush=True)
        last = figures(machine, days[2:])
        print(json.dumps({"after": len(days)} | {k: round(v, 2) for k, v in last.items()}), flush=True)
    more = {k: round(v / first[k], 2) for k, v in last.items() if first.get(k, 0.0) > 0.05}
    too_much = {k: times for k, times in more.items() if times > LIMIT}
    print(json.dumps({"times": more, "more than allowed": too_much}))
    return int(bool(too_much))


if __name__ == "__main__":
    sys.exit(main())
