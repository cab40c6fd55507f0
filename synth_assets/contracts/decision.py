"""What a person decided about a row: one entry of the store of reviews, which only grows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from synth_assets.core.errors import UserError, unknown
from synth_assets.core.identity import tagged_hash

Kind = Literal["label", "labels", "spans", "rating", "choice", "text", "skip", "undo"]
KINDS: tuple[str, ...] = get_args(Kind)
RANDOM, CHOSEN, GOLD = "random", "chosen", "gold"  # how a row was drawn; `chosen by ...` says what chose it
FOREVER = 1e9  # seconds
BETTER = {"first": 1.0, "tie": 0.5, "second": 0.0}  # a choice -> the verdict about the first of a pair
NO_PROBABILITY = (
    "{} is the probability of a row that was drawn at random: write how many rows were drawn over how many "
    "there were, such as 0.1 (or chosen as its draw)."
)


@dataclass(frozen=True)
class Decision:
    """A decision, or one that takes an earlier one back. UserError for what cannot be one.

    `value` is JSON: a label; labels; [[start, end, name], ...]; 1 to 4; first, second or tie; a text. Only a
    row that was drawn at random, with its probability, and whose suggestion the person did not see, measures.
    """

    decision_id: str  # made by who sends it: sent again, it is stored once
    recipe: str
    row_id: str  # of a pair FIRST/SECOND, as they were shown; of a hidden gold row the seed's
    round: str
    person: str
    kind: str
    value: Any = None
    seconds: float | None = None  # as long as the page was looked at
    saw_suggestion: bool = False
    draw: str = CHOSEN
    probability: float | None = None  # of being drawn, of a random one
    note: str = ""
    corrects: str | None = None  # decision of the same person that this one replaces, or takes back
    time: str = ""  # UTC, of the store
    suggestion: Any = None  # what was shown, where something was
    text_id: str = ""  # `text_id` of what was read: of another text under the same row id it says nothing

    def __post_init__(self) -> None:
        for name in ("decision_id", "recipe", "row_id", "person"):
            if not getattr(self, name):
                raise UserError(f"a decision without its {name}: give it one.")
        if self.kind not in KINDS:
            raise unknown("kind of decision", self.kind, KINDS, self.decision_id)
        if self.seconds is not None and not 0 <= self.seconds < FOREVER:
            raise UserError(f"{self.decision_id} took {self.seconds} seconds: leave them out.")
        check_draw(self.decision_id, self.draw, self.probability)
        if self.kind == "undo" and not self.corrects:
            raise UserError(f"{self.decision_id} is an undo of nothing: `corrects` names what it takes back.")

    @property
    def measures(self) -> bool:
        """Whether it says something of all rows, and not of its own alone."""
        return self.draw == RANDOM and not self.saw_suggestion


def text_id(*texts: str) -> str:
    """Which text (of a pair, both) somebody read: a row keeps its id where its prompt is edited."""
    return tagged_hash("read/1", texts)[:16]


def check_draw(place: str, draw: str, probability: float | None) -> None:
    """UserError, at `place`, for a draw that is none, or a random one without its probability."""
    if draw not in (RANDOM, CHOSEN, GOLD) and not draw.startswith(f"{CHOSEN} by "):
        raise unknown("draw", draw, (RANDOM, CHOSEN, f"{CHOSEN} by ...", GOLD), place)
    if draw == RANDOM and not (probability is not None and 0 < probability <= 1):
        said = "nothing" if probability is None else probability
        raise UserError(f"{place}: {NO_PROBABILITY.format(said)}")


def current(decisions: Iterable[Decision]) -> list[Decision]:
    """What holds of the decisions of a recipe, given in order of time: neither replaced nor taken back, and
    of a person's several ones of a kind about a row the last."""
    decisions = list(decisions)
    by_id = {each.decision_id: each for each in decisions}
    gone = set()
    for each in decisions:
        before = by_id.get(each.corrects or "")
        if before and (before.person, before.row_id) == (each.person, each.row_id):
            gone.add(before.decision_id)
    last: dict[tuple[str, str, str], Decision] = {}
    for each in decisions:
        if each.decision_id not in gone and each.kind != "undo":
            place = (each.row_id, each.person, each.kind)
            last.pop(place, None)  # it stands where it was made
            last[place] = each
    return list(last.values())
