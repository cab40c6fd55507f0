"""What libraries are told of this machine before they are loaded: left to themselves, some count processors
that a quota keeps from them, or stop where a user has no home."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from pathlib import Path

from synth_assets.resources.storage.process import processors

THREADS = (  # pyarrow goes by the first too
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    *("NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"),
)
CACHES = {"XDG_CACHE_HOME": "", "MPLCONFIGDIR": "matplotlib", "NUMBA_CACHE_DIR": "numba"}
IN_MEMORY = Path("/dev/shm")  # is there in a container whose own file system is read-only


def prepare(home: Path) -> None:
    """Write it into the environment, which processes that are started inherit; what somebody has said there
    stays. `home`: the data home, which takes the caches of a user without a home."""
    if processors() < (os.cpu_count() or 1):
        for name in THREADS:
            os.environ.setdefault(name, str(processors()))
    if "error" in (said := os.environ.get("PYTHONWARNINGS", "")):  # what libraries warn of ends no command
        os.environ["PYTHONWARNINGS"] = said.replace("error", "default")
        warnings.resetwarnings()
        warnings.simplefilter("default")
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        if os.access(IN_MEMORY, os.W_OK):
            os.environ["TMPDIR"] = str(IN_MEMORY)
    if not _has_caches() and not {*CACHES} <= {*os.environ}:
        folder = home / "caches" if home.is_dir() and os.access(home, os.W_OK) else temporary()
        for name, inside in CACHES.items():
            os.environ.setdefault(name, str(folder / inside))


def _has_caches() -> bool:
    """Whether this user has a home for the caches of libraries."""
    own = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path raises where nobody knows it
    return os.access(own / ".cache" if (own / ".cache").is_dir() else own, os.W_OK)


def temporary() -> Path:
    """A new folder, which is gone when this process has ended."""
    folder = tempfile.mkdtemp(prefix="synth-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
