"""What the whole path costs where the model is not the bottleneck: many calls to a fast endpoint.

    python benchmarks/gateway.py --rows 5000 --concurrency 128
    python benchmarks/gateway.py --growth 100000      # how memory grows from --rows to that many
    python benchmarks/gateway.py --peer distilabel=../distilabel/bin/python      # beside a peer, see peers.py

`openai` is the floor: the bare client as it comes, nothing kept. `synth-assets` renders prompts, derives
identities, looks into the log, calls, logs, and writes Parquet; `synth-assets-again` is the same run once
more, answered from the log. A peer gets its prompts ready and runs in its own environment. Each is a process
of its own, so that its CPU and its memory are its own; what is timed starts after the imports and a few calls
to warm up. One JSON line each, then the ratios to the floor: the peers', at the end ours.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from peers import PEERS, timed

LATENCY_S = 0.05  # of the endpoint that this script starts
SAMPLING: dict[str, Any] = {"temperature": 1.0, "max_tokens": 64}
SHOTS = [{"text": f"My card was swallowed by machine number {i}, what now?"} for i in range(8)]
ASKED = "Write one question of a bank's customer, number {row}, and nothing else. Examples:"
DEMONSTRATIONS = "\n{% for d in demonstrations %}\n- {{ d.text }}\n{% endfor %}\n"
TEMPLATE = ASKED.format(row="{{ row }}") + DEMONSTRATIONS
EXAMPLES = "\n".join(f"- {shot['text']}" for shot in SHOTS)
WARM = 8  # calls before the clock starts; their rows are not among the others


def prompt_of(row: int) -> str:
    return f"{ASKED.format(row=row)}\n{EXAMPLES}"


def serve() -> None:
    """An OpenAI-compatible endpoint that thinks for LATENCY_S; prints its base URL."""
    from aiohttp import web

    usage = {"prompt_tokens": 150, "completion_tokens": 12, "total_tokens": 162}

    async def answer(request: web.Request) -> web.Response:
        asked = await request.json()
        await asyncio.sleep(LATENCY_S)
        text = f"My card is lost ({asked.get('seed')}), can you send me a new one?"
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": asked["model"]}
        return web.json_response({**head, "choices": [choice], "usage": usage})

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def endpoint(base_url: str | None) -> Iterator[str]:
    if base_url:
        return (yield base_url)
    process = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def bare(given: Namespace) -> Callable[[range], None]:
    """The least that works: the client with its default transport, workers, a list in memory."""
    from openai import AsyncOpenAI

    async def run(rows: range) -> None:
        answers: list[str | None] = [None] * len(rows)
        queue = list(enumerate(rows))[::-1]

        async def work(client: AsyncOpenAI) -> None:
            while queue:
                i, row = queue.pop()
                message: Any = {"role": "user", "content": prompt_of(row)}
                answer = await client.chat.completions.create(
                    model=given.model, messages=[message], seed=row, **SAMPLING
                )
                answers[i] = answer.choices[0].message.content

        key = os.environ.get("OPENAI_API_KEY", "none")
        async with AsyncOpenAI(api_key=key, base_url=given.base_url, timeout=120) as client:
            await asyncio.gather(*(work(client) for _ in range(given.concurrency)))
        assert all(answers)

    return lambda rows: asyncio.run(run(rows))


def whole_path(given: Namespace) -> Callable[[range], None]:
    """As a stage does it: from a template to a Parquet file, each call in the log before it is used."""
    import pyarrow as pa

    from synth_assets.core.templates import chat, render
    from synth_assets.resources.call_log.log import CallLog
    from synth_assets.resources.gateway.language_model import LanguageModel
    from synth_assets.resources.gateway.models import Model
    from synth_assets.resources.gateway.request import Request
    from synth_assets.resources.storage.folder_lake import FolderLake

    folder = Path(given.folder)
    lake, lm = FolderLake(folder / "lake"), LanguageModel(CallLog(folder / "calls.sqlite"), folder)
    model = Model(given.model, base_url=given.base_url, max_concurrency=given.concurrency)

    def contestant(rows: range) -> None:
        prompts = (render(TEMPLATE, {"row": row, "demonstrations": SHOTS}) for row in rows)
        requests = (Request(chat(prompt, ""), SAMPLING) for prompt in prompts)
        columns: dict[str, list[str | None]] = {"identity": [], "text": [], "outcome": []}
        for answer in lm.stream(model, requests):
            assert answer.text
            for name, values in columns.items():
                values.append(getattr(answer, name))
        lake.write("benchmark", "generations", {"round": str(rows.start)}, pa.table(columns))

    return contestant


CONTESTANTS = {"openai": bare, "synth-assets": whole_path, "synth-assets-again": whole_path}


def measure(given: Namespace) -> dict[str, Any]:
    contestant = CONTESTANTS[given.contestant](given)
    contestant(range(-WARM, 0))
    line, _ = timed(given.contestant, given.rows, lambda: contestant(range(given.rows)))
    return line


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--base-url", help="an OpenAI-compatible endpoint (default: one of its own)")
    parser.add_argument("--model", default="any")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=128)
    parser.add_argument("--growth", type=int, metavar="ROWS", help="only: memory at --rows and at ROWS")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        type=peer,
        metavar="NAME=PYTHON",
        help=f"also this one, run by that interpreter: {', '.join(PEERS)}",
    )
    parser.add_argument("--contestant", choices=CONTESTANTS, help="only this one, in this process")
    parser.add_argument("--folder", help="where its log and its lake are")
    given = parser.parse_args()
    if given.contestant:
        return print(json.dumps(measure(given)))
    with endpoint(given.base_url) as url:
        growth(given, url) if given.growth else beside_the_floor(given, url)


def peer(text: str) -> tuple[str, str]:
    """The name of a peer and the interpreter that has it installed."""
    name, _, python = text.partition("=")
    if name not in PEERS or not python:
        raise ArgumentTypeError(f"{text} is not NAME=PYTHON with NAME one of {', '.join(PEERS)}")
    return name, python


def beside_the_floor(given: Namespace, url: str) -> None:
    with TemporaryDirectory() as folder:
        results = {who: run(given, url, who, given.rows, folder) for who in CONTESTANTS}
    results |= {who: run_peer(given, url, who, python) for who, python in given.peer}

    def ratios(who: str) -> dict[str, float]:
        measured, floor = results[who], results["openai"]
        return {
            f"{name}_ratio": round(measured[f"{name}_s"] / floor[f"{name}_s"], 3) for name in ("cpu", "wall")
        }

    for who, _ in given.peer:
        print(json.dumps({"contestant": who, **ratios(who)}))
    print(json.dumps({**ratios("synth-assets"), "concurrency": given.concurrency}))


def run_peer(given: Namespace, url: str, who: str, python: str) -> dict[str, Any]:
    """A peer in its own environment; what it says to the user is shown where it fails."""
    asked = {"peer": who, "base_url": url, "model": given.model, "concurrency": given.concurrency}
    asked |= {"sampling": SAMPLING, "prompts": [prompt_of(row) for row in range(given.rows)]}
    asked |= {"warm": [prompt_of(row) for row in range(-WARM, 0)]}
    command = [python, str(Path(__file__).with_name("peers.py"))]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{who} failed:\n{done.stderr[-3000:]}")
    print(done.stdout.strip(), flush=True)
    return json.loads(done.stdout)


def growth(given: Namespace, url: str) -> None:
    """How much more memory many rows take than few: made, and answered from the log."""
    for who in ("synth-assets", "synth-assets-again"):
        rss = []
        for rows in (given.rows, given.growth):
            with TemporaryDirectory() as folder:
                if who == "synth-assets-again":
                    run(given, url, "synth-assets", rows, folder, quiet=True)
                rss.append(run(given, url, who, rows, folder)["rss_mib"])
        print(json.dumps({"contestant": who, "growth_mib": round(rss[1] - rss[0], 1)}), flush=True)


def run(given: Namespace, url: str, who: str, rows: int, folder: str, quiet: bool = False) -> dict[str, Any]:
    """One contestant in a process of its own."""
    command = [sys.executable, __file__, f"--contestant={who}", f"--base-url={url}", f"--model={given.model}"]
    command += [f"--rows={rows}", f"--concurrency={given.concurrency}", f"--folder={folder}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    if not quiet:
        print(done.stdout.decode().strip(), flush=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
