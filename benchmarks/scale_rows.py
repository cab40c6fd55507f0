"""How much memory and time stages take of a round of a million rows.

    python benchmarks/scale_rows.py
    python benchmarks/scale_rows.py --rows 200000 --stages filtered metrics
    python benchmarks/scale_rows.py --rounds 2       # the rows in two rounds: what reads the rounds before

Rows of about 40 words, made of those of ../shared/data/gold_text (--data), five of each telling of its label,
are put into the lake as `generations`, without calls; one in twenty is a copy. Then each stage is made by
Dagster in a process of its own, and says one JSON line: seconds, those of the processor, and the most memory
that the process held. What takes more than LIMIT_MIB is named at the end, and is exit code 1.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from curation import DATA, words

NAME = "million"
LIMIT_MIB = 4096
LABELS = ("business", "science", "sports", "world")
STAGES = ("scores", "filtered", "labelled", "weighted", "metrics", "report", "export")
OF_ALL = ("report", "export")  # made of the last round alone
BY_CELL = ("generations", "scores")
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
WORDS, OF_LABEL, COPIES, AT_ONCE = 35, 5, 0.05, 10_000
SEEDS = 150  # a label
RECIPE = """
task:
  text: news item
  label: section
  classify: {business: about firms, science: about research, sports: about games, world: about countries}
seeds: {file: seeds.csv, splits: {demonstration: 200, validation: 100, test: 200}}
conditions: {label: labels, tone: [calm, lively]}
steps:
  text: "Write a {{ tone }} news item about {{ verbalizer }}."
rows: ROWS
model: {name: none, base_url: "http://127.0.0.1:9/v1"}
filters: {words: {between: [5, 100]}, distinct_words: {}, duplicate: {}, contamination: {}}
minimum_yield: 0.0
start: START
"""


def texts(data: Path, rows: int, seed: int) -> Iterator[tuple[str, str]]:
    """Text and label of each row: words as frequent as in sentences, and some that its label has most."""
    choose, pool = random.Random(seed), words(data)
    known = sorted(set(pool))
    random.Random(0).shuffle(known)
    of_label = {label: known[n * 300 : (n + 1) * 300] for n, label in enumerate(LABELS)}
    last: list[tuple[str, str]] = []
    for _ in range(rows):
        if last and choose.random() < COPIES:
            yield choose.choice(last)
            continue
        label, at = choose.choice(LABELS), choose.randrange(len(pool) - WORDS)
        said = [*pool[at : at + WORDS], *choose.choices(of_label[label], k=OF_LABEL)]
        choose.shuffle(said)
        made = (" ".join(said).capitalize() + ".", label)
        last = [*last[-99:], made]
        yield made


def write_recipe(data: Path, rows: int, days: Sequence[str]) -> None:
    """Into the working directory: recipe and seeds."""
    Path("recipes").mkdir()
    each = str(-(-rows // len(LABELS)))
    recipe = RECIPE.replace("ROWS", each).replace("START", days[0])
    Path(f"recipes/{NAME}.yaml").write_text(recipe, encoding="utf-8")
    seeds = texts(data, SEEDS * len(LABELS), 1)
    lines = ["text,label", *(f"{text},{label}" for text, label in seeds)]
    Path("seeds.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_rows(data: Path, rows: int, days: Sequence[str]) -> None:
    """The answers of all rounds, without calls."""
    from synth_assets.resources import home
    from synth_assets.stages import tables

    recipe, lake = load(), home.lake()
    for number, day in enumerate(days):
        of_cell: dict[str, list[str]] = {label: [] for label in LABELS}
        for text, label in texts(data, rows // len(days), number + 2):
            of_cell[label].append(text)
        for label, of in of_cell.items():
            place = {"round": day, "cell": label}
            parts = (
                tables.to_arrow(recipe, "generations", answers(place, begin, of[begin : begin + AT_ONCE]))
                for begin in range(0, len(of), AT_ONCE)
            )
            lake.write(NAME, "generations", place, parts)


def answers(place: Mapping[str, str], begin: int, some: Sequence[str]) -> Any:
    """Rows of `generations` with these texts."""
    import pandas as pd

    ids = ["-".join([*place.values(), f"{begin + i:07d}"]) for i in range(len(some))]
    same = {**place, "label": place["cell"], "accepted": True, "model": "none"}
    same |= {"prompt_tokens": 20, "completion_tokens": 60, "reason": None, "error": None}
    tones = ["calm" if i % 2 else "lively" for i in range(len(some))]
    return pd.DataFrame({"row_id": ids, "text": some, "tone": tones, "call_id": ids}).assign(**same)


def load() -> Any:
    from synth_assets.recipe.load import load

    return load(Path(f"recipes/{NAME}.yaml"))


def make(stage: str, day: str) -> None:
    """One stage of a round, by Dagster, in this process."""
    from synth_assets.assets.code_location import build
    from synth_assets.assets.factory import key
    from synth_assets.assets.in_process import dagster_instance
    from synth_assets.partitions import cell_key

    recipe = load()
    partitions: list[str | None] = [day]
    if stage in BY_CELL:
        partitions = [cell_key(day, label) for label in LABELS]
    with dagster_instance() as instance:
        job = build({NAME: recipe}).resolve_implicit_global_asset_job_def()
        also = {"filtered": ["rejected"]}.get(stage, [])
        selection = [key(recipe, name) for name in (stage, *also)]
        for partition in partitions if stage != "seeds" else [None]:
            job.execute_in_process(QUIET, instance, partition_key=partition, asset_selection=selection)


def export(day: str) -> None:
    from synth_assets.cli import main

    if main(["export", NAME, "--to", f"exported_{day}"]):
        raise SystemExit("export failed")


def in_process(stage: str, day: str) -> None:
    """What a stage's process does."""
    started = time.perf_counter()
    export(day) if stage == "export" else make(stage, day)
    used = resource.getrusage(resource.RUSAGE_SELF)
    line = {"stage": stage, "round": day, "seconds": round(time.perf_counter() - started, 1)}
    line |= {"cpu_s": round(used.ru_utime + used.ru_stime, 1), "rss_mib": used.ru_maxrss // 1024}
    print(json.dumps(line), flush=True)


def run(stage: str, day: str) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).resolve()), "--one", stage, day]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{stage} failed")
    line = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(line), flush=True)
    return line


def main() -> int:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of all rounds")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder gold_text")
    parser.add_argument("--folder", type=Path, help="kept; one that has rows already is gone on with")
    given = parser.parse_args()
    latest = date(2026, 11, 30)
    days = [(latest - timedelta(days=n)).isoformat() for n in range(given.rounds - 1, -1, -1)]
    with TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        os.environ["SYNTH_HOME"] = os.environ["DAGSTER_HOME"] = str(folder / ".synth")
        if not Path("recipes").exists():
            write_recipe(given.data, given.rows, days)
            write_rows(given.data, given.rows, days)
            run("seeds", days[-1])
        wanted = [(s, day) for day in days for s in given.stages if day == days[-1] or s not in OF_ALL]
        lines = [run(*each) for each in wanted]
        os.chdir("/")
    large = [f"{line['stage']} of {line['round']}" for line in lines if line["rss_mib"] > LIMIT_MIB]
    if large:
        print(f"more than {LIMIT_MIB} MiB: {', '.join(large)}", file=sys.stderr)
    return int(bool(large))


if __name__ == "__main__":
    in_process(*sys.argv[2:]) if sys.argv[1:2] == ["--one"] else sys.exit(main())
