"""Choosing rows: demonstrations, seeds, rows to label, core-sets are all one `select`.

Choices by rank: a rank is a hash of the row's own id, so that a new row moves no other. What rests on vectors
or scores (see methods.py) looks at the rows in the order of their ranks, whatever order they come in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from inspect import signature
from math import log1p
from typing import TYPE_CHECKING, Any

from synth_assets.core.errors import unknown
from synth_assets.core.identity import seed_from, tagged_hash

if TYPE_CHECKING:
    import numpy as np

METHODS: Mapping[str, tuple[str, ...]] = {  # functions of methods.py, and what each needs besides the rows
    "random": (),
    "nearest": ("vectors", "query"),
    "cluster_nearest": ("vectors", "query"),
    "k_means": ("vectors",),
    "k_medoids": ("vectors",),
    "vote_k": ("vectors", "scores"),
    "fast_vote_k": ("vectors",),
    "facility_location": ("vectors",),
    "dissimilar": ("vectors",),
    "entropy": ("probabilities",),
    "least_confidence": ("probabilities",),
    "margin": ("probabilities",),
    "top": ("scores",),
    "bottom": ("scores",),
}


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


def select(
    ids: Sequence[str],
    k: int,
    by: str,
    *,
    parts: Sequence[object] = (),
    vectors: np.ndarray | None = None,
    query: np.ndarray | None = None,
    against: np.ndarray | None = None,
    scores: Sequence[float | None] | None = None,
    probabilities: np.ndarray | None = None,
    groups: Sequence[str] | None = None,
    taken: Collection[str] = (),
    neighbours: int = 150,
    nearest_first: bool = False,
) -> list[str]:
    """`k` of the ids (all, where there are fewer), `k` of each group where there are groups, in the order in
    which a prompt shows them.

    vectors (n, d) of the ids and query (d,), all of length 1; `dissimilar` keeps away from `against` (m, d)
    as well. scores: of the ids, None if unknown (for vote_k, a model's confidence). probabilities (n, K) of
    their labels. `taken`: ids that are not chosen, and in whose place nothing like them is wanted. The
    nearest stand last (KATE, Liu et al. 2022) or first. `parts` fix what is random. UserError for an unknown
    `by`; ValueError where something that it needs is missing.
    """
    from synth_assets.selection import methods

    if by not in METHODS:
        raise unknown("way to select", by, METHODS)
    given = {"vectors": vectors, "query": query, "scores": scores, "probabilities": probabilities}
    if missing := [name for name in METHODS[by] if given[name] is None]:
        raise ValueError(f"select by {by} needs {' and '.join(missing)}")
    order = _places(tuple(ids), tuple(parts))
    chosen, gone = list[str](), {*taken}
    wants = signature(getattr(methods, by)).parameters if by != "random" else {}
    for group in sorted(set(groups)) if groups is not None else [None]:
        places = [i for i in order if groups is None or groups[i] == group]
        there = [i for i in places if ids[i] not in gone]
        places = places if "taken" in wants else there
        few = min(k, len(there))
        if by == "random" or not few:
            chosen += [ids[i] for i in there[:few]]
            continue
        of: dict[str, Any] = {"k": few, "seed": seed_from(*parts, "select"), "neighbours": neighbours}
        of |= {"query": query, "against": against, "vectors": None if vectors is None else vectors[places]}
        of |= {"scores": None if scores is None else [scores[i] for i in places]}
        of |= {"probabilities": None if probabilities is None else probabilities[places]}
        of |= {"taken": [at for at, i in enumerate(places) if ids[i] in gone]}
        found = getattr(methods, by)(**{name: of[name] for name in wants})
        last = "query" in METHODS[by] and not nearest_first
        chosen += [ids[places[i]] for i in (found[::-1] if last else found)]
    return chosen


@lru_cache(maxsize=8)
def _places(ids: tuple[str, ...], parts: tuple[object, ...]) -> tuple[int, ...]:
    """The places of the ids in the order of their ranks, which many queries share."""
    return tuple(sorted(range(len(ids)), key=lambda i: tagged_hash("rank/1", [*parts, ids[i]])))


def select_mixed(pools: Mapping[str, Sequence[str]], sizes: Mapping[str, int], *parts: object) -> list[str]:
    """So many ids of each pool, shuffled together (Self-Instruct, Wang et al. 2023: 6 human and 2 machine).
    What a pool lacks is taken from the others. UserError for a size without a pool."""
    for name in sizes:
        if name not in pools:
            raise unknown("pool", name, pools)
    chosen = {i: None for name, n in sizes.items() for i in select_random(pools[name], n, *parts, name)}
    rest = [i for name in sizes for i in pools[name] if i not in chosen]
    chosen |= dict.fromkeys(select_random(rest, max(0, sum(sizes.values()) - len(chosen)), *parts))
    return ranked(chosen, *parts, "mixed")
