"""All that `synth ui` has started ends with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.forked import still_there

# what it starts in the place of Dagster: a process that starts another, and neither heeds SIGTERM
LEADER = """
import sys
from synth_assets.commands import ui
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
inner = deaf + "print('up', flush=True); time.sleep(60)"
outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
sys.exit(ui._run([sys.executable, "-c", outer]))
"""


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=str)
def test_nothing_is_left_of_what_it_started(told: signal.Signals, tmp_path: Path) -> None:
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # as a shell starts its background jobs
    command = [*shell, sys.executable, "-c", LEADER]
    leader = subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "SYNTH_HOME": str(tmp_path)}
    )
    assert leader.stdout
    assert leader.stdout.readline() == b"up\n"
    started = psutil.Process(leader.pid).children(recursive=True)
    assert len(started) >= 3
    leader.send_signal(told)
    assert leader.wait(timeout=60) == (-told if told == signal.SIGKILL else 0)
    assert still_there(started) == []
