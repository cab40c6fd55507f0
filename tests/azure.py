"""Azure's blob storage for the tests: Azurite, Microsoft's emulator, on a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

ACCOUNT = "devstoreaccount1"  # that Azurite knows, and its key, as its documentation has them
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_numbers = count(1)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The emulator's address."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not here: npm install --global azurite")
    folder, port = tmp_path_factory.mktemp("azurite"), _free_port()
    command = [program, "--location", str(folder / "data"), "--blobPort", str(port)]
    command += ["--skipApiVersionCheck", "--disableTelemetry"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address, process, folder / "log")
        yield address
    finally:
        process.kill()
        process.wait(60)


@pytest.fixture
def azure(azurite: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty container, of which this process has the key."""
    import pyarrow.fs as pafs

    said = {"ACCOUNT_NAME": ACCOUNT, "ACCOUNT_KEY": KEY, "USE_EMULATOR": "true"}
    for name, value in said.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", azurite)
    container, address = f"tests{next(_numbers)}-{os.getpid()}", azurite.removeprefix("http://")
    of = {"authority": address, "scheme": "http"}
    at = {f"{kind}_storage_{what}": value for kind in ("blob", "dfs") for what, value in of.items()}
    pafs.AzureFileSystem(ACCOUNT, account_key=KEY, **at).create_dir(container)
    return f"az://{container}/lake"


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(address, timeout=2)
        except urllib.error.HTTPError:  # it answers
            return
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(log.read_text(encoding="utf-8")[-3000:])
        time.sleep(0.1)
