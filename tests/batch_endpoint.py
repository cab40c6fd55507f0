"""A provider with a Batch API on loopback, beside the online routes of `tests.endpoint`.

with BatchEndpoint(polls=2) as provider:
    provider.script(statuses={"q1": 500}, leave_out={"q2"}, ending="expired")  # the next batch
    ...                                                                        # ask provider.url
    assert provider.paid == {identity: 1}
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any

from tests.endpoint import Endpoint, Played, _Handler, _prompt, _Server, listen


@dataclass
class Script:
    """How one batch goes. Requests are named by their prompts, or by a part of them."""

    ending: str = "completed"
    statuses: Mapping[str, int] = field(default_factory=dict)  # prompt -> status of its line
    leave_out: Collection[str] = ()  # prompts without a line
    errors: list[dict[str, Any]] = field(default_factory=list)  # of the batch as a whole
    junk: list[bytes] = field(default_factory=list)  # lines that stand before the answers


class BatchEndpoint(Endpoint):
    """A batch ends after it was looked at `polls` times. `paid` counts the answers of each custom_id."""

    def __init__(self, polls: int = 1, **online: Any) -> None:
        super().__init__(**online)
        self.polls = polls
        self.scripts: deque[Script] = deque()
        self.lose_answers = 0  # batches that are created, and then the connection breaks
        self.refuse: deque[tuple[str, int, str]] = deque()  # path, status, words: of the next request there
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.paid: Counter[str] = Counter()
        self.looks: Counter[str] = Counter()  # path -> GETs
        self.has_batches = True
        self._batch_lock = threading.Lock()
        self._scripted: dict[str, Script] = {}

    def __enter__(self) -> BatchEndpoint:
        self._server = listen(_Server, _BatchHandler)
        self._server.endpoint = self
        self.url = "http://{}:{}/v1".format(*self._server.server_address)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def script(self, **script: Any) -> None:
        """The next batch goes like this."""
        self.scripts.append(Script(**script))

    @property
    def lines(self) -> list[list[dict[str, Any]]]:
        """The requests of each batch, in the order in which batches were created."""
        return [_lines(self.files[batch["input_file_id"]]) for batch in self.batches.values()]

    def serve(self, handler: _BatchHandler, method: str) -> None:
        """One request of the Batch API."""
        body = handler.body() if method == "POST" else b""
        path = handler.path.partition("?")[0].removeprefix("/v1")
        with self._batch_lock:
            if method == "GET":
                self.looks[path] += 1
            if not self.has_batches:
                return handler.send(404, _error("no such route"))
            if self.refuse and path.startswith(self.refuse[0][0]):
                _, status, words = self.refuse.popleft()
                return handler.send(status, _error(words))
            self._route(handler, method, path, body)

    def _route(self, handler: _BatchHandler, method: str, path: str, body: bytes) -> None:
        match method, path.strip("/").split("/"):
            case "POST", ["files"]:
                name = f"file-{len(self.files)}"
                self.files[name] = _uploaded(handler.headers["Content-Type"], body)
                handler.send(200, {"id": name, "object": "file", "purpose": "batch"})
            case "POST", ["batches"]:
                batch = self._create(json.loads(body))
                if self.lose_answers:
                    self.lose_answers -= 1
                    handler.reset()
                else:
                    handler.send(200, _shown(batch))
            case "GET", ["batches"]:
                newest_first = [_shown(batch) for batch in reversed(self.batches.values())]
                handler.send(200, {"object": "list", "data": newest_first, "has_more": False})
            case "GET", ["batches", name] if name in self.batches:
                self._advance(self.batches[name])
                handler.send(200, _shown(self.batches[name]))
            case "GET", ["files", name, "content"] if name in self.files:
                handler.send_bytes(self.files[name])
            case _:
                handler.send(404, _error(f"no such thing: {path}"))

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = f"batch_{len(self.batches) + 1}"
        self._scripted[name] = self.scripts.popleft() if self.scripts else Script()
        self.batches[name] = {
            **asked,
            "id": name,
            "object": "batch",
            "status": "validating",
            "created_at": int(time.time()),
            "polls_left": self.polls,
        }
        return self.batches[name]

    def _advance(self, batch: dict[str, Any]) -> None:
        """The provider works while it is looked at."""
        if batch["status"] not in ("validating", "in_progress"):
            return
        batch["polls_left"] -= 1
        batch["status"] = "in_progress"
        if batch["polls_left"] < 0:
            self._finish(batch, self._scripted[batch["id"]])

    def _finish(self, batch: dict[str, Any], script: Script) -> None:
        batch["status"] = script.ending
        if script.errors:
            batch["errors"] = {"object": "list", "data": script.errors}
        if script.ending == "failed":
            return
        output, errors = [*script.junk], []
        for line in _lines(self.files[batch["input_file_id"]]):
            prompt, identity = _prompt(line["body"]), line["custom_id"]
            status = next((s for part, s in script.statuses.items() if part in prompt), 200)
            if any(part in prompt for part in script.leave_out):
                if script.ending == "expired":
                    late = {"code": "batch_expired", "message": "not in time"}
                    errors.append(_line(identity, None, late))
            elif self.play and isinstance(played := self.play(line["body"]), Played):
                response = {"status_code": played.status, "body": played.body}
                errors.append(_line(identity, response))
            elif status == 200:
                self.paid[identity] += 1
                output.append(_line(identity, {"status_code": 200, "body": self._answer(line["body"])}))
            else:
                errors.append(_line(identity, {"status_code": status, "body": _error(f"scripted {status}")}))
        for kind, content in (("output", output), ("error", errors)):
            if content:
                name = f"file-{len(self.files)}"
                self.files[name] = b"\n".join(content) + b"\n"
                batch[f"{kind}_file_id"] = name


class _BatchHandler(_Handler):
    def do_POST(self) -> None:
        if self.path in ("/v1/files", "/v1/batches"):
            self.server.endpoint.serve(self, "POST")  # type: ignore[attr-defined]
        else:
            super().do_POST()

    def do_GET(self) -> None:
        self.server.endpoint.serve(self, "GET")  # type: ignore[attr-defined]

    def body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):  # chunked
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def send_bytes(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _uploaded(content_type: str, body: bytes) -> bytes:
    """The file of a multipart form."""
    form = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields = {part.get_param("name", header="content-disposition"): part for part in form.get_payload()}
    assert fields["purpose"].get_payload(decode=True).strip() == b"batch"
    return fields["file"].get_payload(decode=True)


def _lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def _line(identity: str, response: Any, error: Any = None) -> bytes:
    return json.dumps({"custom_id": identity, "response": response, "error": error}).encode()


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "code": None}}


def _shown(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in batch.items() if name != "polls_left"}
