"""Calls that cannot get through: what a person is told, and how few of them are made."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway import network, sending, trial
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model, resolve_model
from synth_assets.resources.gateway.request import Request
from tests.endpoint import RESET, Endpoint, Played
from tests.resources.gateway.networks import Proxy, forget_the_network, over_tls

PAGE = b"<!doctype html><html><head><title>Welcome to\n nginx!</title></head></html>"
FEW = trial.IN_VAIN


@pytest.fixture(autouse=True)
def a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_network(monkeypatch)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted")
    monkeypatch.setattr(sending, "BACKOFF", 0.001)


class Asked:
    """Twenty questions to an address."""

    def __init__(self, folder: Path) -> None:
        self.log = CallLog(folder / "calls.sqlite")
        self.folder = folder

    def __call__(self, url: str, rows: int = 20) -> set[str]:
        asked = [Request([{"role": "user", "content": f"q{n}"}]) for n in range(rows)]
        return {a.outcome for a in LanguageModel(self.log, self.folder).complete(Model("m", url), asked)}

    def refused(self, url: str) -> UserError:
        with pytest.raises(UserError) as raised:
            self(url)
        return raised.value


@pytest.fixture
def ask(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


LOGIN = "{}_PROXY=http://USER:PASSWORD@"
PAST = "let through, or have it left out with NO_PROXY=models.test"


@pytest.mark.parametrize(
    ("scheme", "status", "fix", "calls"),
    [
        *(("http", 407, LOGIN, 1), ("https", 407, LOGIN, 1), ("http", 511, LOGIN, 1)),
        *(("https", 403, PAST, 1), ("http", 502, "502", FEW), ("https", 502, "502", FEW)),
    ],
)
def test_a_proxy_is_called_a_proxy_and_is_not_asked_again_and_again(
    ask: Asked, monkeypatch: pytest.MonkeyPatch, scheme: str, status: int, fix: str, calls: int
) -> None:
    with Proxy(status, "Says No") as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:hunter2@{proxy.address}")
        error = ask.refused(f"{scheme}://models.test/v1")
    assert f"proxy {proxy.address}" in str(error)
    assert "Says No" in str(error)
    assert fix.format(scheme.upper()) in str(error)
    assert "hunter2" not in str(error)
    assert len(proxy.asked) == calls


def test_a_proxy_that_is_away_is_named(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    error = ask.refused("https://models.test/v1")
    assert "the proxy 127.0.0.1:9 cannot be reached" in str(error)
    assert "mend HTTPS_PROXY or HTTP_PROXY, or have it left out with NO_PROXY=models.test." in str(error)
    assert error.code == "unreachable"
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:9")
    forget_the_network(monkeypatch, "https_proxy")
    assert "the proxy 127.0.0.1:9 speaks SOCKS" in str(ask.refused("https://models.test/v1"))


@pytest.mark.parametrize(
    ("host", "days", "why", "fix"),
    [
        ("", 30, "self-signed certificate", "set SSL_CERT_FILE=ca.pem"),
        ("", 1, "expired", "renew it"),
        ("other.test", 30, "not valid for", "the name that the certificate is for"),
    ],
    ids=["unknown", "expired", "foreign"],
)
def test_a_certificate_is_called_one_with_what_helps(
    ask: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str, days: int, why: str, fix: str
) -> None:
    with Endpoint() as endpoint:
        authority = over_tls(endpoint, tmp_path, host, days)
        if host or days == 1:  # of a known authority
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        says = str(ask.refused(endpoint.url))
        assert "the certificate of 127." in says
        assert why in says
        assert fix in says
        assert endpoint.requests == []


@pytest.mark.parametrize("name", network.BUNDLES)
def test_the_authority_of_a_company_is_trusted(
    ask: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    with Endpoint() as endpoint:
        monkeypatch.setenv(name, str(over_tls(endpoint, tmp_path)))
        assert ask(endpoint.url) == {"ok"}


def test_a_file_of_certificates_that_is_none_is_named(
    ask: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    with pytest.raises(UserError, match=r"SSL_CERT_FILE names \S+gone.pem, and there is no such file"):
        resolve_model("gpt-x")
    (tmp_path / "gone.pem").write_text("no certificate")
    assert "cannot be read as certificates" in str(ask.refused("https://127.0.0.1:9/v1"))


def answers_at_once(server: socket.socket) -> None:
    """What an HTTP server says to bytes that it cannot read."""
    with suppress(OSError):  # the test is over
        while True:
            connection, _ = server.accept()
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()


def test_http_and_https_are_told_apart(ask: Asked, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        Thread(target=answers_at_once, args=(plain,), daemon=True).start()
        says = str(ask.refused(f"https://127.0.0.1:{plain.getsockname()[1]}/v1"))
    assert "that port speaks no TLS: write http://" in says
    with Endpoint() as endpoint:
        url = endpoint.url
        over_tls(endpoint, tmp_path)
        assert "that port speaks TLS: write https://" in str(ask.refused(url))
    with Endpoint() as endpoint:
        endpoint.play = lambda _: Played(400, b"Client sent an HTTP request to an HTTPS server.\n")
        assert "that port speaks TLS: write https://" in str(ask.refused(endpoint.url))
        assert len(endpoint.requests) <= trial.FEW


def test_a_page_or_a_redirect_is_no_api(ask: Asked) -> None:
    with Endpoint() as endpoint, Endpoint() as other:
        endpoint.play = lambda _: Played(200, PAGE, {"Content-Type": "text/html"})
        says = str(ask.refused(endpoint.url))
        assert f"{endpoint.url}: a web page (Welcome to nginx!) is there, and no API: end the base" in says
        assert len(endpoint.requests) <= trial.FEW
        endpoint.play = lambda _: Played(301, b"", {"Location": f"{other.url}/chat/completions"})
        says = str(ask.refused(endpoint.url))
        assert f"it leads to {other.url}/chat/completions (301): write {other.url} as" in says
        endpoint.play = lambda _: Played(302, b"", {"Location": f"{other.url}/login?back=secret"})
        says = str(ask.refused(endpoint.url))
        assert f"leads to {other.url}/login (302): a page to log in" in says
        endpoint.play = lambda _: Played(308, b"", {"Location": f"{other.url}/chat/completions"})
        assert ask(endpoint.url) == {"ok"}  # this one is meant to be followed


@pytest.mark.parametrize("status", [RESET, 500, 503])
def test_a_stream_of_which_nothing_is_answered_stops_after_a_few_calls(ask: Asked, status: int) -> None:
    """What was answered once is not given up so."""
    with Endpoint() as endpoint:
        endpoint.fail_next(status, 1_000, message="no upstream")
        error = ask.refused(endpoint.url)
        assert f"has answered nothing: {FEW} calls failed (each time: " in str(error)
        assert error.code == "unreachable"
        assert len(endpoint.requests) == FEW
        rows = ask.log.execute("SELECT outcome, error FROM calls")
        assert rows
        assert {outcome for outcome, _ in rows} == {"provider_error"}
        endpoint.failures.clear()
        endpoint.fail_next(status, 3)
        assert ask(endpoint.url) == {"ok"}
