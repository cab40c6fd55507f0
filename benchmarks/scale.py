"""Whether everything still answers when a recipe is old: 300 rounds of 100 cells.

    python benchmarks/scale.py
    python benchmarks/scale.py --rounds 30 --cells 20

One cell and the stages of its round are really made, with a model on loopback. Their files, events, checks
and runs are then copied to all other cells and rounds, with other names, row ids and ids of events; the
latest round has the oldest events. (Of the files that Dagster has for each run there are the first.) Then,
one JSON line each: how long what a person, or Dagster's daemon, asks for takes. The model is gone by then.
What takes longer than LIMIT_S is named at the end, and is exit code 1; the warehouse
opens each file, and has no limit.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen

from gateway import endpoint

NAME = "topics"
LIMIT_S = 10.0
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
TIMEOUT_S = 600
BIN = Path(sys.executable).parent
TONES = "[calm, angry]"
RECIPE = """
seeds: {file: seeds.csv, splits: {demonstration: DEMONSTRATIONS, test: TEST}}
conditions: {label: labels, tone: [calm, angry]}
demonstrations: {k: 2, sets: 2}
steps:
  text: |
    Write a {{ tone }} {{ text_type }} about {{ verbalizer }}.
    {% for d in demonstrations %}
    - {{ d.text }}
    {% endfor %}
