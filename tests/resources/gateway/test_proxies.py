"""Whatever way an environment names a proxy, calls go by it; and not what NO_PROXY names."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway import sending, transport
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request
from tests.endpoint import Endpoint

VARIABLES = [f"{kind}_proxy" for kind in ("http", "https", "all")]


class Proxy(BaseHTTPRequestHandler):
    """Notes what it is asked for, and lets nothing through."""

    asked: list[str] = []  # noqa: RUF012 - of the one proxy of a test

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    do_CONNECT = do_POST


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Its address, in an environment that names none yet, and a process that has asked nothing."""
    for name in (*VARIABLES, "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(transport, "_connections", {})
    monkeypatch.setattr(sending, "ATTEMPTS", 1)
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    monkeypatch.setattr(Proxy, "asked", [])
    transport._http_client.cache_clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
    transport._http_client.cache_clear()


def ask(folder: Path, url: str) -> None:
    question = Request([{"role": "user", "content": "q"}])
    try:
        LanguageModel(CallLog(folder / "calls.sqlite"), folder).complete(Model("m", url), [question])
    except Exception:
        assert Proxy.asked  # it lets nothing through


@pytest.mark.parametrize("name", [*VARIABLES, *map(str.upper, VARIABLES)])
def test_calls_go_by_the_proxy(
    tmp_path: Path, proxy: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, proxy)
    scheme = "https" if name.lower().startswith("https") else "http"
    ask(tmp_path, f"{scheme}://models.test/v1")
    (asked,) = Proxy.asked
    assert asked == ("models.test:443" if scheme == "https" else "http://models.test/v1/chat/completions")


def test_not_what_is_named(tmp_path: Path, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with Endpoint() as endpoint:
        monkeypatch.setenv("NO_PROXY", f"elsewhere.test,{urlsplit(endpoint.url).hostname}")
        ask(tmp_path, endpoint.url)
        assert len(endpoint.requests) == 1
    assert Proxy.asked == []
