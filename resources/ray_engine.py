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
from itertools import cycle
from queue import Empty, Queue
from threading import Thread
from typing import Any, cast

from synth_assets.core.engine import Lost
from synth_assets.core.errors import UserError
from synth_assets.resources.storage.process import processors

VARIABLE = "SYNTH_RAY_ROWS"
ROWS = 10_000_000
TELL = 4.0  # seconds between two lines, at most
REACH = 10.0  # seconds for a cluster to take a connection
FIX = 'pip install "synth-assets[cluster]"'
NEEDS = (
    "Workers need the environment of the process that asks: install synth-assets on each node, and modules "
    "of your own too, or name their folder in PYTHONPATH there before `ray start`."
)
NODE = (
    "It has to be the address of a running cluster of the same Ray and Python, HOST:6379, and this process "
    "on a node of it (ray start --address=HOST:6379). Unset RAY_ADDRESS to work on this machine alone."
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
            try:
                _reach(address)
                ray.init(address=address or "local", **own, **quiet)
            except (OSError, RuntimeError, ValueError) as error:
                first = next(iter(str(error).strip().splitlines()), type(error).__name__)
                raise UserError(
                    f"RAY_ADDRESS is {address}, and cannot be joined ({first}). {NODE}"
                ) from error
        self._ray = ray

    @property
    def workers(self) -> int:
        """The processors of the nodes that there are."""
        return len(self._processors()) or 1

    def _processors(self) -> list[str]:
        """The node of each processor, in turn."""
        nodes = {n["NodeID"]: int(n["Resources"].get("CPU", 0)) for n in self._ray.nodes() if n["Alive"]}
        return [node for at in range(max(nodes.values(), default=0)) for node in nodes if nodes[node] > at]

    def call(self, function: Callable[..., Any], *args: Any, returns: int) -> list[Any]:
        if returns == 1:  # of one value Ray gives no tuple
            return [self._ray.remote(lambda *of: function(*of)[0]).remote(*args)]
        return list(self._ray.remote(function).options(num_returns=returns).remote(*args))

    def actors(self, kind: type, given: Sequence[Sequence[Any]]) -> list[Any]:
        """They hold memory, and no processor: what is made again after a loss has to find one."""
        nodes, of = cycle(self._processors()), cast(Any, self._ray.remote(kind))
        place = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        put = (of.options(num_cpus=0, scheduling_strategy=place(node, soft=True)) for node in nodes)
        return [one.remote(*args) for one, args in zip(put, given, strict=False)]

    def get(self, refs: Sequence[Any], what: str) -> list[Any]:
        left, done = list(refs), 0
        while left:
            ready, left = self._ray.wait(left, num_returns=len(left), timeout=TELL, fetch_local=False)
            done += len(ready)
            self._tell(what, f"{done} of {len(refs)}", done)
        try:
            return list(self._ray.get(list(refs)))
        except self._ray.exceptions.RayTaskError as error:
            cause = error.as_instanceof_cause()
            raise _lacking(cause) if "failed to import on the worker" in str(cause) else cause from None
        except self._ray.exceptions.RayError as error:
            raise Lost(f"Ray lost what it worked on ({type(error).__name__}): run it again.") from error

    def _tell(self, what: str, how_far: str, done: int) -> None:
        """And where nothing is done yet, whether that may be because others are at work."""
        free = self._ray.available_resources().get("CPU", 0) if not done else 1
        self._say(f"Ray: {what}, {how_far}{'' if free >= 1 else ', all processors are taken'}")

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
                self._tell(what, f"{done} of {len(parts)} parts", done)
            if row is not None:
                yield found


def _reach(address: str) -> None:
    """OSError at once where nobody listens at HOST:PORT: Ray would ask there for minutes, and say nothing."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), REACH).close()


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


def _lacking(error: Exception, where: str = "on a worker of Ray") -> UserError:
    return UserError(f"{where}: {str(error).strip().splitlines()[-1]}. {NEEDS}")


def _of_worker(error: Exception) -> Exception:
    """With the place where it was raised, which pickling takes away."""
    where = f"on a worker of Ray ({socket.gethostname()})"
    if isinstance(error, ModuleNotFoundError):
        return _lacking(error, where)
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
