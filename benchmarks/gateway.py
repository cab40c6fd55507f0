"""What the whole path costs where the model is not the bottleneck: many calls to a fast endpoint.

    python benchmarks/gateway.py --rows 5000 --concurrency 128

`openai` is the floor: the bare client as it comes, nothing kept. `synth-assets` renders prompts, derives
identities, looks into the log, calls, logs, and writes Parquet; `synth-assets-again` is the same run once
more, answered from the log. Each is a process of its own, so that its CPU and its memory are its own; what
is timed starts after the imports and a few calls to warm up. One JSON line each, then the ratios.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

LATENCY_S = 0.05  # of the endpoint that this script starts
SAMPLING: dict[str, Any] = {"temperature": 1.0, "max_tokens": 64}
SHOTS = [{"text": f"My card was swallowed by machine number {i}, what now?"} for i in range(8)]
ASKED = "Write one question of a bank's customer, number {row}, and nothing else. Examples:"
DEMONSTRATIONS = "\n{% for d in demonstrations %}\n- {{ d.text }}\n{% endfor %}\n"
TEMPLATE = ASKED.format(row="{{ row }}") + DEMONSTRATIONS
WARM = 8  # calls before the clock starts; their rows are not among the others


def serve() -> None:
    """An OpenAI-compatible endpoint that thinks for LATENCY_S; prints its base URL."""
    from aiohttp import web

    usage = {"prompt_tokens": 150, "completion_tokens": 12, "total_tokens": 162}

    async def answer(request: web.Request) -> web.Response:
        asked = await request.json()
        await asyncio.sleep(LATENCY_S)
        text = f"My card is lost ({asked['seed']}), can you send me a new one?"
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

    examples = "\n".join(f"- {d['text']}" for d in SHOTS)

    async def run(rows: range) -> None:
        answers: list[str | None] = [None] * len(rows)
        queue = list(enumerate(rows))[::-1]

        async def work(client: AsyncOpenAI) -> None:
            while queue:
                i, row = queue.pop()
                message: Any = {"role": "user", "content": f"{ASKED.format(row=row)}\n{examples}"}
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

    from resources.call_log import CallLog
    from resources.lake import Lake
    from resources.language_model import LanguageModel, Model, Request
    from synth_assets.generation.prompts import chat, render

    folder = Path(given.folder)
    lake, lm = Lake(folder / "lake"), LanguageModel(CallLog(folder / "calls.sqlite"), folder)
    model = Model(given.model, base_url=given.base_url, max_concurrency=given.concurrency)

    def contestant(rows: range) -> None:
        prompts = (render(TEMPLATE, {"row": row, "demonstrations": SHOTS}) for row in rows)
        answers = lm.complete(model, [Request(chat(prompt, ""), SAMPLING) for prompt in prompts])
        assert all(answer.text for answer in answers)
        columns = {name: [getattr(a, name) for a in answers] for name in ("identity", "text", "outcome")}
        lake.write("benchmark", "generations", {"round": str(rows.start)}, pa.table(columns))

    return contestant


CONTESTANTS = {"openai": bare, "synth-assets": whole_path, "synth-assets-again": whole_path}


def measure(given: Namespace) -> dict[str, Any]:
    contestant = CONTESTANTS[given.contestant](given)
    contestant(range(-WARM, 0))
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    contestant(range(given.rows))
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    line = {"contestant": given.contestant, "rows": given.rows, "wall_s": round(wall, 3)}
    rss = round(after.ru_maxrss / 1024, 1)
    return {**line, "cpu_s": round(cpu, 3), "rss_mib": rss, "rows_s": round(given.rows / wall, 1)}


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--base-url", help="an OpenAI-compatible endpoint (default: one of its own)")
    parser.add_argument("--model", default="any")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=128)
    parser.add_argument("--contestant", choices=CONTESTANTS, help="only this one, in this process")
    parser.add_argument("--folder", help="where its log and its lake are")
    given = parser.parse_args()
    if given.contestant:
        return print(json.dumps(measure(given)))
    results = {}
    with endpoint(given.base_url) as url, TemporaryDirectory() as folder:
        for who in CONTESTANTS:
            command = [sys.executable, __file__, f"--contestant={who}", f"--base-url={url}"]
            command += [
                f"--model={given.model}",
                f"--rows={given.rows}",
                f"--concurrency={given.concurrency}",
            ]
            done = subprocess.run([*command, f"--folder={folder}"], check=True, stdout=subprocess.PIPE)
            results[who] = json.loads(done.stdout)
            print(json.dumps(results[who]), flush=True)
    ours, floor = results["synth-assets"], results["openai"]
    ratios = {f"{name}_ratio": round(ours[f"{name}_s"] / floor[f"{name}_s"], 3) for name in ("cpu", "wall")}
    print(json.dumps({**ratios, "concurrency": given.concurrency}))


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
