"""Vectors on the disk: each text is encoded once, whatever happens to the file."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from synth_assets.resources import encoder
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage import vectors
from synth_assets.resources.storage.vectors import Vectors, files

TEXTS = [f"text {i}" for i in range(40)]


class Counted(MiniLM):
    """A new process's encoder: it remembers nothing, and counts what it encodes."""

    def __init__(self, folder: Path, version: str = "a") -> None:
        super().__init__(threads=1, remember=0, store=lambda: folder)
        self.counted, self._version = 0, version

    def version(self) -> str:
        return self._version

    def _encode_new(self, texts: Sequence[str]) -> np.ndarray:
        self.counted += len(texts)
        of = [f"{self._version} {text}".encode("utf-8", "surrogatepass") for text in texts]
        each = [np.random.default_rng(list(text)) for text in of]
        return np.array([draw.standard_normal(384, dtype=np.float32) for draw in each])


def wanted(texts: Sequence[str] = TEXTS, version: str = "a") -> np.ndarray:
    return Counted(Path(), version)._encode_new(texts)


def encoded(folder: Path, texts: Sequence[str] = TEXTS) -> int:
    """How many texts were encoded; the vectors are right, bit for bit."""
    model = Counted(folder)
    assert np.array_equal(model.encode(texts), wanted(texts))
    return model.counted


def test_each_text_is_encoded_once_by_each_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "TOGETHER", 7)
    monkeypatch.setattr(vectors, "TOGETHER", 6)
    strange = ["", "\ud800", "a\x00b", *TEXTS[:4], *TEXTS]
    assert encoded(tmp_path, strange) == 43
    assert encoded(tmp_path, strange[::-1]) == 0
    assert encoded(tmp_path, [*TEXTS, "another"]) == 1
    other = Counted(tmp_path, "b")
    assert np.array_equal(other.encode(TEXTS), wanted(version="b"))
    assert other.counted == 40
    assert [each.path.stem for each in files(tmp_path)] == ["a", "b"]


def test_a_file_of_another_encoder_gives_no_vector(tmp_path: Path) -> None:
    encoded(tmp_path)
    (tmp_path / "a.sqlite").rename(tmp_path / "b.sqlite")
    other = Counted(tmp_path, "b")
    assert np.array_equal(other.encode(TEXTS), wanted(version="b"))
    assert other.counted == 40


def test_damage_costs_time_and_gives_no_other_vector(tmp_path: Path) -> None:
    encoded(tmp_path)
    path, chance = tmp_path / "a.sqlite", random.Random(1)
    whole, found = path.read_bytes(), []
    for case in range(30):
        content = bytearray(whole)
        for place in [case, *chance.choices(range(len(content)), k=20)]:
            content[place] ^= 1 << chance.randrange(8)
        path.write_bytes(content[: chance.choice([0, len(content) // 2, len(content), len(content)])])
        found.append(bool(Vectors(tmp_path, "a").damage()))
        encoded(tmp_path)
        encoded(tmp_path)
    assert sum(found) > 15
    Vectors(tmp_path, "a").remove()
    assert [encoded(tmp_path) for _ in range(2)] == [40, 0]
    assert Vectors(tmp_path, "a").damage() == ""


def test_a_changed_number_is_encoded_again(tmp_path: Path) -> None:
    encoded(tmp_path)
    path = tmp_path / "a.sqlite"
    content = bytearray(path.read_bytes())
    content[content.find(wanted()[7].tobytes()) + 100] ^= 1
    path.write_bytes(content)
    assert Vectors(tmp_path, "a").damage() == "1 do not hold"
    assert [encoded(tmp_path) for _ in range(2)] == [1, 0]


def test_a_file_that_is_no_database_is_begun_anew_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"no database" * 100)
    assert [encoded(tmp_path) for _ in range(2)] == [40, 0]
    assert f"note: {tmp_path}/a.sqlite was damaged" in capsys.readouterr().err


def _write(folder: Path, begin: int) -> None:
    for i in range(begin, 10_000):
        Counted(folder).encode([f"text {i % 40}", f"new {begin} {i}"])


def test_writers_at_once_and_one_that_is_killed(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    fork = get_context("fork")
    writers = [fork.Process(target=_write, args=(tmp_path, i)) for i in range(3)]
    for writer in writers:
        writer.start()
    time.sleep(0.4)
    for writer in writers:
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
    encoded(tmp_path)
    assert encoded(tmp_path) == 0
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as file:
        assert file.execute("SELECT count(*) FROM vectors").fetchone()[0] > 50
    assert Vectors(tmp_path, "a").damage() == ""
    assert "note" not in capfd.readouterr().err


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR])
def test_a_disk_that_takes_nothing_fails_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, capsys: pytest.CaptureFixture
) -> None:
    encoded(tmp_path, TEXTS[:3])

    def refuse(*_: object, **__: object) -> sqlite3.Connection:
        error = sqlite3.OperationalError("refused")
        error.sqlite_errorcode = code
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", refuse)
        assert encoded(tmp_path) == 40
    monkeypatch.setattr(vectors, "SPARE", 1 << 60)  # a disk that is almost full
    assert [encoded(tmp_path) for _ in range(2)] == [37, 37]
    assert capsys.readouterr().err == ""


def test_a_folder_that_cannot_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write whatever a folder's mode says
    assert encoded(tmp_path) == 0
    assert encoded(tmp_path / "no" / "home") == 40
    assert [path.name for path in tmp_path.rglob("*")] == ["a.sqlite"]