rows: 2
model: fast
filters: {words: {between: [2, 40]}, duplicate: {}}
minimum_yield: 0.0
metrics: {student: false}
schedule: "0 2 * * *"
start: START
"""
# as the UI's page of an asset's partitions sends them, without the fields that cost nothing
STATUS = """
... on TimePartitionStatuses { ranges { status startKey endKey } }
... on DefaultPartitionStatuses { materializedPartitions materializingPartitions failedPartitions }
"""
CHECKS = """
... on AssetCheckTimePartitionStatuses { ranges { status startKey endKey } }
... on AssetCheckDefaultPartitionStatuses { succeededPartitions failedPartitions inProgressPartitions }
"""
RANGES = "primaryDimensionName ranges { primaryDimStartKey primaryDimEndKey secondaryDim"
PAGE = {
    "health": f"""query($asset: AssetKeyInput!) {{
      assetNodeOrError(assetKey: $asset) {{ ... on AssetNode {{
        partitionKeysByDimension {{ name type partitionKeys }}
        assetPartitionStatuses {{ {STATUS} ... on MultiPartitionStatuses {{
          {RANGES} {{ {STATUS} }} }} }} }} }} }} }}""",
    "live": f"""query($asset: AssetKeyInput!) {{
      assetNodes(assetKeys: [$asset], loadMaterializations: true) {{
        assetMaterializations(limit: 1) {{ timestamp runId }}
        assetObservations(limit: 1) {{ timestamp runId }}
        assetChecksOrError {{ ... on AssetChecks {{ checks {{
          name executionForLatestMaterialization {{ status }}
          partitionStatuses {{
            {CHECKS} ... on AssetCheckMultiPartitionStatuses {{ {RANGES} {{ {CHECKS} }} }} }} }} }} }} }}
        partitionStats {{ numMaterialized numMaterializing numPartitions numFailed }} }}
      assetsLatestInfo(assetKeys: [$asset]) {{
        unstartedRunIds inProgressRunIds latestRun {{ status }} }} }}""",
    "stale": """query($asset: AssetKeyInput!, $partition: String!) {
      assetNodeOrError(assetKey: $asset) { ... on AssetNode {
        staleStatus(partition: $partition) staleCauses(partition: $partition) { reason } } } }""",
    "detail": """query($asset: AssetKeyInput!, $partition: String!) {
      assetOrError(assetKey: $asset) { ... on Asset {
        definition { latestRunForPartition(partition: $partition) { status } }
        assetEventHistory(partitions: [$partition], limit: 1000,
          eventTypeSelectors: [MATERIALIZATION, OBSERVATION, FAILED_TO_MATERIALIZE]) {
          results { ... on MaterializationEvent { runId metadataEntries { label } } } } } } }""",
}


def write_recipe(cells: Sequence[str], start: date, url: str) -> None:
    """Into the working directory: recipe, seeds (four a label) and the model."""
    lines = ["task:", "  text: question", "  label: topic", "  classify:"]
    for cell in cells:
        lines.append(
            f"    {cell}: {{definition: a question about {cell}, verbalizer: {cell.replace('_', ' ')}}}"
        )
    numbers = {"DEMONSTRATIONS": 2 * len(cells), "TEST": len(cells), "START": start}
    rest = RECIPE
    for name, value in numbers.items():
        rest = rest.replace(name, str(value))
    Path("recipes").mkdir()
    Path(f"recipes/{NAME}.yaml").write_text("\n".join(lines) + rest, encoding="utf-8")
    rows = [f"question {i} about {cell},{cell}" for cell in cells for i in range(4)]
    Path("seeds.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    Path("models.yaml").write_text(f"fast: {{name: any, base_url: {url}}}", encoding="utf-8")


def make(rounds: int, cells: Sequence[str], latest: date) -> None:
    """All rounds up to the latest one."""
    import dagster as dg

    from synth_assets.assets.code_location import build
    from synth_assets.assets.factory import key
    from synth_assets.assets.in_process import dagster_instance
    from synth_assets.assets.nightly import made_by_cell
    from synth_assets.partitions import cell_key
    from synth_assets.stages.graph import cut_by

    recipe, first = load(), latest.isoformat()
    days = [(latest - timedelta(days=n)).isoformat() for n in range(rounds - 1, 0, -1)]
    with dagster_instance() as instance:
        job = build({NAME: recipe}).resolve_implicit_global_asset_job_def()

        def run(assets: list[dg.AssetKey], partition: str | None) -> None:
            job.execute_in_process(QUIET, instance, partition_key=partition, asset_selection=assets)

        run([key(recipe, "seeds")], None)
        seeds = [record.run_id for record in instance.get_runs()]
        run(made_by_cell(recipe), cell_key(first, cells[0]))
        copy_files("cell", cells[0], cells[1:])
        copy_events(seeds, cells[0], cells[1:])
        by_round = [name for stage in cut_by(recipe, "round") for name in (stage.name, *stage.also)]
        run([key(recipe, stage) for stage in (*by_round, "report")], first)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(copy_files, "round", first), [days[n::20] for n in range(20)]))
    copy_events(seeds, first, days)


def load() -> Any:
    from synth_assets.recipe.load import load

    return load(Path(f"recipes/{NAME}.yaml"))


def copy_files(column: str, old: str, new: Sequence[str]) -> None:
    """Every partition of the lake that has this value in the column, once more for each of the new values."""
    import pyarrow.parquet as pq

    from synth_assets.resources.home import home
    from synth_assets.resources.storage.folder_lake import FolderLake
    from synth_assets.stages import tables

    lake, recipe = FolderLake(home() / "lake"), load()
    for stage, cut in tables.stages(recipe).items():
        for place in lake.partitions(NAME, stage, cut) if column in cut else ():
            if place[column] == old:
                table = lake.table(NAME, stage, place)
                for value in new:
                    path = lake.path(NAME, stage, place | {column: value})
                    path.parent.mkdir(parents=True, exist_ok=True)
                    pq.write_table(_moved(table, column, value), path, compression="zstd")


def _moved(table: Any, column: str, value: str) -> Any:
    """The rows in another round or cell: its name, that of the label, other row ids and texts."""
    import pyarrow as pa

    named = {"round": ["round"], "cell": ["cell", "label"]}[column]
    for i, name in enumerate(table.column_names):
        if name in named:
            table = table.set_column(i, name, pa.array([value] * len(table), pa.string()))
        elif name in ("row_id", "text"):
            others = [text and f"{text} {value}" for text in table[name].to_pylist()]
            table = table.set_column(i, name, pa.array(others, pa.string()))
    return table


EVENT_ID = re.compile(r'("dagster/input_event_pointer/[^"]*": "|"storage_id": )(\d+)')
TEXTS = ("run_id", "event", "evaluation_event", "run_body", "partition", "value")
IDS = ("event_id", "evaluation_event_storage_id", "materialization_event_storage_id")


def copy_events(seeds: Sequence[str], old: str, new: Sequence[str]) -> None:
    """All that Dagster holds of the runs so far, but those of the seeds, once more for each of the new values
    in the place of the old one."""
    from synth_assets.resources.home import home

    history = home() / "history"
    with _bulk(history / "runs" / "index.db") as index:
        (last,) = index.execute("SELECT max(id) FROM event_logs").fetchone()
        marks = ", ".join("?" * len(seeds))
        (first,) = index.execute(
            f"SELECT max(id) FROM event_logs WHERE run_id IN ({marks})", tuple(seeds)
        ).fetchone()
        _copy_rows(index, "event_logs", f"id > {first}", old, new, first, last, keep_ids=True)
        _copy_rows(index, "asset_event_tags", f"event_id > {first}", old, new, first, last)
        _copy_rows(index, "asset_check_executions", "true", old, new, first, last)
    with _bulk(history / "runs.db") as runs:
        where = f"run_id NOT IN ({', '.join(repr(run) for run in seeds)})"
        _copy_rows(runs, "runs", where, old, new, first, last)
        _copy_rows(runs, "run_tags", where, old, new, first, last)


@contextmanager
def _bulk(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    for words in ("PRAGMA journal_mode = off", "PRAGMA synchronous = off", "BEGIN"):
        connection.execute(words)
    yield connection
    for words in ("COMMIT", "PRAGMA journal_mode = wal"):
        connection.execute(words)
    connection.close()


def _copy_rows(
    database: sqlite3.Connection,
    table: str,
    where: str,
    old: str,
    new: Sequence[str],
    first: int,
    last: int,
    keep_ids: bool = False,
) -> None:
    """Copies of these rows. Events have ids from `first` to `last`: the n-th copy has them n times `last`
    higher, and so has what points to them."""
    names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    names = [name for name in names if name != "id" or keep_ids]
    rows = database.execute(f"SELECT {', '.join(names)} FROM {table} WHERE {where}").fetchall()
    insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    runs = names.index("run_id") if "run_id" in names else None

    def copies() -> Iterator[list[Any]]:
        for n, value in enumerate(new, start=1):
            for row in rows:
                run = row[runs] if runs is not None else None
                yield [moved(name, cell, value, n, run) for name, cell in zip(names, row, strict=True)]

    def moved(name: str, cell: Any, value: str, n: int, run: str | None) -> Any:
        if cell is None:
            return None
        if name in IDS or name == "id":
            return cell + n * last
        if name not in TEXTS:
            return cell
        cell = cell.replace(old, value)
        if run:
            cell = cell.replace(run, f"{run}-{value}")
        return EVENT_ID.sub(lambda found: found[1] + _shifted(int(found[2]), first, n * last), cell)

    database.executemany(insert, copies())


def _shifted(event: int, first: int, by: int) -> str:
    return str(event + by if event > first else event)  # those before are of the seeds


def timed(what: str, work: Callable[[], Any], server: int | None = None) -> dict[str, Any]:
    """Wall seconds, and those of the processor: this process, its children that have ended, the server."""
    started, cpu, load_ = time.perf_counter(), _cpu(server), os.getloadavg()[0]
    found = work()
    line = {"what": what, "seconds": round(time.perf_counter() - started, 2)}
    line |= {"cpu_s": round(_cpu(server) - cpu, 2), "load": round(load_, 1)} | (found or {})
    print(json.dumps(line), flush=True)
    return line


def _cpu(server: int | None) -> float:
    total = sum(os.times()[:4])
    if server:
        fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def command(*words: str | Path) -> str:
    """A command's output; what it says when it fails."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def measure(cells: Sequence[str], latest: str) -> Iterator[dict[str, Any]]:
    loaded = "from synth_assets.code_location import defs; defs().get_repository_def()"
    yield timed("load", lambda: command(sys.executable, "-c", loaded))
    with web_server() as (url, server):
        for again in ("", ", again"):
            for what, asks in PAGE.items():
                asked = {"asset": {"path": [NAME, "generations"]}, "partition": f"{cells[-1]}|{latest}"}
                yield timed(f"partitions page, {what}{again}", partial(graphql, url, asks, asked), server)
    yield from ticks()
    yield timed("plan", plan)
    of_it = f"where round = '{latest}'"
    for what, sql in {
        "count": f"select count(*) as n from {NAME}.generations",
        "funnel": f"select count(*) as n, sum(kept) as kept from (select * from {NAME}.funnel)",
        "count of one round": f"select count(*) as n from {NAME}.generations {of_it}",
        "funnel of one round": f"select count(*) as n, sum(kept) as kept from {NAME}.funnel {of_it}",
    }.items():
        yield timed(f"warehouse, {what}", partial(query, sql))


