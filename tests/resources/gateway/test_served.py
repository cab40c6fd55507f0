"""The embedded server is killed while it is asked: what was in flight is asked of the next one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway import embedded_server
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request
from tests.endpoint import RESET, Endpoint

REQUESTS = [Request([{"role": "user", "content": f"question {i}"}]) for i in range(40)]


def ask(folder: Path, monkeypatch: pytest.MonkeyPatch, *servers: Endpoint) -> list[str | None]:
    """The answers, where these servers come one after the other, and all but the last are killed."""
    (folder / "model.gguf").write_bytes(b"GGUF")
    coming = iter(servers)
    for server in servers[:-1]:
        server.fail_next(RESET, times=99)
    monkeypatch.setattr(embedded_server, "ensure", lambda *_: next(coming).url)
    monkeypatch.setattr(embedded_server, "answers", lambda url: url == servers[-1].url)
    model = Model("m", model_path=folder / "model.gguf")
    answers = LanguageModel(CallLog(folder / "calls.sqlite"), folder).complete(model, REQUESTS)
    assert {answer.outcome for answer in answers} == {"ok"}
    return [answer.text for answer in answers]


def test_it_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Endpoint() as killed, Endpoint() as next_one:
        texts = ask(tmp_path, monkeypatch, killed, next_one)
        assert texts == [f"question {i}!" for i in range(40)]
        assert len(next_one.requests) == 40


def test_killed_again_it_says_why_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Endpoint() as first, Endpoint() as second, Endpoint() as never:
        with pytest.raises(UserError, match=r"ended 2 times while it was asked .*memory"):
            ask(tmp_path, monkeypatch, first, second, never)
        assert never.requests == []


def test_how_a_server_ended_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen(["sleep", "60"])
    monkeypatch.setitem(embedded_server._started, "http://127.0.0.1:1", process)
    process.kill()
    process.wait()
    assert "killed by signal 9" in embedded_server.how_it_ended("http://127.0.0.1:1/v1")
    assert "memory" in embedded_server.how_it_ended("http://127.0.0.1:2/v1")
