"""`synth ui`: open the Dagster UI on the same data."""

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

POLITE_S = 1.5  # for what runs to write down how far it is; then it is killed: Dagster takes up to ten


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
        code = _run([*dagster, "dev", "-w", str(workspace), "-h", options.host, "-p", options.port])
        end_unused(home() / "server")
        end_runs_of_the_ui(instance)
    return code


def _run(command: list[str]) -> int:
    """Run it until it ends, or this process is told to (Ctrl-C, SIGTERM, a closed terminal), and then end all
    that it started: a session of its own, so that a signal comes to all at once, and to nobody twice."""
    ends = [signal.SIGINT, signal.SIGTERM]  # the first too: a shell lets its background jobs ignore it
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        ends.append(signal.SIGHUP)
    for told in ends:
        signal.signal(told, signal.default_int_handler)
    started = subprocess.Popen(command, start_new_session=True)
    try:
        return started.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for told in ends:
            signal.signal(told, signal.SIG_IGN)  # the end is not to be ended
        _end(started)


def _end(started: "subprocess.Popen[bytes]") -> None:
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
