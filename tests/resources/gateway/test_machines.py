"""Machines that share a call log: containers of one host name, in which ids of processes are the same."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from synth_assets.resources.call_log.leases import LEASE_S
from synth_assets.resources.call_log.log import CallLog
from tests.containers import container, in_containers
from tests.endpoint import Endpoint
from tests.forked import python
from tests.nights import ROOT, Clock, compiler_there

pytestmark = in_containers
WITHIN_S = 90  # the others go on after a kill
QUESTIONS = [f"q{i}" for i in range(40)]
MACHINE = """
import sys
from pathlib import Path
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request

where, url, folder = sys.argv[1:]
asked = [Request([{"role": "user", "content": f"q{i}"}]) for i in range(40)]
answers = LanguageModel(CallLog(where), Path(folder)).complete(Model("m", base_url=url), asked)
assert [answer.text for answer in answers] == [f"q{i}!" for i in range(40)]
"""


def machine(where: str, url: str, folder: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Another one that asks the same, of the same name."""
    command = [*container("one"), sys.executable, "-c", MACHINE, where, url, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env={"PATH": "/usr/bin:/bin", **variables})


@pytest.mark.skipif(not compiler_there(), reason="no compiler of C: apt-get install gcc")
def test_machines_of_one_name_pay_once_whatever_their_clocks_say(postgres: str, tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    clock.forward(600)
    CallLog(postgres).count()
    with Endpoint(delay_s=0.2) as endpoint:
        machines = [machine(postgres, endpoint.url, tmp_path, **more) for more in ({}, {}, clock.variables)]
        assert [each.wait(120) for each in machines] == [0, 0, 0]
        assert sorted(endpoint.prompts) == sorted(QUESTIONS)
    rows = CallLog(postgres).execute("SELECT count(*), count(DISTINCT identity) FROM calls")
    assert rows == [(len(QUESTIONS), len(QUESTIONS))]


def test_a_machine_that_is_gone_keeps_the_others_for_a_lease(postgres: str, tmp_path: Path) -> None:
    log = CallLog(postgres)
    with Endpoint(delay_s=600) as endpoint:
        gone = machine(postgres, endpoint.url, tmp_path)
        while len(endpoint.requests) < 16:
            time.sleep(0.01)
        gone.kill()
        gone.wait()
        endpoint.delay_s = 0.0
        held = [identity for (identity,) in log.execute("SELECT identity FROM claims")]
        assert set(log.claim(held).values()) == {False}
        assert [holder.seconds < WITHIN_S for holder in log.holders(held)] == [True]
        for leased in ("claims", "shares"):
            log.execute(f"UPDATE {leased} SET until = until - ?", (LEASE_S,))  # so much later
        assert python(MACHINE, postgres, endpoint.url, str(tmp_path)).wait() == 0
        assert len(endpoint.requests) == 16 + len(QUESTIONS)
