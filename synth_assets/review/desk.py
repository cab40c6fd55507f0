"""What the page does, without the web: takes what people say, stores it once, and knows what they see next.

All that must last is in the store. What is kept here besides can be lost with the process: whom a row was
lent, and who has looked at the model's answer.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from synth_assets.annotation.queue import Queue, hidden, ordered, too_fast
from synth_assets.contracts.decision import Decision, current
from synth_assets.review.asked import Asked, asked
from synth_assets.review.rows import Item, Rows

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.resources.decisions import Decisions

LONGEST = 1_000_000  # characters of an edited text
STEP = 10  # agreement is told so often: after each row it would tell the answer before an undo


class Refused(Exception):
    """What was sent is not stored, and why, in words for the person; `status` as HTTP has it."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True)
class Who:
    """A person, and the browser that they sit at: one may sit at two."""

    person: str
    session: str


@dataclass(frozen=True)
class Sent:
    """A form, as it came."""

    decision_id: str
    row_id: str
    do: str  # answer, skip, undo, text, reveal
    values: Sequence[str] = ()
    seconds: float | None = None
    note: str = ""
    last: str = ""  # the decision that the page shows as the last one


@dataclass(frozen=True)
class Progress:
    """How far a person is."""

    answered: int
    left: int
    minutes_left: float | None
    agreement: Sequence[tuple[str, int, int]]  # with whom, in how many, of how many
    fast: int  # answers that came faster than anybody reads
    last: Decision | None

    @property
    def over(self) -> bool:
        """Whether the time that the recipe gives a person is used up."""
        return self.minutes_left is not None and self.minutes_left <= 0