def plan() -> dict[str, Any]:
    total = json.loads(command(BIN / "synth", "plan", NAME, "--json"))["total"]
    return {"calls": total["calls"], "from_log": total["from_log"]}


def query(sql: str) -> dict[str, Any]:
    names, values = command(BIN / "synth", "sql", sql, "--csv").splitlines()
    return dict(zip(names.split(","), values.split(","), strict=True))


def ticks() -> Iterator[dict[str, Any]]:
    """The automation sensor's evaluations: the first ever, one without news, those around an edit."""
    import dagster as dg

    from synth_assets.assets.code_location import build
    from synth_assets.assets.in_process import dagster_instance

    with dagster_instance() as instance:
        tick: Any = None

        def evaluate(defs: dg.Definitions) -> dict[str, Any]:
            nonlocal tick
            tick = dg.evaluate_automation_conditions(defs, instance, cursor=tick and tick.cursor)
            return {"requested": tick.total_requested}

        defs = build({NAME: load()})
        for what in ("first", "later", "later still"):
            yield timed(f"automation tick, {what}", partial(evaluate, defs))
        path = Path(f"recipes/{NAME}.yaml")
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(TONES, "[calm, furious]"), encoding="utf-8")
        edited = build({NAME: load()})
        for what in ("after an edit", "after that"):
            yield timed(f"automation tick, {what}", partial(evaluate, edited))
        path.write_text(text, encoding="utf-8")


