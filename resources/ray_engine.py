"""Ray as what works on large sets: joined where RAY_ADDRESS says, else started on this machine."""

from __future__ import annotations

import logging
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from queue import Empty, Queue
from threading import Thread
from typing import Any, cast

from synth_assets.core.errors import UserError
from synth_assets.resources.storage.process import processors

VARIABLE = "SYNTH_RAY_ROWS"
ROWS = 10_000_000
TELL = 4.0  # seconds between two lines, at most
FIX = 'pip install "synth-assets[cluster]"'
NEEDS = (
    "Workers need the environment of the process that asks: install synth-assets on each node, and modules "
    "of your own too, or name their folder in PYTHONPATH there before `ray start`."
)
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def engine(rows: int, say: Callable[[str], None], warn: Callable[[str], None]) -> RayEngine | None:
    """Ray, for more rows than SYNTH_RAY_ROWS says (10 million by default), else None. UserError where that is
    no number, or where it is said and Ray is not installed; without it, that is a warning."""
    said = os.environ.get(VARIABLE, "")
    try:
        limit = int(said.replace("_", "")) if said else ROWS
    except ValueError:
        limit = -1
    if limit < 0:
        raise UserError(f"{VARIABLE} is {said!r}: write a number of rows, 0 or more, such as {ROWS}.")
    if rows <= limit:
        return None
    if find_spec("ray") is not None:
        return RayEngine(say)
    why = f"{rows:,} rows are more than {VARIABLE} ({limit:,}), and Ray is not installed"
    if said:
        raise UserError(f"{why}. Fix: {FIX}, or unset {VARIABLE}.")
    warn(f"{why}: this process works on them alone ({FIX})")
    return None


class RayEngine:
    """See `core/engine.py`. `say`: what people are told goes there."""

    def __init__(self, say: Callable[[str], None]) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        import ray

        self._say = say
        if not ray.is_initialized():
            address = os.environ.get("RAY_ADDRESS", "")
            own: dict[str, Any] = {} if address else {"num_cpus": processors(), "include_dashboard": False}
            quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
            say(f"joins the Ray cluster at {address}" if address else f"starts Ray: {processors()} workers")
            ray.init(address=address or "local", **own, **quiet)
        self._ray = ray
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def call(self, function: Callable[..., Any], *args: Any, returns: int) -> list[Any]:
        if returns == 1:  # of one value Ray gives no tuple
            return [self._ray.remote(lambda *of: function(*of)[0]).remote(*args)]
        return list(self._ray.remote(function).options(num_returns=returns).remote(*args))

    def actor(self, kind: type, *args: Any) -> Any:
        return self._ray.remote(kind).options(num_cpus=1).remote(*args)

    def get(self, refs: Sequence[Any], what: str) -> list[Any]:
        left, done = list(refs), 0
        while left:
            ready, left = self._ray.wait(left, num_returns=len(left), timeout=TELL, fetch_local=False)
            done += len(ready)
            self._say(f"Ray: {what}, {done} of {len(refs)}")
        try:
            return list(self._ray.get(list(refs)))
        except self._ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        except self._ray.exceptions.RayError as error:
            raise UserError(f"Ray lost what it worked on ({type(error).__name__}): run it again.") from error

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any], what: str) -> Iterator[Any]:
        """By Ray Data's `map_batches`; parts and results are pickled, so that Arrow changes no type."""
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.execution_options.preserve_order = True
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # only its import has set it up
        dump, load = self._ray.cloudpickle.dumps, self._ray.cloudpickle.loads
        dumped = dump(function)
        data = ray.data.from_items([{"part": dump(part)} for part in parts], override_num_blocks=len(parts))

        def batch(columns: Mapping[str, Any]) -> dict[str, Any]:
            return {"part": [_made(dumped, part) for part in columns["part"]]}

        rows = data.map_batches(batch, batch_size=1).iter_rows()
        done, told = 0, time.monotonic()
        for row in _heard(rows, TELL):
            if row is not None:
                done += 1
                well, found = load(row["part"])
                if not well:
                    raise found
            if row is None or done == len(parts) or time.monotonic() - told > TELL:
                told = time.monotonic()
                self._say(f"Ray: {what}, {done} of {len(parts)} parts")
            if row is not None:
                yield found


def _made(function: bytes, part: bytes) -> bytes:
    """On a worker: (True, what the function makes of the part) or (False, the error), pickled, as Ray would
    give another error."""
    from ray import cloudpickle

    try:
        return bytes(cloudpickle.dumps((True, _loaded(function)(cloudpickle.loads(part)))))
    except Exception as error:
        return bytes(cloudpickle.dumps((False, _of_worker(error))))


@lru_cache(maxsize=1)
def _loaded(function: bytes) -> Callable[[Any], Any]:
    """Once a process of a worker, with what the function loads."""
    from ray import cloudpickle

    return cast(Callable[[Any], Any], cloudpickle.loads(function))


def _of_worker(error: Exception) -> Exception:
    """With the place where it was raised, which pickling takes away."""
    where = f"on a worker of Ray ({socket.gethostname()})"
    if isinstance(error, ModuleNotFoundError):
        return UserError(f"{error}, {where}. {NEEDS}")
    error.add_note(f"{where}:\n{traceback.format_exc()}")
    return error


def _heard(rows: Iterable[Any], seconds: float) -> Iterator[Any]:
    """The rows, and None where none has come for so many seconds."""
    found, ended = Queue[Any](), object()

    def listen() -> None:
        try:
            for row in rows:
                found.put((row, None))
        except BaseException as error:
            found.put((ended, error))
        else:
            found.put((ended, None))

    Thread(target=listen, daemon=True).start()
    while True:
        try:
            row, error = found.get(timeout=seconds)
        except Empty:
            yield None
            continue
        if error:
            raise error
        if row is ended:
            return
        yield row
