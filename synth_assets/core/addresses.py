"""What is wrong with the address of an endpoint, as far as one can see it without a call."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit

from synth_assets.core.errors import UserError

CALLS = ("/chat/completions", "/completions", "/responses", "/embeddings")  # added to a base URL by each call
WEB = ("http", "https")
SECRET = re.compile(r"key|token|secret|sig|password|^code$", re.IGNORECASE)  # in the name of a parameter


def check_address(url: str) -> None:
    """UserError where the base URL of an endpoint is wrong."""
    if found := wrong_address(url):
        says, instead = found
        raise UserError(f"{says}: write {instead}", "wrong_value", f"write {instead}")


def without_login(url: str) -> str:
    """The address without user and password, whatever signs are in them, and without the query."""
    scheme, slashes, _ = url.partition("://")
    if has_login(url):
        url = f"{scheme}{slashes}" * bool(slashes) + url.rpartition("@")[2]
    return url.partition("?")[0]


def has_login(url: str) -> bool:
    """Whether a user or a password is in it; one with a slash in it makes the port none."""
    _, slashes, rest = url.partition("://")
    with suppress(ValueError):
        _ = urlsplit(f"http://{rest}").port
        return "@" in (re.split("[/?#]", rest)[0] if slashes else url)
    return "@" in rest


def check_secrets(url: str) -> None:
    """UserError where an address holds what is secret: it stands in recipes, in logs and in cards."""
    if has_login(url):
        fix = "name the key's variable in key_env"
        raise UserError(f"the base URL holds a user or password: {fix}.", "wrong_value", fix)
    for name, _ in parse_qsl(url.partition("?")[2]):
        if SECRET.search(name):
            fix = f"write the variable that holds it as `query: {{{name}: VARIABLE}}` in models.yaml"
            raise UserError(f"the base URL holds a secret ({name}): {fix}.", "wrong_value", fix)


def wrong_address(url: str) -> tuple[str, str] | None:
    """What is wrong with a base URL, and what to write in its place; None where nothing is to be seen. What
    may be secret in it (user, password, query) is not repeated."""
    shown = without_login(url)
    says = f"{shown!r} is no address of an endpoint"
    if url != url.strip() or re.search(r"\s", url) or url[:1] in "'\"":
        return f"{says}: spaces or quotes are in it", re.sub(r"[\s'\"]", "", shown)
    scheme, slashes, rest = shown.partition("://")
    if not slashes:
        rest = re.sub(r"^https?(:/*|/+)", "", shown)
        return f"{says}: it does not begin with http:// or https://", f"{_likely(rest)}://{rest}"
    if scheme.lower() not in WEB:
        return f"{says}: {scheme}:// is not http:// or https://", f"{_likely(rest, scheme)}://{rest}"
    host, slash, path = rest.partition("/")
    if bare := _without_brackets(host):
        return f"{says}: an IPv6 address stands in brackets", f"{scheme}://{bare}{slash}{path}"
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        found = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is none, brackets without an end
        found = False
    if not found:
        return f"{says}: host or port is missing or wrong", f"{scheme}://HOST:PORT/v1"
    for end in CALLS:
        if path.rstrip("/").endswith(end.strip("/")):
            query = " with the same query" if "?" in url else ""
            return f"{says}: each call adds {end} itself", shown.rstrip("/").removesuffix(end) + query
    return None


def _likely(rest: str, scheme: str = "") -> str:
    """http for this machine and for bare addresses, https for the world."""
    host = rest.partition("/")[0].rpartition("@")[2].partition(":")[0].strip("[]")
    with suppress(ValueError):
        return "http" if ip_address(host).is_private else "https"
    here = host == "localhost" or "." not in host
    return "https" if scheme.lower().endswith("s") or not here else "http"


def _without_brackets(host: str) -> str:
    """An IPv6 address that lacks its brackets, with them; empty for anything else."""
    if "[" in host or host.count(":") < 2:
        return ""
    front, _, port = host.rpartition(":")
    with suppress(ValueError):
        if port.isdecimal() and len(port) > 1 and int(port) < 2**16:
            return f"[{ip_address(front or '::')}]:{port}"
    with suppress(ValueError):
        return f"[{ip_address(host)}]"
    return f"[{host}]"