@contextmanager
def web_server() -> Iterator[tuple[str, int]]:
    """Dagster's web server on this home: its GraphQL URL and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workspace = Path(__file__).parents[1] / "workspace.yaml"
    words = [BIN / "dagster-webserver", "-h", "127.0.0.1", "-p", str(port), "-w", workspace]
    with Path("webserver.log").open("w") as log:
        process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        url = f"http://127.0.0.1:{port}"
        while True:
            try:
                urlopen(f"{url}/server_info", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    sys.exit(Path("webserver.log").read_text()[-3000:])
                time.sleep(0.2)
        yield f"{url}/graphql", process.pid
    finally:
        process.terminate()
        process.wait()


def graphql(url: str, asks: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    body = json.dumps({"query": asks, "variables": variables}).encode()
    with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=TIMEOUT_S) as answer:
        text = answer.read()
    found = json.loads(text)
    if found.get("errors"):
        sys.exit(json.dumps(found["errors"])[:3000])
    return {"kib": round(len(text) / 1024)}


def main() -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--cells", type=int, default=100)
    given = parser.parse_args()
    from synth_assets.core.days import today

    cells, latest = [f"topic_{n:03d}" for n in range(given.cells)], date.fromisoformat(today("UTC"))
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["SYNTH_HOME"] = os.environ["DAGSTER_HOME"] = str(Path(folder) / ".synth")
        with endpoint(None) as url:
            write_recipe(cells, latest - timedelta(days=given.rounds - 1), url)
            timed("setting up", lambda: make(given.rounds, cells, latest))
        lines = [line for line in measure(cells, latest.isoformat()) if "warehouse" not in line["what"]]
        slow = [line["what"] for line in lines if line["seconds"] > LIMIT_S]
        os.chdir("/")
    if slow:
        print(f"slower than {LIMIT_S:g} s: {', '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
