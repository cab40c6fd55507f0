"""What durability costs: `LanguageModel.complete` (identities, lookup, log) against a bare client.

Both ask the same embedded server, turn by turn, for prompts of the same shape: a few-shot prefix that the
rows of one turn share, a line of their own, and a fixed number of tokens. Every turn has a prefix and rows
of its own, so nobody profits from what the server's prompt cache holds of the turn before.

    python benchmarks/generation.py --rows 64

prints one JSON line a contestant, and the ratio of their throughputs (1.0: durability is free).
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from openai import AsyncOpenAI, DefaultAioHttpClient

from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.embedded_server import ensure, packaged_model
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request

IN_FLIGHT = 16
TOKENS = 24  # an answer has exactly so many
SAMPLING = {"max_tokens": TOKENS, "temperature": 1.0, "logprobs": 1, "ignore_eos": True}
WORDS = ["card", "lost", "payment", "declined", "transfer", "account", "bank", "refund", "fee", "help"]


def prompts(rows: int, shots: int, turn: int) -> list[str]:
    words = random.Random(turn)
    shared = "\n".join(f"Question {turn}: " + " ".join(words.choices(WORDS, k=9)) for _ in range(shots))
    return [f"{shared}\nQuestion about {' '.join(words.choices(WORDS, k=5))} {i}:" for i in range(rows)]


def bare(url: str, asked: list[str]) -> list[str]:
    """The least that works: a client, a queue, a list in memory."""
    answers = [""] * len(asked)
    queue = list(enumerate(asked))[::-1]

    async def work(client: AsyncOpenAI) -> None:
        while queue:
            i, prompt = queue.pop()
            answer = await client.completions.create(
                model="any",
                prompt=prompt,
                seed=i,
                max_tokens=TOKENS,
                temperature=1.0,
                logprobs=1,
                extra_body={"ignore_eos": True},
            )
            answers[i] = answer.choices[0].text

    async def run() -> None:
        async with AsyncOpenAI(
            api_key="none", base_url=url, http_client=DefaultAioHttpClient(), timeout=600
        ) as client:
            await asyncio.gather(*(work(client) for _ in range(IN_FLIGHT)))

    asyncio.run(run())
    return answers


def durable(url: str, folder: Path, asked: list[str]) -> list[str]:
    """The same through the call log, in a file that grows from turn to turn."""
    model = Model("any", base_url=url, api="completions", max_concurrency=IN_FLIGHT, timeout_s=600)
    requests = [Request(({"role": "user", "content": prompt},), SAMPLING) for prompt in asked]
    answers = LanguageModel(CallLog(folder / "calls.sqlite"), folder).complete(model, requests)
    return [answer.text or "" for answer in answers]


def seconds(contestant: Callable[[list[str]], list[str]], asked: list[str]) -> float:
    started = time.perf_counter()
    answers = contestant(asked)
    assert len(answers) == len(asked)
    assert all(answers)
    return time.perf_counter() - started


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=64, help="rows a turn")
    parser.add_argument("--repeats", type=int, default=2, help="turns of each contestant")
    parser.add_argument(
        "--shots", type=int, default=8, help="lines of the shared prefix (about 15 tokens each)"
    )
    parser.add_argument("--slots", type=int, default=8, help="requests that the server decodes together")
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        url = ensure(packaged_model(), folder, slots=given.slots)
        contestants: dict[str, Callable[[list[str]], list[str]]] = {
            "bare": lambda asked: bare(url, asked),
            "language_model": lambda asked: durable(url, folder, asked),
        }
        for contestant in contestants.values():  # imports and first connections are not what is compared
            contestant(prompts(2, 1, turn=-1))
        taken: dict[str, float] = dict.fromkeys(contestants, 0.0)
        for repeat in range(given.repeats):
            order = list(contestants)[:: 1 if repeat % 2 == 0 else -1]  # nobody is always the first
            for place, who in enumerate(order):
                taken[who] += seconds(contestants[who], prompts(given.rows, given.shots, 2 * repeat + place))
    rows = given.rows * given.repeats
    for who, total in taken.items():
        line = {"contestant": who, "rows": rows, "seconds": round(total, 2), "rows_s": round(rows / total, 2)}
        print(json.dumps({**line, "tokens_s": round(rows * TOKENS / total, 1)}))
    print(json.dumps({"ratio": round(taken["bare"] / taken["language_model"], 3), "slots": given.slots}))


if __name__ == "__main__":
    main()
