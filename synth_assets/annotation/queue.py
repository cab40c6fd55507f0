"""Who is shown which row next: a random control and chosen rows, some of them by two people.

Where a row stands rests on a hash of its own id, so that a new row moves no other. Each row is in one of two
strata. The control is drawn without a look at what a row is worth, and measures; all others are chosen, the
most valuable first, and do not. Both are mixed evenly: whoever stops early has seen the same share of each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from struct import Struct
from typing import NamedTuple

from synth_assets.contracts.decision import CHOSEN, RANDOM

HALVES = Struct(">QQ")
LENT_S = 600.0  # a row that was shown to one is not shown to another so long, if it is not answered


class Place(NamedTuple):
    """A row of the queue."""

    row_id: str
    draw: str
    probability: float | None = None  # of being in the control
    people: int = 1  # that are to answer it


def ordered(
    worth: Mapping[str, float | None], by: str, *, control: float, double: float, seed: int = 0
) -> list[Place]:
    """The queue of these rows. `worth`: row id -> what its answer is worth, None where nobody knows; where
    that is known of none, all rows are drawn at random. `control`: the share of the control, which is each
    row's probability of being in it. `double`: the share of rows that two people answer."""
    if all(value is None for value in worth.values()):
        control = 1.0
    drawn, chosen, how, numbers = [], [], f"{CHOSEN} by {by}", _numbers(seed)
    for row_id, value in worth.items():
        at, twice = numbers(row_id)
        people = 2 if twice < double else 1
        if at < control:
            drawn.append((at, Place(row_id, RANDOM, control, people)))
        else:
            known = float("inf") if value is None else -value
            chosen.append((known, at, Place(row_id, how, None, people)))
    return _mixed([place for *_, place in sorted(drawn)], [place for *_, place in sorted(chosen)])


def drawn(ids: Iterable[str], seed: int = 0) -> list[str]:
    """The rows in the order in which the control has them: as if all of them were in it."""
    numbers = _numbers(seed)
    return sorted(ids, key=lambda row_id: numbers(row_id)[0])


def within(places: Sequence[Place], answers: int) -> list[Place]:
    """The first places, which so many answers pay for. Both strata end there: each row of the control had the
    same chance as the others of it."""
    before = accumulate((place.people for place in places), initial=0)
    return [place for place, had in zip(places, before, strict=False) if had + place.people <= answers]


def _numbers(*parts: object) -> Callable[[object], tuple[float, float]]:
    """Two numbers from 0 to 1 for whatever is named besides: both halves of a hash."""
    begun = hashlib.sha256("\n".join(map(str, ("queue/1", *parts, ""))).encode("utf-8", "surrogatepass"))

    def of(name: object) -> tuple[float, float]:
        digest = begun.copy()
        digest.update(str(name).encode("utf-8", "surrogatepass"))
        first, second = HALVES.unpack(digest.digest()[:16])
        return first / 2**64, second / 2**64

    return of


def _mixed(one: list[Place], other: list[Place]) -> list[Place]:
    """Both lists in their order, evenly spread over each other."""
    found, first, second = [], 0, 0
    while first < len(one) and second < len(other):
        if (2 * first + 1) * len(other) <= (2 * second + 1) * len(one):
            found.append(one[first])
            first += 1
        else:
            found.append(other[second])
            second += 1
    return found + one[first:] + other[second:]


def hidden(person: str, answered: int, share: float) -> int:
    """How many rows whose answer is known a person is to have had after `answered` others: one in each
    stretch, at a place in it that nobody foresees."""
    if not share:
        return 0
    stretch = max(1, round(1 / share) - 1)
    whole, rest = divmod(answered, stretch)
    return whole + (rest > int(_numbers(person)(whole)[0] * stretch))


def too_fast(text: str, seconds: float | None) -> bool:
    """Whether nobody reads a text in that time: 25 words a second after 0.3 s to press a key (people skim at
    most half as fast), and never more than 3 s."""
    return seconds is not None and seconds < min(0.3 + len(text.split()) / 25, 3.0)


class Queue:
    """What is left of the places, for several people at once. What follows the last row of a person costs the
    same, however long the queue is: each person has a place in it."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = list(places)
        self.at = {place.row_id: n for n, place in enumerate(self.places)}
        self.begin()

    def begin(self) -> None:
        """Nobody has answered anything."""
        self.left = len(self.places)  # rows that still want somebody
        self._answered: dict[str, set[str]] = {}
        self._skipped: dict[str, set[str]] = {}
        self._from: dict[str, int] = {}  # person -> before this place nothing is open for them
        self._lent: dict[str, tuple[str, float]] = {}

    def answered(self, row_id: str, person: str) -> None:
        """This person has said what the row is."""
        people = self._answered.setdefault(row_id, set())
        if person not in people:
            people.add(person)
            self.left -= len(people) == self.places[self.at[row_id]].people
        self._lent.pop(row_id, None)

    def skipped(self, row_id: str, person: str) -> None:
        """This person does not want to say it."""
        self._skipped.setdefault(row_id, set()).add(person)
        self._lent.pop(row_id, None)

    def taken_back(self, row_id: str, person: str) -> None:
        """Neither holds any more of this person."""
        n, people = self.at[row_id], self._answered.get(row_id, set())
        if person in people:
            self.left += len(people) == self.places[n].people
            people.remove(person)
        self._skipped.get(row_id, set()).discard(person)
        self._from = {each: min(at, n) for each, at in self._from.items()}

    def lend(self, row_id: str, session: str, now: float) -> None:
        """It is shown there, and to others only when LENT_S are over."""
        self._lent[row_id] = session, now

    def next(self, person: str, session: str, now: float) -> Place | None:
        """The first place that is open for them. None: there is none, or others have the rest before them."""
        first = None
        for n in range(self._from.get(person, 0), len(self.places)):
            place = self.places[n]
            if not self._is_open(place, person):
                continue
            first = n if first is None else first
            who, when = self._lent.get(place.row_id, (session, now))
            if who == session or now - when > LENT_S:
                self._from[person] = first
                self.lend(place.row_id, session, now)
                return place
        self._from[person] = len(self.places) if first is None else first
        return None

    def _is_open(self, place: Place, person: str) -> bool:
        people: Collection[str] = self._answered.get(place.row_id, ())
        if len(people) >= place.people or person in people:
            return False
        return person not in self._skipped.get(place.row_id, ())
