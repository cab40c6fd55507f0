"""Which day it is: a round is a day."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

UTC = ("Etc/UTC", "Etc/UCT", "Etc/Zulu", "Etc/Universal", "UCT", "Zulu", "Universal")  # other names of it


def today(timezone: str) -> str:
    """The round of this moment."""
    return datetime.now(ZoneInfo(timezone)).date().isoformat()


def timezone_here(environ: Mapping[str, str] = os.environ, etc: Path = Path("/etc")) -> str:
    """The machine's timezone as a recipe names one: by a name, which holds in summer and winter. UTC where it
    has none, as with TZ=JST-9."""
    if "TZ" in environ:
        said = [environ["TZ"].removeprefix(":")]
    else:
        said = [str((etc / "localtime").resolve())]
        with suppress(OSError, ValueError):
            said.append((etc / "timezone").read_text(encoding="utf-8").strip())
    for name in said:
        with suppress(LookupError, ValueError, OSError):  # no such name, a path, a folder of names
            key = ZoneInfo(name.rpartition("zoneinfo/")[2]).key
            return "UTC" if key in UTC else key
    return "UTC"
