"""A small OpenAI-compatible endpoint on loopback, that counts what it is asked and fails on demand.

with Endpoint() as endpoint:
    endpoint.fail_next(429, headers={"Retry-After": "0"})
    ...                             # ask endpoint.url
    assert endpoint.prompts == [...]
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

S = TypeVar("S", bound=ThreadingHTTPServer)
RESET = 0  # instead of a status: break the connection
ADJECTIVES = ["slow", "loud", "calm", "bright", "grim", "warm", "odd", "plain", "sharp", "quiet"]
NOUNS = ["plot", "cast", "score", "script", "scene", "hero", "ending", "dialogue", "camera", "pace"]


class Played(NamedTuple):
    """What a provider says with another status than 200, or that is no JSON (bytes). `Endpoint.play` gives
    this, or the whole JSON of an answer with status 200, or None for an answer as usual."""

    status: int
    body: Any
    headers: Mapping[str, str] = MappingProxyType({})


class Endpoint:
    """Answers `<prompt>!`, or what `say` makes of the request's JSON, after `delay_s`; with two logprobs,
    when they are asked for.

    `requests` holds the JSON of every request that arrived, failed ones too; `headers` beside it has the
    names in lower case.
    """

    def __init__(self, delay_s: float = 0.0, say: Callable[[dict[str, Any]], str] | None = None) -> None:
        self.delay_s = delay_s
        self.say = say or (lambda body: _prompt(body) + "!")
        self.play: Callable[[dict[str, Any]], Any] | None = None  # see `Played`; None: an answer as usual
        self.finish_reason = "stop"
        self.usage: dict[str, int] | None = {"prompt_tokens": 5, "completion_tokens": 2}
        self.answer_headers: dict[str, str] = {}
        self.capacity: int | None = None  # more at once are refused (429)
        self.samples = 1  # that one call gives at the most, if `n` asks for them
        self.connections: set[int] = set()  # ports of the clients
        self.refused = 0  # for lack of capacity
        self.logprobs = True  # given when they are asked for
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.failures: deque[tuple[int, dict[str, str], str]] = deque()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Endpoint:
        self._server = listen(_Server, _Handler)
        self._server.endpoint = self
        self.url = "http://{}:{}/v1".format(*self._server.server_address)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail_next(
        self, status: int, times: int = 1, *, headers: dict[str, str] | None = None, message: str = "scripted"
    ) -> None:
        """The next `times` requests fail with this HTTP status (or RESET) and error message."""
        self.failures.extend([(status, headers or {}, message)] * times)

    def settle(self) -> None:
        """Wait until nobody is connected any more: what a client had on its way when it died has arrived."""
        quiet = 0
        while quiet < 5:
            time.sleep(0.05)
            quiet = 0 if self._server.connected else quiet + 1

    @property
    def prompts(self) -> list[str]:
        return [_prompt(body) for body in self.requests]

    def handle(self, handler: _Handler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.requests.append(body)
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            self.paths.append(handler.path)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.connections.add(handler.client_address[1])
            failure = self.failures.popleft() if self.failures else None
            if failure is None and self.capacity and self._at_once > self.capacity:
                failure = (429, {}, "busy")
                self.refused += 1
        time.sleep(self.delay_s)
        played = self.play(body) if self.play and failure is None else None
        with self._lock:
            self._at_once -= 1
        if played is not None:
            status, answer, headers = played if isinstance(played, Played) else (200, played, {})
            handler.send(status, answer, headers)
        elif failure is None:
            handler.send(200, self._answer(body), self.answer_headers)
        elif failure[0] == RESET:
            handler.reset()
        else:
            status, headers, message = failure
            handler.send(status, {"error": {"message": message, "code": None}}, headers)

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        choices = [self._choice(body, i) for i in range(min(body.get("n", 1), self.samples))]
        return {"choices": choices, "usage": self.usage}

    def _choice(self, body: dict[str, Any], i: int) -> dict[str, Any]:
        text = self.say(body) + f" ({i})" * (i > 0)
        choice: dict[str, Any] = {"index": 0, "finish_reason": self.finish_reason, "logprobs": None}
        if "messages" in body:
            choice["message"] = {"role": "assistant", "content": text}
            if body.get("logprobs") and self.logprobs:
                top = [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1.5}]
                choice["logprobs"] = {"content": [{"token": "a", "logprob": -0.5, "top_logprobs": top}]}
        else:
            choice["text"] = text
            if body.get("logprobs") and self.logprobs:
                older = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5, "b": -1.5}]}
                choice["logprobs"] = older
        return choice


def reviewer(body: dict[str, Any]) -> str:
    """Writes another sentence for every seed; labels a text by its first word."""
    asked = body["messages"][-1]["content"]
    if asked.endswith("Sentiment:"):
        return "negative"
    n = body["seed"]
    return f"the {ADJECTIVES[n % 10]} {NOUNS[n // 10 % 10]} and the {ADJECTIVES[n // 100 % 10]} {n}"


def banker(body: dict[str, Any]) -> str:
    """Writes questions of a bank's customer for the template of `synth new`, and labels them."""
    asked = body["messages"][-1]["content"]
    if asked.endswith("Intent:"):
        text = asked.rpartition("customer: ")[2]
        return "lost_card" if any(word in text for word in ("miss", "gone", "lost", "stole")) else "declined"
    n = body["seed"]
    what = "is gone since" if "lost or stolen" in asked else "was refused at"
    return f"my {ADJECTIVES[n % 10]} card {what} the {ADJECTIVES[n // 10 % 10]} {NOUNS[n // 100 % 10]} {n}"


def listen(server: type[S], handler: type[BaseHTTPRequestHandler]) -> S:
    """A server at an address of the running test's own, the same each time it runs: an endpoint's address is
    part of a request's identity, and with it of seeds, row ids and splits."""
    name = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    host = "127." + ".".join(str(byte % 254 + 1) for byte in hashlib.sha256(name.encode()).digest()[:3])
    for port in (*range(8001, 8009), 0):
        with suppress(OSError):  # taken: by an endpoint of this test, or of another run of the tests
            return server((host, port), handler)
    raise AssertionError(f"no port is free at {host}")


WORDS = ("slow", "odd", "warm", "old film", "cast", "plot", "scene", "the end", "a joke", "felt", "often")


def various(body: dict[str, Any]) -> str:
    """A text of twelve words, another one for each other request."""
    asked = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
    return " " + " ".join(WORDS[byte % len(WORDS)] for byte in asked[:12])


def _prompt(body: dict[str, Any]) -> str:
    return body["messages"][-1]["content"] if "messages" in body else body["prompt"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    endpoint: Endpoint

    def __init__(self, *given: Any) -> None:
        self.accepted: list[socket.socket] = []
        self.connected, self.lock = 0, threading.Lock()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.accepted.append(request)
        with self.lock:
            self.connected += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self.lock:
                self.connected -= 1

    def server_close(self) -> None:
        """No connection is left: a client that keeps its own would go on asking this endpoint, when another
        one is at the address since."""
        super().server_close()
        for each in self.accepted:
            with suppress(OSError):  # it is closed
                each.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        self.server.endpoint.handle(self)

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)  # closing now sends RST
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.rfile.close()
        self.wfile.close()
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        pass
