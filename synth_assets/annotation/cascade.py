"""A cascade of two annotators: the cheap one's labels are taken where it is surest, of all other rows the
dear one (or people) is asked, and the labels agree with the dear one's as often as was promised.

The promise: with probability 1 - delta, at least `target` of the n labels are what the dear annotator says or
would say. As in BARGAIN (accuracy target: Zeighami, Shankar & Parameswaran 2025, arXiv 2509.02896): the rows
stand from the surest on, and of growing parts of them the dear annotator is asked some at random, until it is
clear whether the part may be taken, or asking costs more than taking it would save.

The bound. Of a part of N rows, D have another label than the dear one's; taking it breaks the promise only
where D > a = floor((1 - target) n). The hypothesis D = a + 1 says how likely the next row agrees, given those
seen (drawn without replacement): m. Who bets q >= m on agreement, chosen before the row is seen, has a
capital that is multiplied by q / m where it agrees and by (1 - q) / (1 - m) where it does not. Where D > a
that is a supermartingale that begins at 1: it ever reaches 1 / delta with probability delta at the most
(Ville's inequality; Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by betting",
the case without replacement). So one may look after each row, and stop at any. Parts are tried in order, and
the first that fails ends it, so that delta is spent once (fixed sequence testing): to break the promise, the
first part that is too bad has to pass its own test. It needs nothing of the confidences: where they say
nothing, the dear annotator is asked of more rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import floor, log, sqrt
from typing import NamedTuple

from synth_assets.selection.select import ranked

PARTS = 20  # that are tried, at the most
ROWS = 25  # that a part has more than the one before, at least
BATCH = 16  # rows that are asked at once, at least: a hundredth of all where that is more
PRIOR = 4.0  # rows that say in advance what is bet


class Promise(NamedTuple):
    """At least `target` of the labels agree with the dear annotator's, with probability 1 - `delta`."""

    target: float = 0.95
    delta: float = 0.05

    def may_differ(self, n: int) -> int:
        """Of n labels."""
        return floor((1 - self.target) * n + 1e-9)


USUAL = Promise()


class Order(NamedTuple):
    """Rows by their ids: from the surest on (of those that have a label), and as they are drawn at random."""

    surest: Sequence[str]
    drawn: Sequence[str]


class Next(NamedTuple):
    """What is known so far: rows that the dear annotator is to be asked of before more is, none where all is
    decided; and the rows, the surest, whose labels are taken."""

    ask: Sequence[str]
    taken: Sequence[str]


def ordered(confidence: Mapping[str, float | None], *parts: object) -> Order:
    """Row ids by the confidence that the cheap annotator has in its label; None where it gave none. Among
    rows of one confidence a hash decides: another one than draws them, as they would be drawn first."""
    drawn = ranked(confidence, *parts, "cascade")
    known = {name: value for name in confidence if (value := confidence[name]) is not None and value == value}
    surest = sorted(ranked(known, *parts, "ties"), key=lambda name: -known[name])
    return Order(surest, drawn)


def next_rows(order: Order, agrees: Mapping[str, bool], promise: Promise = USUAL) -> Next:
    """What to do, given for some rows whether the dear annotator agrees with their label. It depends on what
    was said and not on when, so that whoever asks may stop, and go on elsewhere."""
    n, taken = len(order.drawn), 0
    differ = promise.may_differ(n)
    for size in _sizes(len(order.surest)):
        if size <= differ:
            continue  # it could not break the promise: but nobody would have seen what it is worth
        part = set(order.surest[:size])
        gain = sum(name not in agrees for name in order.surest[taken:size])
        found = _tried([name for name in order.drawn if name in part], agrees, differ, promise.delta, gain)
        if found is None:
            taken = size
            continue
        if found:
            return Next(found[: max(BATCH, n // 100)], order.surest[:taken])
        break
    return Next([], order.surest[:taken])


def _sizes(n: int) -> Iterator[int]:
    """Of the parts, each of which has the one before in it."""
    parts = max(1, min(PARTS, n // ROWS))
    yield from sorted({n * part // parts for part in range(1, parts + 1)} - {0})


def _tried(
    rows: Sequence[str], agrees: Mapping[str, bool], differ: int, delta: float, gain: int
) -> Sequence[str] | None:
    """Tests one part, whose rows come as they are drawn. None: it may be taken. Else the rows to ask, and
    none where it fails, or where asking costs more than the `gain`, the calls that taking it would save."""
    wanted, capital, agreed = log(1 / delta), 0.0, 0
    for seen, name in enumerate(rows):
        may = (len(rows) - differ - 1 - agreed) / (len(rows) - seen)  # m, if one too many differs
        if may < 0:
            return None  # so many agree that not one too many can differ
        if may >= 1:
            return []  # one too many has been seen
        if name not in agrees:
            more = _needed(wanted - capital, agreed, seen, may)
            ask = [row for row in rows[seen:] if row not in agrees]
            likely = sum(row not in agrees for row in rows[seen : seen + more])
            return ask[:likely] if likely <= gain else []
        bet = max(may, (agreed + PRIOR * (1 + may) / 2) / (seen + PRIOR))
        if agrees[name]:
            agreed += 1
            capital = capital + log(bet / may) if may > 0 else float("inf")
        else:
            capital += log((1 - bet) / (1 - may))
        if capital >= wanted:
            return None
    return None if len(rows) - agreed <= differ else []


def _needed(capital: float, agreed: int, seen: int, may: float) -> int:
    """Rows that it takes, about, to win so much more (the logarithm), if the share that agrees is as high as
    it may well be."""
    share = (agreed + 0.5) / (seen + 0.5)
    share = min(1.0, share + sqrt(share * (1 - share) / (seen + 1)))
    if share <= may:
        return 10**9
    gain = share * log(share / may) if may else float("inf")
    gain += (1 - share) * log((1 - share) / (1 - may)) if share < 1 else 0.0
    return 1 + floor(capital / gain)
