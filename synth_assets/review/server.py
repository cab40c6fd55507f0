"""The review page on the web: who may ask, what a form says, and what is answered.

Rows are text of anybody, and the machine has other pages open. So nothing of a row is ever more than text
(the templates escape it, and the browser is told to run no script but one file), a form needs the secret that
its page was given, and whoever asks under a name that is not this machine's is sent away.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from uuid import uuid4

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from synth_assets.core.errors import UserError
from synth_assets.core.text.signs import pieces
from synth_assets.review.desk import Desk, Refused, Sent, Who

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HERE = Path(__file__).parent
FILES = {"page.js": "text/javascript", "page.css": "text/css", "icon.svg": "image/svg+xml"}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
FOLD = 4_000  # characters of a text that are shown at first
LONGEST_S = 3600.0  # that somebody looks at a row, whatever a form says
LONGEST_FORM = 8_000_000  # bytes
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
TEMPLATES = Environment(
    loader=FileSystemLoader(HERE),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals["pieces"] = pieces


class Guard:
    """Sends away whoever asks for another machine's name (DNS rebinding), if a name is all that protects the
    page, and tells browsers what the page may do."""

    def __init__(self, app: ASGIApp, any_name: bool) -> None:
        self._app, self._any_name = app, any_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = self._app
        if scope["type"] == "http" and not self._any_name and not _is_loopback(Request(scope)):
            app = PlainTextResponse(f"Ask for {', '.join(LOOPBACK[:2])}: others need a token.\n", 421)
        await app(scope, receive, sent if scope["type"] == "http" else send)


def _is_loopback(request: Request) -> bool:
    with suppress(ValueError):
        return urlsplit(f"//{request.headers.get('host', '')}").hostname in LOOPBACK
    return False


@dataclass(frozen=True)
class Session:
    """Who sits at a browser: what its cookie says."""

    person: str
    secret: str

    @property
    def who(self) -> Who:
        return Who(self.person, self.secret)


class Site:
    """The pages of one desk. `token`: who comes without it is asked for it; None: whoever reaches this
    machine may come, as `person` until they say another name."""

    def __init__(self, desk: Desk, token: str | None, person: str) -> None:
        self.desk, self._token, self._person = desk, token, person
        self._key = hashlib.sha256(f"review/1\n{token or ''}".encode()).digest()

    def app(self) -> ASGIApp:
        """The ASGI application."""
        routes = [
            Route("/", self.page),
            Route("/answer", self.answer, methods=["POST"]),
            Route("/who", self.ask_who),
            Route("/who", self.be, methods=["POST"]),
            *(Route(f"/{name}", self.file) for name in FILES),
        ]
        return Guard(Starlette(routes=routes), any_name=self._token is not None)

    async def file(self, request: Request) -> Response:
        """One of FILES; no path of a request is ever one of a disk."""
        name = request.url.path.removeprefix("/")
        return Response((HERE / name).read_bytes(), media_type=FILES[name])

    async def page(self, request: Request) -> Response:
        """The row that this browser is at."""
        session, new = self._session(request), None
        if session is None:
            if self._token is not None:
                return RedirectResponse("/who", 303)
            session = new = Session(self._person, secrets.token_urlsafe(16))
        response = self._shown(session, whole="whole" in request.query_params)
        if new:
            self._give(request, response, new)
        return response

    async def answer(self, request: Request) -> Response:
        """Store what was sent, and show what comes next."""
        session, form = self._session(request), await _form(request)
        if session is None or not _same(form.get("secret", [""])[0], session.secret):
            return self._who("Your sign-in is over, and nothing was stored. Sign in and answer again.", 403)
        try:
            notice, status = self.desk.take(session.who, _sent(form)), 200
        except Refused as refused:
            notice, status = str(refused), refused.status
        if status == 200 and not notice and "x-page" not in request.headers:  # a browser without scripts
            return RedirectResponse("/", 303)
        return self._shown(session, notice, status)

    async def ask_who(self, request: Request) -> Response:
        """A form for a name, and the token where there is one."""
        session = self._session(request)
        return self._who("", 200, session.person if session else "")

    async def be(self, request: Request) -> Response:
        """Take the name and begin a session."""
        if not _from_here(request):
            return self._who("That came from another page: sign in here.", 403)
        form = await _form(request)
        person = " ".join(form.get("person", [""])[0].split())
        if self._token is not None and not _same(form.get("token", [""])[0], self._token):
            return self._who(
                "That is not the token: it is in SYNTH_REVIEW_TOKEN where the page runs.", 403, person
            )
        if not person or len(person) > 60 or not person.isprintable():
            return self._who("A name has 1 to 60 letters.", 400)
        response = RedirectResponse("/", 303)
        self._give(request, response, Session(person, secrets.token_urlsafe(16)))
        return response

    def _shown(self, session: Session, notice: str = "", status: int = 200, whole: bool = False) -> Response:
        desk, item = self.desk, self.desk.next(session.who)
        text = desk.text_of(session.who, item) if item else ""
        shown: dict[str, Any] = {
            **{"desk": desk, "asked": desk.asked, "session": session, "notice": notice, "item": item},
            **{"mine": desk.held.people[session.person], "minutes": desk.minutes_left(session.person)},
            **{"agreement": desk.held.agreement(session.person), "decision_id": str(uuid4()), "text": text},
            "texts": [text, *item.texts[1:]] if item else [],
            "suggestion": item.suggestion if item and desk.review.show == "suggestion" else None,
            "fold": None if whole else FOLD,
        }
        return HTMLResponse(TEMPLATES.get_template("page.html.j2").render(shown), status)

    def _who(self, notice: str, status: int, person: str = "") -> Response:
        usual = "" if self._token else self._person  # strangers are not told who works here
        given = {"notice": notice, "person": person or usual, "token": self._token is not None}
        html = TEMPLATES.get_template("who.html.j2").render(given, name=self.desk.recipe.name)
        return HTMLResponse(html, status)

    def _cookie(self, request: Request) -> str:
        return f"synth_review_{request.url.port or 80}"  # cookies do not know ports

    def _session(self, request: Request) -> Session | None:
        person, _, rest = request.cookies.get(self._cookie(request), "").partition(".")
        secret, _, signed = rest.partition(".")
        return (
            Session(unquote(person), secret) if secret and _same(signed, self._sign(person, secret)) else None
        )

    def _give(self, request: Request, response: Response, session: Session) -> None:
        person = quote(session.person, safe="").replace(".", "%2E")
        value = f"{person}.{session.secret}.{self._sign(person, session.secret)}"
        is_https = request.url.scheme == "https"
        age = 30 * 86_400
        response.set_cookie(
            self._cookie(request), value, max_age=age, secure=is_https, httponly=True, samesite="lax"
        )

    def _sign(self, *parts: str) -> str:
        return hmac.new(self._key, "\n".join(parts).encode(), "sha256").hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _from_here(request: Request) -> bool:
    """Whether a browser says that the form is one of this page's own."""
    origin = request.headers.get("origin")
    return origin is None or origin == f"{request.url.scheme}://{request.headers.get('host', '')}"


