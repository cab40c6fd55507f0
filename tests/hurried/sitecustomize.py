"""On the path of `synth ui`: Dagster's daemon looks for work every three seconds, in the place of thirty, and
runs are forks of a process that has imported all, in the place of new interpreters."""

import importlib.util
import multiprocessing
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import SimpleNamespace
from typing import Any

IMPORTED = [
    "synth_assets.code_location",
    "pandas",
    "pyarrow.parquet",
    "duckdb",
    "sklearn.linear_model",
    "openai",
]


def every_three_seconds(daemon: Any) -> None:
    daemon.DEFAULT_DAEMON_INTERVAL_SECONDS = 3


def forked(server: Any) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    server.multiprocessing = SimpleNamespace(get_context=lambda _: context, Process=multiprocessing.Process)


HURRIED: dict[str, Callable[[Any], None]] = {
    "dagster._daemon.controller": every_three_seconds,
    "dagster._grpc.server": forked,
}


class Hurried:
    """Finds each module once, and changes it."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if (change := HURRIED.pop(name, None)) is None:
            return None
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        run = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            run(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Hurried())
