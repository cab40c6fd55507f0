"""What stands between this machine and an endpoint: certificates, proxies, and what they break calls with."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from synth_assets.core.errors import UserError

if TYPE_CHECKING:
    import ssl

    from httpx2 import Response

# files of certificates that count in the place of the system's; the first that is set
BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
HANDSHAKE = 5.0  # seconds to find out whether a port speaks TLS
NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")  # so plain HTTP looks
LOG_IN = (407, 511)  # a proxy, or a portal, wants to know who asks
TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
WHO = "write a log-in that it takes into its address, as in {name}_PROXY=http://USER:PASSWORD@{proxy}"
PAST = "or have it left out with NO_PROXY={host}"


class Trouble(NamedTuple):
    """Why a call broke. `fix`: what a person can do, without which asking again brings nothing; `away`: no
    connection came about."""

    says: str
    fix: str = ""
    away: bool = False


TLS = Trouble("the address says http://, and that port speaks TLS", "write https://")


def certificates(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that names a file (or folder) of trusted certificates, and the file. UserError when it is
    not there."""
    for name in BUNDLES:
        if path := environ.get(name):
            if not Path(path).exists():
                fix = f"set {name} to a file of certificates (PEM), or to nothing for those of the system"
                raise UserError(f"{name} names {path}, and there is no such file: {fix}.", "wrong_value", fix)
            return name, path
    return None


def trusted() -> ssl.SSLContext | bool:
    """Whom this process trusts: the certificates that a variable names, or (True) those of the system."""
    import ssl

    if (found := certificates(os.environ)) is None:
        return True
    name, path = found
    try:
        if Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        fix = f"set {name} to a file of certificates as PEM has them (-----BEGIN CERTIFICATE-----)"
        raise UserError(f"{name}: {path} cannot be read as certificates ({error}): {fix}.") from error


def proxy_of(url: str) -> str:
    """Host and port of the proxy that the environment has for an address, or nothing. UserError where it
    speaks SOCKS."""
    from urllib.request import getproxies, proxy_bypass

    parts, given = urlsplit(url), getproxies()
    proxy = given.get(parts.scheme) or given.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    found = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    where = found.netloc.rpartition("@")[2]
    if found.scheme.startswith("socks"):
        fix = f"set {parts.scheme.upper()}_PROXY to one that speaks HTTP, {PAST.format(host=parts.hostname)}"
        raise UserError(f"the proxy {where} speaks SOCKS, which calls of models do not: {fix}.", fix=fix)
    return where


def trouble(error: BaseException, url: str) -> Trouble:
    """What went wrong underneath a call to this address."""
    from aiohttp import (
        ClientConnectorCertificateError,
        ClientConnectorError,
        ClientConnectorSSLError,
        ClientError,
        ClientHttpProxyError,
        ClientProxyConnectionError,
        ConnectionTimeoutError,
        InvalidURL,
    )

    while error.__cause__ is not None and not isinstance(error, ClientError):
        error = error.__cause__  # the client itself calls every broken connection a timeout
    says = f"{type(error).__name__}: {error}"
    match error:
        case ClientConnectorCertificateError():
            return _certificate(error.certificate_error, urlsplit(url).netloc.rpartition("@")[2])
        case ClientHttpProxyError():
            return by_proxy(error.status, error.message, url)
        case ClientProxyConnectionError():
            fix = f"mend HTTPS_PROXY or HTTP_PROXY, {PAST.format(host=urlsplit(url).hostname)}"
            return Trouble(f"the proxy {proxy_of(url)} cannot be reached: {error}", fix, away=True)
        case ClientConnectorSSLError() if getattr(error.os_error, "reason", "") in NO_TLS:
            return Trouble("the address says https://, and that port speaks no TLS", "write http://")
    away = isinstance(error, ClientConnectorError | ConnectionTimeoutError | InvalidURL)
    return Trouble(says, away=away)


def by_proxy(status: int, says: str, url: str) -> Trouble:
    """What a proxy says in the place of the endpoint. A log-in that it refuses is not tried again: accounts
    are locked for that."""
    proxy, (scheme, host) = proxy_of(url) or "in between", (urlsplit(url).scheme, urlsplit(url).hostname)
    words, past = f"the proxy {proxy} answers {status}: {says}", PAST.format(host=host)
    if status in LOG_IN:
        return Trouble(words, f"{WHO.format(name=scheme.upper(), proxy=proxy)}, {past}")
    return Trouble(words, f"ask for {host} to be let through, {past}" if status == 403 else "")


def _certificate(error: BaseException, host: str) -> Trouble:
    """A certificate that is not trusted, and what helps, which depends on why."""
    says = f"the certificate of {host} is not trusted: {getattr(error, 'verify_message', error)}"
    match getattr(error, "verify_code", None):
        case 10 | 9:  # of OpenSSL: expired, not valid yet
            return Trouble(says, "whoever runs it has to renew it; or the date of this machine is wrong")
        case 62 | 64:  # another host, another address
            return Trouble(says, "write the name that the certificate is for into the base URL")
    now = certificates(os.environ)
    instead = f" ({now[0]} names {now[1]} now)" if now else ""
    return Trouble(says, f"set SSL_CERT_FILE=ca.pem, a file with the certificate of who issued it{instead}")


def elsewhere(response: Response, path: str) -> Trouble | None:
    """What a redirect, or a web page with status 200, says of the base URL: no prompt is answered there."""
    if response.request.method != "POST":  # so a client follows a redirect
        to = str(response.url).partition("?")[0]
        says = f"it leads to {to} ({response.history[0].status_code})"
        if to.endswith(path):
            return Trouble(says, f"write {to.removesuffix(path)} as the base URL")
        return Trouble(says, "a page to log in, or a portal, stands before the API: give its own address")
    if response.status_code == 200 and response.content.lstrip()[:1] == b"<":
        says = f"a web page{titled(response.text)} is there, and no API"
        return Trouble(says, "end the base URL as the provider says, often in /v1")
    return None


def titled(page: str) -> str:
    """The title of a web page, as one shows it behind another word."""
    found = TITLE.search(page)
    title = " ".join(found[1].split())[:100] if found else ""
    return f" ({title})" if title else ""


async def speaks_tls(url: str) -> bool:
    """Whether a port that was asked in plain HTTP is one for https."""
    import asyncio
    import ssl

    parts, context = urlsplit(url), ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(HANDSHAKE):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, ssl=context)
        writer.close()
        return True
    return False
