"""How many calls a second processes make that share a call log in Postgres.

    python benchmarks/shared_log.py
    python benchmarks/shared_log.py --beside before=../before/.venv/bin/python      # another checkout

`log`: each process claims a batch and logs its answers, which is what calls take of the database. `gateway`:
each asks a fast endpoint, 16 calls at once, under a budget. The server writes to its disk (fsync), as yours
does. One JSON line each, with the calls a second of all processes together, and those of the other checkout.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway import endpoint

AT_ONCE = 16
RUNS = [  # what is done, processes, calls a batch
    *(("log", 1, 1), ("log", 8, 1), ("log", 1, AT_ONCE), ("log", 4, AT_ONCE), ("log", 8, AT_ONCE)),
    *(("gateway", 1, AT_ONCE), ("gateway", 4, AT_ONCE)),
]


def of_log(given: Namespace) -> Callable[[list[str]], None]:
    """Claims and answers alone."""
    from synth_assets.core.asking import Answer
    from synth_assets.resources.call_log.log import CallLog
    from synth_assets.resources.call_log.rows import Entry

    log = CallLog(given.log)
    question = [{"role": "user", "content": "Write one question of a bank's customer. " * 10}]
    parameters = {"api": "chat", "sampling": {"max_tokens": 64}, "schema": None, "seed": 1, "replicate": "0"}
    log.count()

    def batch(names: list[str]) -> None:
        assert all(claim is True for claim in log.claim(names).values())
        answers = [Answer(name, "ok", "My card is lost, can you send me a new one?") for name in names]
        log.append([Entry(answer, question, parameters, "m", "http://here/v1") for answer in answers])

    return batch


def of_gateway(given: Namespace) -> Callable[[list[str]], None]:
    """The whole way of a call."""
    from synth_assets.resources.call_log.log import CallLog
    from synth_assets.resources.gateway.budget import Cap
    from synth_assets.resources.gateway.language_model import LanguageModel
    from synth_assets.resources.gateway.models import Model
    from synth_assets.resources.gateway.request import Request

    log, folder = CallLog(given.log), Path(given.folder)
    lm = LanguageModel(log, folder, caps=[Cap("benchmark", 1e12, "tokens")])
    model = Model("m", base_url=given.endpoint, max_concurrency=1_000)
    log.count()

    def batch(names: list[str]) -> None:
        asked = [Request([{"role": "user", "content": name}], {"max_tokens": 64}) for name in names]
        assert all(answer.outcome == "ok" for answer in lm.complete(model, asked))

    return batch


def work(given: Namespace) -> None:
    """One process: as many batches as fit into the time; prints how many calls these were."""
    batch, calls = {"log": of_log, "gateway": of_gateway}[given.what](given), 0
    print(flush=True)
    sys.stdin.readline()  # all start together
    until = time.monotonic() + given.seconds
    while time.monotonic() < until:
        batch([f"{given.process} {calls + i}" for i in range(given.batch)])
        calls += given.batch
    print(calls, flush=True)


def rate(given: Namespace, python: str, what: str, processes: int, batch: int) -> int:
    """Calls a second of so many processes, over a log that is empty."""
    import psycopg

    with psycopg.connect(given.url) as connection:
        connection.execute("DROP SCHEMA IF EXISTS benchmark CASCADE")
        connection.execute("CREATE SCHEMA benchmark")
    log = f"{given.url}?options=-csearch_path%3Dbenchmark"
    shared = {"log": log, "endpoint": given.endpoint, "folder": given.folder, "seconds": given.seconds}
    asked = {**shared, "what": what, "batch": batch}
    options = [f"--{name}={value}" for name, value in asked.items()]
    command = [python, __file__, *options]
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, f"--process={i}"], **piped) for i in range(processes)]
    for each in started:
        each.stdout.readline()
    for each in started:
        each.stdin.write("\n")
        each.stdin.flush()
    return round(sum(int(each.communicate()[0]) for each in started) / given.seconds)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--beside", metavar="NAME=PYTHON", help="also the checkout of that interpreter")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--what", choices=("log", "gateway"), help="one process of this")
    for name in ("--process", "--log", "--endpoint", "--folder"):
        parser.add_argument(name)
    parser.add_argument("--batch", type=int)
    given = parser.parse_args()
    if given.what:
        return work(given)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.postgres import server

    name, _, python = (given.beside or "").partition("=")
    pythons = {**({name: python} if name else {}), "now": sys.executable}
    with server() as given.url, endpoint(None) as given.endpoint, TemporaryDirectory() as given.folder:
        for run in RUNS:
            calls = {name: rate(given, python, *run) for name, python in pythons.items()}
            line = dict(zip(("what", "processes", "batch"), run, strict=True))
            print(json.dumps({**line, "calls_a_second": calls}), flush=True)


if __name__ == "__main__":
    main()
