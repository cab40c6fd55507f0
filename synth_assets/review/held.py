"""The decisions that hold, as the page needs them: by person and row, counted, and in the queue.

All of it comes from the store, and is made again from there where somebody else has written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synth_assets.annotation.queue import Queue, too_fast
from synth_assets.contracts.decision import RANDOM, Decision, current
from synth_assets.review.rows import Item, Rows
from synth_assets.stages.reviews import counts

if TYPE_CHECKING:
    from synth_assets.resources.decisions import Decisions

STEP = 10  # agreement is told so often: after each row it would tell the answer before an undo
Agreement = Sequence[tuple[str, int, int]]  # with whom, in how many, of how many


@dataclass
class Person:
    """What somebody has decided, and how far they are."""

    decisions: dict[str, Decision] = field(default_factory=dict)  # that hold, the last one last
    of_row: dict[tuple[str, str], Decision] = field(default_factory=dict)  # by row and kind
    answers: int = 0
    fast: int = 0  # answers that came faster than anybody reads
    rows: int = 0  # answered or skipped, without the hidden ones
    hidden: int = 0
    seconds: float = 0.0
    told: tuple[int, Agreement] = (0, ())  # of so many answers

    @property
    def last(self) -> Decision | None:
        return next(reversed(self.decisions.values()), None)


class Held:
    """What people have decided about the rows of a round. `kind`: of the answers that are asked for."""

    def __init__(self, rows: Rows, queue: Queue, store: Decisions, kind: str) -> None:
        self._rows, self._queue, self._store, self._kind = rows, queue, store, kind
        self._recipe = rows.recipe.name
        self._mark: str | None = None
        self.refresh()

    def refresh(self) -> None:
        """Look at the store again where somebody else has written."""
        mark = self._store.fingerprint(self._recipe)
        if mark == self._mark:
            return
        self._mark, everything = mark, self._store.all(self._recipe)
        self.ids = {each.decision_id for each in everything}
        self._queue.begin()
        self.people: defaultdict[str, Person] = defaultdict(Person)
        self._answers: defaultdict[str, list[Decision]] = defaultdict(list)  # of a row
        self._has: dict[str, tuple[Any, Any]] = {}  # row -> what it says of itself, and what is known
        for each in everything:
            if each.round == self._rows.round:
                self.people[each.person].seconds += each.seconds or 0
        for each in current(everything):
            self._note(each)
        places = Counter((each.person, each.row_id, each.kind) for each in everything)
        self._several = {place for place, n in places.items() if n > 1}

    def append(self, decision: Decision) -> None:
        """Store it, and count it or what it takes back."""
        self._store.append(decision)
        person = self.people[decision.person]
        taken = person.decisions.get(decision.corrects or "")
        if taken and (taken.person, taken.row_id, taken.kind) in self._several:
            return self.refresh()  # the one before it may hold again
        self.ids.add(decision.decision_id)
        person.seconds += decision.seconds or 0
        if taken:
            self._forget(taken)
        else:
            if before := person.of_row.get((decision.row_id, decision.kind)):
                self._several.add((decision.person, decision.row_id, decision.kind))
                self._forget(before)
            self._note(decision)
        self._mark = self._store.fingerprint(self._recipe)

    def answer(self, person: str, row_id: str) -> Decision | None:
        """What this person has said of the row, as it is in this queue; a skip too."""
        of_row = self.people[person].of_row
        said = of_row.get((row_id, self._kind)) or of_row.get((row_id, "skip"))
        return said if said and self._fills(said) else None

    def _fills(self, decision: Decision) -> bool:
        """Whether its row's place in the queue asks this person no more. A row of the control that was chosen
        before (in a file, or by another `control`) is asked about again: without such rows, the control would
        be what is left of it, the easy ones."""
        at = self._queue.at.get(decision.row_id)
        return at is None or self._queue.places[at].draw != RANDOM or decision.draw == RANDOM

    def agreement(self, person: str) -> Agreement:
        """Of all whole tens of answers: with the labels, with other people, and with what is known."""
        of = self.people[person]
        whole = of.answers // STEP * STEP
        if of.told[0] != whole:
            of.told = whole, self._agreed(person, whole)
        return of.told[1]

    def _agreed(self, person: str, whole: int) -> Agreement:
        answers = [each for each in self.people[person].decisions.values() if each.kind == self._kind]
        same, of = Counter[str](), Counter[str]()
        for mine in answers[:whole]:
            suggestion, known = self._has[mine.row_id]
            against = {
                "the labels": [None if mine.saw_suggestion else suggestion],
                "other people": [each.value for each in self._answers[mine.row_id] if each.person != person],
                "what is known": [known],
            }
            for name, values in against.items():
                of[name] += sum(value is not None for value in values)
                same[name] += sum(value == mine.value for value in values)
        return [(name, same[name], n) for name, n in of.items() if n]

    def _note(self, decision: Decision) -> None:
        """Count a decision that holds; one about another text, of another round, or of a label that the
        task has no more, says nothing here."""
        row_id, kind, item = decision.row_id, decision.kind, self._rows.item(decision.row_id)
        if item is None or (decision.text_id and decision.text_id != item.text_id):
            return
        if not counts(self._rows.recipe, decision, {}):
            return
        if (item.draw and decision.round != self._rows.round) or kind not in (self._kind, "skip", "text"):
            return
        person = self.people[decision.person]
        person.of_row[row_id, kind] = person.decisions[decision.decision_id] = decision
        self._has[row_id] = item.suggestion, item.known
        self._count(decision, item, 1)
        if kind == self._kind:
            self._answers[row_id].append(decision)
        if not item.draw and kind != "text" and self._fills(decision):
            (self._queue.skipped if kind == "skip" else self._queue.answered)(row_id, decision.person)

    def _forget(self, decision: Decision) -> None:
        """The other way around."""
        row_id, kind, item = decision.row_id, decision.kind, self._rows.item(decision.row_id)
        assert item
        person = self.people[decision.person]
        del person.of_row[row_id, kind], person.decisions[decision.decision_id]
        self._count(decision, item, -1)
        if kind == self._kind:
            self._answers[row_id].remove(decision)
        if not item.draw and kind != "text":
            self._queue.taken_back(row_id, decision.person)

    def _count(self, decision: Decision, item: Item, by: int) -> None:
        person = self.people[decision.person]
        if decision.kind == self._kind:
            person.answers += by
            person.fast += by * too_fast(" ".join(item.texts), decision.seconds)
        if decision.kind != "text":
            person.hidden += by if item.draw else 0
            person.rows += 0 if item.draw else by