async def _form(request: Request) -> dict[str, list[str]]:
    """The fields of a form; none where it is too long to be one."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            return {}
    return parse_qs(body.decode(errors="replace"), keep_blank_values=True, errors="replace")


def _sent(form: dict[str, list[str]]) -> Sent:
    one = {name: values[0] for name, values in form.items()}
    seconds = None
    with suppress(ValueError):
        seconds = float(one.get("seconds", ""))
    return Sent(
        decision_id=one.get("decision_id", ""),
        row_id=one.get("row_id", ""),
        do=one.get("do", "answer"),
        values=form.get("value", []),
        seconds=seconds if seconds is not None and 0 <= seconds <= LONGEST_S else None,
        note=one.get("note", "").strip()[:2000],
        last=one.get("last", ""),
    )


def listening(host: str, port: int, token: str | None) -> socket.socket:
    """A socket for the page. UserError where it would be open to others without a token, or is taken."""
    if host not in LOOPBACK and token is None:
        raise UserError(
            f"--host {host} lets other machines read and answer: set SYNTH_REVIEW_TOKEN to a secret of your "
            "own, which the page then asks for, or leave --host out."
        )
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(
            f"--port {port} of {host}: {why}: name another one, such as --port {port + 1}."
        ) from error


def serve(app: ASGIApp, listens: Sequence[socket.socket]) -> None:
    """Answer until Ctrl-C."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none", server_header=False)
    uvicorn.Server(config).run(sockets=list(listens))
