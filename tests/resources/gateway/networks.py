"""What stands between a machine and an endpoint in companies: certificates of their own, and a proxy."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from synth_assets.resources.gateway import network, transport, trial
from tests.endpoint import Endpoint


def over_tls(endpoint: Endpoint, folder: Path, host: str = "", days: int = 30) -> Path:
    """Serve an endpoint with a certificate that nobody has signed, for this host, for so many days from
    yesterday on; its file."""
    host = host or urlsplit(endpoint.url).hostname or ""
    key, began = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC) - timedelta(days=2)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Company")])
    try:
        for_host: Any = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        for_host = x509.DNSName(host)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(began).not_valid_after(began + timedelta(days=days))
    made = made.add_extension(x509.SubjectAlternativeName([for_host]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate, private = folder / "ca.pem", folder / "key.pem"
    certificate.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    server = endpoint._server
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    endpoint.url = endpoint.url.replace("http://", "https://")
    return certificate


PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def forget_the_network(patch: pytest.MonkeyPatch, but: str = "") -> None:
    """Proxies and certificates of the environment are read once a process: as in a new one, without any."""
    for name in {*PROXIES, *map(str.upper, PROXIES), *network.BUNDLES} - {but}:
        patch.delenv(name, raising=False)
    patch.setattr(trial, "FIRST", 60.0)  # on a busy machine the first answer may take a while
    patch.setattr(transport, "_connections", {})
    patch.setattr(transport, "_http_client", cache(transport._http_client.__wrapped__))


class Proxy:
    """A proxy that answers every call itself, with this status; `asked` has their methods."""

    def __init__(self, status: int, says: str) -> None:
        self.status, self.says, self.asked = status, says, list[str]()

    def __enter__(self) -> Proxy:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                proxy.asked.append(self.command)
                self.send_response(proxy.status, proxy.says)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_CONNECT = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
