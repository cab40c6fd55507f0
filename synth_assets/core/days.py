"""Which day it is: a round is a day."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo


def today(timezone: str) -> str:
    """The round of this moment."""
    return datetime.now(ZoneInfo(timezone)).date().isoformat()
