"""The peers that benchmarks/gateway.py sets beside itself, each run by its own interpreter.

Only the standard library and the peer are needed here, nothing of this repository. Standard input: one JSON
object, {peer, base_url, model, concurrency, sampling, warm, prompts}; `warm` and `prompts` are lists of
texts, a chat call each. Standard output: one JSON line; what a peer prints goes to standard error. A peer
works as it comes, in a folder that is gone afterwards, with no variable of the caller's but the key. It
reaches the endpoint and nothing else: what it would download, it does without.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

ALONE = {
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "TELEMETRY_ENABLED": "false",  # curator's
    "NEMO_TELEMETRY_ENABLED": "false",  # Data Designer's
    "HTTPS_PROXY": "http://127.0.0.1:9",  # nobody listens there: refused at once
}
Run = Callable[[list[str]], Sequence[str]]  # from prompts to their answers


def curator(given: Namespace) -> Run:
    """JSON lines of requests and of answers, then a dataset. Its limits a minute are out of the way."""
    import litellm.litellm_core_utils.default_encoding  # noqa: F401  points the tokenizer at a copy on disk
    from bespokelabs.curator import LLM

    limits = {"max_requests_per_minute": 10**9, "max_tokens_per_minute": 10**12}
    backend = {"base_url": given.base_url, "max_concurrent_requests": given.concurrency, **limits}
    llm = LLM(given.model, backend="openai", generation_params=given.sampling, backend_params=backend)
    return lambda prompts: llm(prompts).dataset["response"]


def distilabel(given: Namespace) -> Run:
    """A pipeline of one step, each in a process of its own. It awaits a batch before it sends the next."""
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps.tasks import TextGeneration

    sampling = {"temperature": given.sampling["temperature"], "max_new_tokens": given.sampling["max_tokens"]}

    def run(prompts: list[str]) -> Sequence[str]:
        with Pipeline() as pipeline:
            llm = OpenAILLM(model=given.model, base_url=given.base_url, generation_kwargs=sampling)
            TextGeneration(llm=llm, input_batch_size=given.concurrency)
        rows = [{"instruction": prompt} for prompt in prompts]
        made = pipeline.run(dataset=rows, dataset_batch_size=given.concurrency, use_cache=False)
        return made["default"]["train"]["generation"]

    return run


def data_designer(given: Namespace) -> Run:
    """A column of prompts, one of answers, in Parquet; then their profile, but for its counts of tokens."""
    import data_designer.config as dd
    import pandas as pd
    from data_designer.interface import DataDesigner

    provider = dd.ModelProvider(name="endpoint", endpoint=given.base_url, api_key="OPENAI_API_KEY")
    designer = DataDesigner(model_providers=[provider])
    designer.set_run_config(dd.RunConfig(otel_metrics_port=None))
    sampling = dd.ChatCompletionInferenceParams(max_parallel_requests=given.concurrency, **given.sampling)
    named = {"alias": "model", "model": given.model, "provider": "endpoint"}
    model = dd.ModelConfig(**named, inference_parameters=sampling, skip_health_check=True)

    def run(prompts: list[str]) -> Sequence[str]:
        config = dd.DataDesignerConfigBuilder(model_configs=[model])
        config.with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame({"prompt": prompts})))
        config.add_column(dd.LLMTextColumnConfig(name="text", prompt="{{ prompt }}", model_alias="model"))
        return designer.create(config, num_records=len(prompts)).load_dataset()["text"]

    return run


PEERS = {"curator": curator, "distilabel": distilabel, "data-designer": data_designer}


def timed(contestant: str, rows: int, call: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    """A contestant's line, and what it returned.

    Seconds of CPU are its own and its ended children's; `rss_mib` is the peak of its greatest process.
    """

    def used() -> list[resource.struct_rusage]:
        return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]

    wall, before = time.perf_counter(), used()
    answered = call()
    wall, after = time.perf_counter() - wall, used()
    cpu = sum(u.ru_utime + u.ru_stime for u in after) - sum(u.ru_utime + u.ru_stime for u in before)
    rss = max(u.ru_maxrss for u in after) / 1024
    line = {"contestant": contestant, "rows": rows, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}
    return {**line, "rss_mib": round(rss, 1), "rows_s": round(rows / wall, 1)}, answered


def main() -> None:
    given = Namespace(**json.load(sys.stdin))
    out, key = os.fdopen(os.dup(1), "w"), os.environ.get("OPENAI_API_KEY", "none")
    os.dup2(2, 1)
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ.clear()  # a cache that is named there would answer instead of the endpoint
        os.environ.update(ALONE, HOME=folder, OPENAI_API_KEY=key)
        os.environ["NO_PROXY"] = urlsplit(given.base_url).hostname or ""
        run = PEERS[given.peer](given)
        run(given.warm)
        line, answers = timed(given.peer, len(given.prompts), lambda: run(given.prompts))
        assert sum(map(bool, answers)) == len(given.prompts)
        print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    main()
