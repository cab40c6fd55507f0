"""Choosing rows by rank. A rank is a hash of the row's own id, so that a new row moves no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log1p

from synth_assets.identity import tagged_hash


def ranked(ids: Iterable[str], *parts: object) -> list[str]:
    """The ids in a random order that `parts` (seed, round, ...) fix.

    Adding or removing an id leaves the order of the others (rendezvous hashing, Thaler and
    Ravishankar 1998).
    """
    return sorted(ids, key=lambda i: tagged_hash("rank/1", [*parts, i]))


def select_random(ids: Sequence[str], k: int, *parts: object) -> list[str]:
    """`k` of the ids, uniformly, fixed by `parts`; fewer when there are fewer."""
    return ranked(ids, *parts)[:k]


def pick(weights: Mapping[str, float], *parts: object) -> str:
    """One of the values, as likely as its weight says. A new value, or a larger weight, takes its share of
    the picks; the others stay (weighted rendezvous hashing: the least of exponential times)."""

    def time(value: str) -> float:
        share = int(tagged_hash("rank/1", [*parts, value]), 16) / 2**128
        return -log1p(-share) / weights[value]

    return min(weights, key=time)
