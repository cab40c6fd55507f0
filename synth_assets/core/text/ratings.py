"""What a judge that was asked for a number has answered."""

from __future__ import annotations

import re

NUMBER = r"(-?\d+(?:\.\d+)?)"
ALONE = re.compile(rf"\W*?{NUMBER}(?:\s*(?:/|out of)\s*\d+)?\W*")
NAMED = re.compile(rf"(?:score|rating)\b[\W_]*?{NUMBER}", re.IGNORECASE)


def rating(answer: str, low: float, high: float) -> float | None:
    """The number that stands alone on the first line, else the first one after `score` or `rating`
    (AlpaGasus, Chen et al. 2023); None where there is none, or none from `low` to `high`."""
    first = answer.strip().partition("\n")[0]
    found = ALONE.fullmatch(first) or NAMED.search(answer)
    value = float(found[1]) if found else None
    return value if value is not None and low <= value <= high else None
