"""What the page does, without the web: takes what people say, stores it once, and knows what they see next.

All that must last is in the store. What is kept here besides can be lost with the process: whom a row was
lent, and who has looked at the model's answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from synth_assets.annotation.allocation import Budget, Cost, for_people
from synth_assets.annotation.queue import Queue, hidden, ordered, too_fast, within
from synth_assets.contracts.decision import Decision
from synth_assets.review.asked import asked
from synth_assets.review.held import Held
from synth_assets.review.rows import Item, Rows

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.resources.decisions import Decisions

LONGEST = 1_000_000  # characters of an edited text


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


class Desk:
    """The queue of a round and its decisions."""

    def __init__(
        self, recipe: Recipe, rows: Rows, store: Decisions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        assert recipe.review is not None
        self.recipe, self.rows, self.review, self._clock = recipe, rows, recipe.review, clock
        self.asked = asked(recipe)
        share = {"control": self.review.control, "double": self.review.double}
        places = ordered(rows.worth(), self.review.by, seed=recipe.seed, **share)
        if self.review.dollars and self.review.price:
            budget, most = Budget(self.review.dollars), sum(place.people for place in places)
            places = within(places, for_people(most, budget, Cost(self.review.price)))
        self.queue = Queue(places)
        self.held = Held(rows, self.queue, store, self.asked.kind)
        self._shown: dict[str, str] = {}  # session -> row
        self._revealed: set[tuple[str, str]] = set()  # person and row

    def take(self, who: Who, sent: Sent) -> str:
        """Store what was sent; what is to be said of it. The same sent again is stored once. Refused says why
        something is not."""
        self.held.refresh()
        if sent.decision_id in self.held.ids:
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
        if before := self.held.answer(who.person, item.row_id):
            said = "skipped" if before.kind == "skip" else self.asked.said(before.value)
            raise Refused(409, f"You have answered this one in another window ({said}), which stays.")
        decision = self._decision(who, sent, item)
        self.held.append(decision)
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
        mine = self.held.people[who.person]
        last = mine.decisions.get(sent.last) or mine.last
        if not last:
            raise Refused(409, "There is nothing to undo.")
        self.held.append(
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
        last = self.held.people[who.person].decisions.get(sent.last)
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
        self.held.refresh()
        if self.is_over(who.person):
            return None
        shown = self._shown.get(who.session)
        if shown and not self.held.answer(who.person, shown) and (item := self.rows.item(shown)):
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
        mine = self.held.people[person]
        if hidden(person, mine.rows, self.review.gold) <= mine.hidden:
            return None
        items = self.rows.hidden.items()
        return next((item for row_id, item in items if not self.held.answer(person, row_id)), None)

    def minutes_left(self, person: str) -> float | None:
        """Of the time that the recipe gives a person; None where that has no end."""
        minutes = self.review.minutes
        return minutes and max(0.0, minutes - self.held.people[person].seconds / 60)

    def is_over(self, person: str) -> bool:
        """Whether that time is used up."""
        return self.minutes_left(person) == 0

    def text_of(self, who: Who, item: Item) -> str:
        """The first text, as this person has edited it."""
        edited = self.held.people[who.person].of_row.get((item.row_id, "text"))
        return edited.value if edited else item.texts[0]
