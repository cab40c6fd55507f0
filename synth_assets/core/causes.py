"""Why calls failed: causes that differ in numbers and ids alone are one, and the commonest is quoted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

STATUS = 4  # characters at the beginning that count as they are: `429:`
VARIES = re.compile(r"\S*\d\S*")  # ids of requests, times, counts
QUOTED = 300  # characters of a cause


class Causes:
    """How often each cause was given, in whose words it ever was."""

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._times: Counter[str] = Counter()
        self._words: dict[str, str] = {}
        for words in given:
            self.add(words)

    def add(self, words: str) -> None:
        """Count a cause once more."""
        kind = words[:STATUS] + VARIES.sub("#", words[STATUS:])
        self._times[kind] += 1
        self._words.setdefault(kind, " ".join(words.split()) or "no reason was given")

    def __len__(self) -> int:
        return self._times.total()

    def __str__(self) -> str:
        """The commonest, and how often it was: `3 of 4 times: 502: Bad Gateway`. Empty if there is none."""
        if not self._times:
            return ""
        ((kind, times),) = self._times.most_common(1)
        words, total = self._words[kind][:QUOTED], len(self)
        often = "" if total == 1 else "each time: " if times == total else f"{times:,} of {total:,} times: "
        return often + words
