"""On the path of `synth ui`: Dagster's daemon looks for work every three seconds, in the place of thirty."""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from typing import Any


class Hurried:
    """Finds one module, once."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if name != "dagster._daemon.controller":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        run = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            run(module)
            module.DEFAULT_DAEMON_INTERVAL_SECONDS = 3

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Hurried())
