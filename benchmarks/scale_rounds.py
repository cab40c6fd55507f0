"""What the last of many rounds takes, against the first: its stages, and what they add to the lake.

    python benchmarks/scale_rounds.py
    python benchmarks/scale_rounds.py --rounds 30

300 rounds of 2,000 rows. The rows are those of scale_rows.py, put into the lake as `generations`, without
calls. The stages of the first and of the last two rounds are really made, each by Dagster in a process of its
own; the rounds between them have the rows that the first kept, under their own days and ids, with their own
texts. (The last but one has vectors and parts made that each round makes once, in a life of many nights.)
Then, one JSON line a stage: seconds of the processor in both rounds, and the bytes that the stage added in
both. Where the last round takes more than LIMIT times those of the first in all, the exit code is 1.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scale_rows import DATA, LABELS, NAME, STAGES, run, texts, write_recipe, write_rows

LIMIT = 2.0
COPIED = ("filtered", "labelled", "metrics")  # what rounds read of those before them


def copy(data: Path, first: str, days: Sequence[str]) -> None:
    """What the first round kept, as other rounds have it, with texts of their own."""
    import pyarrow as pa

    from synth_assets.resources import home

    lake, labels = home.lake(), dict[str, str]()
    for row in lake.table(NAME, "labelled", {"round": first}, ["row_id", "label"]).to_pylist():
        labels[row["row_id"]] = row["label"]
    for number, day in enumerate(days):
        of_label: dict[str, list[str]] = {label: [] for label in LABELS}
        for text, label in texts(data, 2 * len(labels), 1000 + number):
            of_label[label].append(text)
        own = {row: of_label[label].pop() for row, label in labels.items()}
        for stage in COPIED:
            table = lake.table(NAME, stage, {"round": first})
            new = {name: table[name] for name in table.column_names} | {"round": pa.array([day] * len(table))}
            if stage != "metrics":
                rows = table["row_id"].to_pylist()
                new |= {"row_id": pa.array([f"{day} {row}" for row in rows])}
                new |= {"text": pa.array([own[row] for row in rows])}
            lake.write(NAME, stage, {"round": day}, pa.table(new))


def bytes_of() -> dict[str, int]:
    """Stage -> what all its rounds take."""
    folder = Path(os.environ["SYNTH_HOME"], "lake", NAME)
    of = {stage.name: stage for stage in folder.iterdir()}
    return {name: sum(path.stat().st_size for path in of[name].rglob("*.parquet")) for name in of}


def measured(day: str) -> tuple[dict[str, float], dict[str, int]]:
    """Seconds of the processor by stage, and what each added."""
    before, seconds = bytes_of(), {}
    for stage in STAGES:
        seconds[stage] = run(stage, day)["cpu_s"]
    added = {stage: now - before.get(stage, 0) for stage, now in bytes_of().items()}
    added["weighted"] += added.pop("weighted.parts", 0)
    return seconds, added


def main() -> int:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--rows", type=int, default=2000, help="of a round")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder gold_text")
    given = parser.parse_args()
    latest = date(2026, 11, 30)
    days = [(latest - timedelta(days=n)).isoformat() for n in range(given.rounds - 1, -1, -1)]
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["SYNTH_HOME"] = os.environ["DAGSTER_HOME"] = str(Path(folder) / ".synth")
        write_recipe(given.data, given.rows, days)
        write_rows(given.data, given.rows * given.rounds, days)
        run("seeds", days[-1])
        first = measured(days[0])
        copy(given.data, days[0], days[1:-2])
        measured(days[-2])
        last = measured(days[-1])
        os.chdir("/")
    lines = [_line(stage, first, last) for stage in STAGES]
    lines.append(_line("all", *(tuple({"all": sum(of.values())} for of in each) for each in (first, last))))
    print("\n".join(map(json.dumps, lines)))
    return int(max(lines[-1]["cpu_times"], lines[-1]["bytes_times"]) > LIMIT)


def _line(stage: str, first: Any, last: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"stage": stage}
    for name, was, now in zip(("cpu", "bytes"), first, last, strict=True):
        one, two = was.get(stage, 0), now.get(stage, 0)
        found |= {
            f"{name}_first": one,
            f"{name}_last": two,
            f"{name}_times": round(two / one, 2) if one else None,
        }
    return found


if __name__ == "__main__":
    sys.exit(main())
