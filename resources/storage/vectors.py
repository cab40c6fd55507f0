"""Vectors of texts on the disk, so that each text is encoded once: a cache, which may be removed at any time.

One SQLite file an encoder. A look-up reads the pages that it needs, so memory does not grow with the file;
several processes write at once; a write that is killed is undone by the next one who opens the file. Each
vector has a digest of its text, its encoder and its numbers: one that does not hold is not there. Who asks
never fails by it: at worst a text is encoded again.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.core.content import text_hash
from synth_assets.resources.call_log.database import chunks, marks

if TYPE_CHECKING:
    import numpy as np

TABLE = "CREATE TABLE IF NOT EXISTS vectors (text BLOB UNIQUE, digest BLOB, vector BLOB)"
LEARNT = "CREATE TABLE IF NOT EXISTS learnt (made TEXT PRIMARY KEY)"
IS_LEARNT = "SELECT 1 FROM sqlite_master WHERE name = 'learnt'"
ALL = "SELECT text, digest, vector FROM vectors"
PAGE = 16_384  # bytes: ten vectors of 384 numbers
TOGETHER = 500  # texts a query
WAIT_S = 30.0  # for another process that writes
SPARE = 256_000_000  # bytes that are left free on the disk, for what is no cache
DAMAGED = (  # codes of SQLite; all others (busy, full, not to be written) leave the file as it is
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_NOTADB,
)


class Vectors:
    """The vectors of one encoder, whose name has its version in it, in a folder of such files."""

    def __init__(self, folder: Path, encoder: str) -> None:
        self.path = folder / f"{encoder}.sqlite"
        self._encoder = encoder.encode()

    def read(self, texts: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
        """The place of each text that is there, and its vector as it was kept, (d,) float32."""
        import numpy as np

        places = {bytes.fromhex(text_hash(text)): place for place, text in enumerate(texts)}
        with self._harmless(), self._opened() as file:
            for keys in chunks(places, TOGETHER):
                for key, digest, vector in file.execute(f"{ALL} WHERE text IN {marks(len(keys))}", keys):
                    if self._holds(key, digest, vector):
                        yield places[key], np.frombuffer(vector, dtype=np.float32)

    def keep(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        """Keep the vectors (n, d) float32 of these texts, all or none; none where the disk is almost full."""
        self.learn(list(map(text_hash, texts)), vectors)

    def learn(self, hashes: Sequence[str], vectors: np.ndarray, made: str | None = None) -> None:
        """The same of texts by their `text_hash`; a name of what was `made` so is in `learnt` then."""
        numbers = zip(map(bytes.fromhex, hashes), (vector.tobytes() for vector in vectors), strict=True)
        rows = [(key, self._digest(key, vector), vector) for key, vector in numbers]
        with self._harmless():
            self.path.parent.mkdir(exist_ok=True)
            if shutil.disk_usage(self.path.parent).free < SPARE:
                return
            with closing(sqlite3.connect(self.path, timeout=WAIT_S)) as file:
                file.execute(f"PRAGMA page_size = {PAGE}")
                file.execute("PRAGMA synchronous = OFF")  # what a power cut takes is encoded again
                file.execute(TABLE)
                if made:
                    file.execute(LEARNT)
                with file:
                    file.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
                    if made:
                        file.execute("INSERT OR REPLACE INTO learnt VALUES (?)", [made])

    def learnt(self) -> set[str]:
        """What was learnt, by its names."""
        with self._harmless(), self._opened() as file:
            if file.execute(IS_LEARNT).fetchall():
                return {made.decode() for (made,) in file.execute("SELECT made FROM learnt")}
        return set()

    def damage(self) -> str:
        """What is wrong with it, for people; empty where nothing is."""
        try:
            with self._opened() as file:
                ((says,),) = file.execute("PRAGMA integrity_check(1)")
                wrong = sum(not self._holds(*row) for row in file.execute(ALL))
        except FileNotFoundError:
            return ""
        except sqlite3.Error as error:
            return str(error)
        return says.decode() if says != b"ok" else f"{wrong:,} do not hold" if wrong else ""

    def remove(self) -> None:
        """They are encoded again when they are asked for."""
        for path in (self.path.with_name(f"{self.path.name}-journal"), self.path):
            path.unlink(missing_ok=True)

    def _holds(self, key: object, digest: object, vector: object) -> bool:
        if not (isinstance(key, bytes) and isinstance(vector, bytes)):
            return False
        return digest == self._digest(key, vector)

    def _digest(self, key: bytes, vector: bytes) -> bytes:
        """Of what an encoder says of a text, so that no damage and no renamed file gives another vector."""
        return blake2b(key + vector, digest_size=8, key=self._encoder).digest()

    def _opened(self) -> closing[sqlite3.Connection]:
        """To read. FileNotFoundError where there is nothing."""
        if not self.path.stat().st_size:
            raise FileNotFoundError(self.path)
        # only who may write can undo a write that was killed
        writes = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        name = f"{self.path.as_uri()}?mode={'rw' if writes else 'ro'}"
        file = sqlite3.connect(name, uri=True, timeout=WAIT_S)
        file.text_factory = bytes  # what a changed bit makes a text of does not hold
        return closing(file)

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """A file that cannot be used is not there; one that is damaged is begun anew, and that is said."""
        try:
            yield
        except OSError:
            pass
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in DAMAGED:
                with suppress(OSError):
                    self.remove()
                words = f"{self.path} was damaged ({error}), and is begun anew: its texts are encoded again"
                print(f"note: {words}.", file=sys.stderr, flush=True)


def files(folder: Path) -> list[Vectors]:
    """Those of all encoders."""
    return [Vectors(folder, path.stem) for path in sorted(folder.glob("*.sqlite"))]
