"""An engine without Ray, and texts that are hard to compare."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

WORDS = ["a", "bee", "sea", "Straße", "日本語", "и", "e\u0301", "😀", "ten"]


class Actor:
    """An object whose methods are called by `remote`."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self._made, name))


class Here:
    """An engine whose workers are this process, one after the other."""

    workers = 3

    def call(self, function: Callable[..., Any], *args: Any, returns: int) -> list[Any]:
        found = list(function(*args))
        assert len(found) == returns
        return found

    def actors(self, kind: type, given: Sequence[Sequence[Any]]) -> list[Any]:
        return [Actor(kind(*args)) for args in given]

    def get(self, references: Sequence[Any], what: str) -> list[Any]:
        return list(references)

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any], what: str) -> Iterator[Any]:
        return map(function, parts)


def hard(count: int) -> list[str]:
    """Empty and short texts, copies, ties, and chains in which each is like the one before."""
    chance = random.Random(3)
    made = ["", "a", "A!", " ", "日本語"]
    while len(made) < count:
        words = chance.choice(made).split() if chance.random() < 0.6 else []
        words = words or [
            chance.choice(WORDS) + str(chance.randrange(9)) for _ in range(chance.randint(0, 25))
        ]
        if words and chance.random() < 0.7:
            words[chance.randrange(len(words))] = chance.choice(WORDS)
        made.append(" ".join(words))
    return made
