"""`synth ui`: open the Dagster UI on the same data."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

LOOK_S = 5.0  # between two looks at the recipes
RELOAD_S = 60.0  # that a reload may take
LOCATIONS = (
    "{ workspaceOrError { ... on Workspace { locationEntries "
    "{ locationOrLoadError { ... on PythonError { message } } } } } }"
)
UNREACHABLE = "DagsterUserCodeUnreachableError"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
POLITE_S = 1.5  # for what runs to write down how far it is; then it is killed: Dagster takes up to ten

# What runs in the session's first process: the command, and who ends all of it when nobody holds the pipe any
# more, since the process at its other end was killed.
WATCHED = """
import os, signal, subprocess, sys, threading, time

def watch():
    os.read(int(sys.argv[1]), 1)
    alone.set()
    os.killpg(0, signal.SIGTERM)
    time.sleep(float(sys.argv[2]))
    os.killpg(0, signal.SIGKILL)

signal.signal(signal.SIGTERM, lambda *_: None)  # it ends when the command has ended
command, alone = subprocess.Popen(sys.argv[3:]), threading.Event()
watching = threading.Thread(target=watch, daemon=True)
watching.start()
code = command.wait()
if alone.is_set():
    watching.join()
sys.exit(code)
"""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", default="3000")
    parser.add_argument(
        "--host", default="127.0.0.1", help="0.0.0.0 in a container; the UI asks nobody for a password"
    )


def command(options: argparse.Namespace) -> int:
    from synth_assets.assets.in_process import dagster_instance, end_runs_of_the_ui, note_plans
    from synth_assets.resources.gateway.embedded_server import end_unused
    from synth_assets.resources.home import home

    workspace = Path("workspace.yaml")
    if not workspace.exists():
        workspace = Path(__file__).parents[1] / "assets" / "workspace.yaml"
    with dagster_instance() as instance:  # sets DAGSTER_HOME, and ends runs whose process died
        note_plans(instance)
        dagster = [sys.executable, "-m", "dagster"]  # of this environment, wherever its commands are
        here = "127.0.0.1" if options.host == "0.0.0.0" else options.host  # 0.0.0.0: every address
        address = f"http://{here}:{options.port}"
        threading.Thread(target=follow_recipes, args=[address], daemon=True).start()
        code = _run([*dagster, "dev", "-w", str(workspace), "-h", options.host, "-p", options.port])
        end_unused(home() / "server")
        end_runs_of_the_ui(instance)
    return code


def follow_recipes(address: str) -> None:
    """Let Dagster read the recipes anew whenever one of them was changed, is new or gone, or the process that
    had read them is gone; never returns."""
    seen = _recipes()
    while True:
        time.sleep(LOOK_S)
        now = _recipes()
        if (now != seen or lost(address)) and reload(address):
            seen = now


def _recipes() -> dict[str, tuple[int, int]]:
    """Each recipe's file, as it is on disk."""
    from synth_assets.resources.home import recipes

    found = {}
    for path in recipes().glob("*.yaml"):
        with suppress(FileNotFoundError):
            found[path.name] = path.stat().st_mtime_ns, path.stat().st_size
    return found


def reload(address: str) -> bool:
    """Press *Reload definitions*; whether the web server took it."""
    return _ask(address, "mutation { reloadWorkspace { __typename } }") is not None


def lost(address: str) -> bool:
    """Whether the process that has read the recipes was killed, for want of memory, say: Dagster does not
    start it again by itself, and no night would come any more."""
    return UNREACHABLE in str(_ask(address, LOCATIONS))


def _ask(address: str, query: str) -> Any:
    """What the web server answers; None where it does not."""
    from http.client import HTTPException
    from urllib.request import ProxyHandler, Request, build_opener

    asked = json.dumps({"query": query}).encode()
    request = Request(f"{address}/graphql", asked, {"Content-Type": "application/json"})
    try:
        direct = build_opener(ProxyHandler({}))  # whatever proxy the environment names, this is loopback
        with direct.open(request, timeout=RELOAD_S) as answer:
            said = json.load(answer)
            return None if said.get("errors") else said.get("data")
    except (OSError, ValueError, HTTPException):  # it is not up yet, or busy
        return None


def _run(command: list[str]) -> int:
    """Run it until it ends, or this process is told to (Ctrl-C, SIGTERM, a closed terminal), and then end all
    that it started: a session of its own, so that a signal comes to all at once, and to nobody twice."""
    ends = [signal.SIGINT, signal.SIGTERM]  # the first too: a shell lets its background jobs ignore it
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        ends.append(signal.SIGHUP)
    for told in ends:
        signal.signal(told, signal.default_int_handler)
    started = _started(command)
    try:
        return started.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for told in ends:
            signal.signal(told, signal.SIG_IGN)  # the end is not to be ended
        _end(started)


def _started(command: list[str]) -> "subprocess.Popen[str]":
    """Dagster's processes have colours whatever the environment says, and stop logging at a sign that the
    terminal cannot show."""
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    env = {**os.environ, "PYTHONIOENCODING": f"{encoding}:backslashreplace"}
    out, errors = (subprocess.PIPE, subprocess.STDOUT) if os.environ.get("NO_COLOR") else (None, None)
    seen, _ = os.pipe()  # its other end is open as long as this process lives
    started = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(seen), str(POLITE_S), *command],
        stdout=out,
        stderr=errors,
        start_new_session=True,
        env=env,
        encoding=encoding,
        errors="backslashreplace",
        pass_fds=[seen],
    )
    os.close(seen)
    if started.stdout:
        threading.Thread(target=_without_colours, args=(started.stdout,), daemon=True).start()
    return started


def _without_colours(lines: IO[str]) -> None:
    for line in lines:
        print(COLOUR.sub("", line), end="", file=sys.stderr, flush=True)


def _end(started: "subprocess.Popen[str]") -> None:
    """The processes of its session: politely, then not. It waits until they are gone, which takes a moment
    after the second signal too."""
    with suppress(ProcessLookupError):
        for told, seconds in ((signal.SIGTERM, POLITE_S), (signal.SIGKILL, 1.0)):
            os.killpg(started.pid, told)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                started.poll()
                os.killpg(started.pid, 0)  # raises once there is none
                time.sleep(0.05)
    started.wait()
