"""Designs: which values the rows of a round take together.

What a row keeps when the recipe is edited:

========  ===================================================================  =====================  ========
plan      what it promises of the counts                                       more rows               weights
========  ===================================================================  =====================  ========
product   each attribute is drawn by itself; shares go towards the weights     earlier rows stay       yes
balanced  counts of two values of an attribute never differ by more than 1     earlier rows stay       refused
coverage  balanced, and pairs of values that were seen least come first        earlier rows stay       refused
latin     counts are within 1 of rows x share (a Latin hypercube)              rows are drawn anew     yes
========  ===================================================================  =====================  ========

Under `product` a new value changes only rows that take it, and a removed one only rows that had it. The
others count what was used before, and draw anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate, combinations, islice

from synth_assets.core.errors import UserError
from synth_assets.selection.select import pick, ranked

Values = Mapping[str, Mapping[str, float]]  # attribute -> value -> weight


def draw(values: Values, n: int, plan: str, *parts: object) -> list[dict[str, str]]:
    """The first `n` rows of a design that `parts` (seed, round, cell) fix: attribute -> value.

    Raises UserError for an attribute without values, and weights in a plan that uses all values alike.
    """
    for name, weights in values.items():
        if not weights:
            raise UserError(f"{name} has no values: give at least one.")
        if plan in ("balanced", "coverage") and len(set(weights.values())) > 1:
            raise UserError(f"{name} has weights, and {plan} uses each value as often: use product or latin.")
    if plan == "product":
        return [{a: pick(vs, *parts, i, a) for a, vs in values.items()} for i in range(n)]
    if plan == "latin":
        columns = {name: _stratified(weights, n, *parts, 0, name) for name, weights in values.items()}
        return [{name: column[i] for name, column in columns.items()} for i in range(n)]
    return list(islice(_in_blocks(values, plan == "coverage", *parts), n))


def _in_blocks(values: Values, spread: bool, *parts: object) -> Iterator[dict[str, str]]:
    """Rows without end. Each attribute takes all of its values in a random order, then all in another one.

    With `spread`, of the values that are left the one comes first whose pairs with the row's other values
    were seen least (a greedy covering array, as in AETG, Cohen et al. 1997).
    """
    left: dict[str, list[str]] = {name: [] for name in values}
    seen: Counter[tuple[tuple[str, str], tuple[str, str]]] = Counter()
    block = dict.fromkeys(values, 0)
    while True:
        row: dict[str, str] = {}
        for name, weights in values.items():
            if not left[name]:
                left[name] = ranked(weights, *parts, block[name], name)
                block[name] += 1
            # the first of the least: without `spread` the next one
            taken = min(left[name], key=lambda v: sum(seen[w, (name, v)] for w in row.items() if spread))
            left[name].remove(taken)
            row[name] = taken
        seen.update(combinations(row.items(), 2))
        yield row


def _stratified(weights: Mapping[str, float], n: int, *parts: object) -> list[str]:
    """`n` values, one from each n-th of the unit interval that the weights divide, in a random order."""
    from bisect import bisect
    from fractions import Fraction

    order = ranked(weights, *parts)
    bounds = list(accumulate(Fraction(weights[v]) for v in order))  # exact: a bound may be a stratum's middle
    places = ranked(map(str, range(n)), *parts, "row")
    return [order[bisect(bounds, Fraction(2 * int(k) + 1, 2 * n) * bounds[-1])] for k in places]