class Desk:
    """The queue of a round and its decisions."""

    def __init__(
        self, recipe: Recipe, rows: Rows, store: Decisions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        assert recipe.review is not None
        self.recipe, self.rows, self.store, self.review, self._clock = (
            recipe,
            rows,
            store,
            recipe.review,
            clock,
        )
        self.asked: Asked = asked(recipe)
        share = {"control": self.review.control, "double": self.review.double}
        self.queue = Queue(ordered(rows.worth(), self.review.by, seed=recipe.seed, **share))
        self._mark: str | None = None
        self._shown: dict[str, str] = {}  # session -> row
        self._revealed: set[tuple[str, str]] = set()
        self._refresh()

    def take(self, who: Who, sent: Sent) -> str:
        """Store what was sent; what is to be said of it. The same sent again is stored once. Refused says why
        something is not."""
        self._refresh()
        if sent.decision_id in self._ids:
            return ""
        try:
            UUID(sent.decision_id)
        except ValueError:
            raise Refused(400, "That could not be read: nothing was stored. Answer again.") from None
        if sent.do == "undo":
            return self._undo(who, sent)
        if sent.do == "reveal":
            return self._reveal(who, sent)
        item = self.rows.item(sent.row_id)
        if item is None:
            why = "That row is not in this queue: the round may have been made again. Here is the next one."
            raise Refused(404, why)
        if before := self._answer(who.person, item.row_id):
            said = "skipped" if before.kind == "skip" else self.asked.said(before.value)
            raise Refused(409, f"You have answered this one in another window ({said}), which stays.")
        decision = self._decision(who, sent, item)
        self._append(decision)
        if decision.kind == "text":
            return "The new text is stored, and the old one is kept."
        self._shown.pop(who.session, None)
        quick = decision.kind != "skip" and too_fast(" ".join(item.texts), decision.seconds)
        return "That was quick: was it read? u takes it back." if quick else ""

    def _decision(self, who: Who, sent: Sent, item: Item) -> Decision:
        """What is to be stored. Refused where its value is none."""
        kinds = {"answer": self.asked.kind, "skip": "skip", "text": "text"}
        if sent.do not in kinds:
            raise Refused(400, "That could not be read: nothing was stored. Answer again.")
        kind, place = kinds[sent.do], None if item.draw else self.queue.places[self.queue.at[item.row_id]]
        try:
            value = self._new_text(who, sent, item) if kind == "text" else None
            value = self.asked.read(sent.values, item.texts[0]) if sent.do == "answer" else value
        except ValueError as error:
            raise Refused(400, f"Not stored: {error}.") from None
        shown = item.suggestion if self.review.show == "suggestion" else None
        return Decision(
            decision_id=sent.decision_id,
            recipe=self.recipe.name,
            row_id=item.row_id,
            round=self.rows.round,
            person=who.person,
            kind=kind,
            value=value,
            seconds=sent.seconds,
            saw_suggestion=shown is not None or (who.person, item.row_id) in self._revealed,
            draw=place.draw if place else item.draw,
            probability=place.probability if place else None,
            note=sent.note,
            suggestion=shown,
            text_id=item.text_id,
        )

    def _new_text(self, who: Who, sent: Sent, item: Item) -> str:
        text = (sent.values[0] if sent.values else "").replace("\r\n", "\n")
        if not self.edits:
            raise ValueError("spans and pairs are of the text as it is")
        if not text.strip() or len(text) > LONGEST:
            raise ValueError(f"a text has 1 to {LONGEST:,} characters")
        if text == self.text_of(who, item):
            raise ValueError("the text is as it was")
        return text

    @property
    def edits(self) -> bool:
        """Whether people may edit texts."""
        return self.asked.kind not in ("spans", "choice")

    def _undo(self, who: Who, sent: Sent) -> str:
        """Take the person's last decision back: the one that the page shows, if it still holds."""
        mine = self._mine[who.person]
        if not mine:
            raise Refused(409, "There is nothing to undo.")
        last = mine.get(sent.last) or list(mine.values())[-1]
        self._append(
            Decision(
                decision_id=sent.decision_id,
                recipe=self.recipe.name,
                row_id=last.row_id,
                round=self.rows.round,
                person=who.person,
                kind="undo",
                draw=last.draw,
                probability=last.probability,
                seconds=sent.seconds,
                corrects=last.decision_id,
                text_id=last.text_id,
            )
        )
        self._shown[who.session] = last.row_id
        said = {"skip": "skipped", "text": "an edited text"}.get(last.kind) or self.asked.said(last.value)
        return f"Taken back: {said}."

    def _reveal(self, who: Who, sent: Sent) -> str:
        """What the row of the person's last decision has itself: taken back and answered again, that row
        measures nothing."""
        last = self._mine[who.person].get(sent.last)
        item = last and self.rows.item(last.row_id)
        if not last or not item or last.kind != self.asked.kind:
            raise Refused(409, "Answer first: what you say is worth more where you have not seen it.")
        self._revealed.add((who.person, item.row_id))
        value = item.suggestion if item.known is None else item.known
        if value is None:
            return "The row has no answer of its own."
        why = f" {item.explanation}" if item.explanation else ""
        return f"You said {self.asked.said(last.value)}; the row has {self.asked.said(value)}.{why}"

    def next(self, who: Who) -> Item | None:
        """What this browser shows; the same until it is answered. None: there is nothing for this person."""
        self._refresh()
        if self.progress(who.person).over:
            return None
        shown = self._shown.get(who.session)
        if shown and not self._answer(who.person, shown) and (item := self.rows.item(shown)):
            if not item.draw:
                self.queue.lend(shown, who.session, self._clock())
            return item
        item = self._hidden(who.person)
        if item is None:
            place = self.queue.next(who.person, who.session, self._clock())
            item = place and self.rows.item(place.row_id)
        if item:
            self._shown[who.session] = item.row_id
        return item

    def _hidden(self, person: str) -> Item | None:
        """A hidden row, where it is time for one."""
        pool = self.rows.hidden
        if not pool or hidden(person, self._others[person], self.review.gold) <= self._golds[person]:
            return None
        return next((item for i, item in pool.items() if not self._answer(person, i)), None)

    def text_of(self, who: Who, item: Item) -> str:
        """The first text, as this person has edited it."""
        edited = self._by_row.get((who.person, item.row_id, "text"))
        return edited.value if edited else item.texts[0]

    def progress(self, person: str) -> Progress:
        """How far this person is."""
        minutes, spent = self.review.minutes, self._spent[person]
        mine = list(self._mine[person].values())
        answers = self._counted[person]
        left = minutes and minutes - spent / 60
        return Progress(
            answers,
            self.queue.left,
            left,
            self._agreement(person),
            self._fast[person],
            mine[-1] if mine else None,
        )

    def _agreement(self, person: str) -> list[tuple[str, int, int]]:
        """Of all whole tens of answers: with the model, with other people, and with what is known."""
        whole = self._counted[person] // STEP * STEP
        if self._told.get(person, (-1,))[0] != whole:
            self._told[person] = whole, self._agreed(person, whole)
        return self._told[person][1]

    def _agreed(self, person: str, whole: int) -> list[tuple[str, int, int]]:
        answers = [each for each in self._mine[person].values() if each.kind == self.asked.kind][:whole]
        same, all_ = Counter[str](), Counter[str]()
        for mine in answers:
            item = self.rows.item(mine.row_id)
            others = [d.value for d in self._of_row[mine.row_id] if d.person != person]
            blind = item and not mine.saw_suggestion
            against = {
                "the model": [item.suggestion] if item and blind and item.suggestion is not None else [],
                "other people": others,
                "rows that are known": [item.known] if item and item.known is not None else [],
            }
            for name, values in against.items():
                all_[name] += len(values)
                same[name] += sum(value == mine.value for value in values)
        return [(name, same[name], n) for name, n in all_.items() if n]

    def _answer(self, person: str, row_id: str) -> Decision | None:
        """What this person has said of the row; a skip too."""
        return self._by_row.get((person, row_id, self.asked.kind)) or self._by_row.get(
            (person, row_id, "skip")
        )

    def _append(self, decision: Decision) -> None:
        self.store.append(decision)
        if decision.kind == "undo":
            self._refresh()
        else:
            self._ids.add(decision.decision_id)
            self._note(decision)
            self._mark = self.store.fingerprint(self.recipe.name)
        self._spent[decision.person] += 0 if decision.kind == "undo" else decision.seconds or 0

    def _refresh(self) -> None:
        """Look at the store again where somebody else has written, or something was taken back."""
        mark = self.store.fingerprint(self.recipe.name)
        if mark == self._mark:
            return
        everything = self.store.all(self.recipe.name)
        self._mark, self._ids = mark, {each.decision_id for each in everything}
        self.queue.begin()
        self._by_row: dict[tuple[str, str, str], Decision] = {}
        self._mine: defaultdict[str, dict[str, Decision]] = defaultdict(dict)
        self._of_row: defaultdict[str, list[Decision]] = defaultdict(list)
        self._counted, self._others, self._golds, self._fast = (Counter[str]() for _ in range(4))
        self._told: dict[str, tuple[int, list[tuple[str, int, int]]]] = {}
        self._spent: defaultdict[str, float] = defaultdict(float)
        for each in everything:
            if each.round == self.rows.round:
                self._spent[each.person] += each.seconds or 0
        for each in current(everything):
            self._note(each)

    def _note(self, decision: Decision) -> None:
        """Count a decision that holds; one about another text, or of another round, says nothing here."""
        person, row_id = decision.person, decision.row_id
        item = self.rows.item(row_id)
        if item is None or (decision.text_id and decision.text_id != item.text_id):
            return
        if item.draw and decision.round != self.rows.round:
            return
        if decision.kind not in (self.asked.kind, "skip", "text"):
            return
        self._by_row[person, row_id, decision.kind] = decision
        self._mine[person][decision.decision_id] = decision
        if decision.kind == "text":
            return
        (self._golds if item.draw else self._others)[person] += 1
        if decision.kind == "skip":
            if not item.draw:
                self.queue.skipped(row_id, person)
            return
        self._counted[person] += 1
        self._of_row[row_id].append(decision)
        self._fast[person] += too_fast(" ".join(item.texts), decision.seconds)
        if not item.draw:
            self.queue.answered(row_id, person)
