"""A Postgres server for the tests: Debian's package, on a folder of its own, gone when they end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

PASSWORD = "hunter2-secret"
HERE = "listen_addresses=127.0.0.1"
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a database. Its user `synth` may do anything, with PASSWORD."""
    if programs() is None:
        pytest.skip("Postgres is not installed here: apt-get install postgresql")
    with server(*QUICK) as url:
        yield url


@contextmanager
def server(*settings: str) -> Iterator[str]:
    """A server with these settings, at this URL."""
    there = programs()
    assert there
    with TemporaryDirectory(prefix="postgres-") as name:
        folder, who = Path(name), _not_root()
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        if who:
            for path in (folder, folder / "password"):
                shutil.chown(path, **who)
        auth = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={folder / 'password'}"]
        init = [there / "initdb", "--pgdata=data", "--username=synth", "--encoding=UTF8", "--locale=C"]
        subprocess.run([*init, "--no-sync", *auth], cwd=folder, check=True, capture_output=True, **who)
        port = _free_port()
        given = [f"-c{setting}" for setting in (*settings, HERE, f"unix_socket_directories={folder}")]
        command = [there / "postgres", "-D", "data", f"-p{port}", *given]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **who)
        try:
            url = f"postgresql://synth:{PASSWORD}@127.0.0.1:{port}/postgres"
            _wait_for(url, process, folder / "log")
            yield url
        finally:
            process.send_signal(signal.SIGINT)  # whoever is connected is put out
            process.wait(300)


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """The URL of an empty database: a schema of its own, which is quicker to make."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_server) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{postgres_server}?options=-csearch_path%3D{name}"


def programs() -> Path | None:
    """The folder of initdb and postgres; Debian keeps it out of the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def _not_root() -> dict[str, Any]:
    """Who the server runs as, for `subprocess`: Postgres refuses to be root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(3_000):
        try:
            return psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    raise TimeoutError(log.read_text())
