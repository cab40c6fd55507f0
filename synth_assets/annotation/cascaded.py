"""The step `annotate` as a cascade: about which texts a dear model is asked, too (see cascade.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from synth_assets.annotation.cascade import Order, Promise, next_rows, ordered
from synth_assets.contracts.model_spec import ModelSpec
from synth_assets.contracts.section import Section
from synth_assets.core.asking import Answer, Behind

if TYPE_CHECKING:
    from synth_assets.contracts.step import Work

Row = Mapping[str, Any]
Says = Callable[["Work"], Iterator[Row]]  # the rows that its model's answers make
CHEAP, DEAR = "cheap", "dear"
COLUMNS = {"annotator": "string", "cheap_answer": "string"}


class Cascade(Section):
    """A dear model is asked about the texts of which the step's own model is least sure, and about some
    others, drawn at random: until it is clear that the answers agree with the dear model's as often as
    `target` says (BARGAIN, Zeighami et al. 2025)."""

    model: ModelSpec
    """The dear model."""
    target: float = Field(default=0.95, gt=0, le=1)
    """Share of a round's answers that are what the dear model says, or would say, at the least."""
    delta: float = Field(default=0.05, gt=0, lt=1)
    """How likely it may be that they are not."""


@dataclass
class _Foreseen(Behind):
    """The dear model of a plan, which knows what answers are not there yet."""

    unknown: set[str] = field(default_factory=set)

    def complete(self, *asked: Any, **named: Any) -> Iterator[Answer]:
        for answer in self.model.complete(*asked, **named):
            if not answer.from_log:
                self.unknown.add(answer.identity)
            yield answer


class Both:
    """What both models say of the rows of a step; the dear one of as many as have been asked. `column` has
    what is answered, and `says` asks a model, `times` calls a row."""

    def __init__(self, work: Work, column: str, says: Says, times: int) -> None:
        assert work.user is not None
        self._work, self._column, self._says, self._times = work, column, says, times
        self._plan = work.tools is None  # where an answer that is not there yet may be any
        self._foreseen = _Foreseen(work.user)
        self.ids = list(work.rows["row_id"])
        self.cheap: dict[str, Row] = dict(zip(self.ids, says(work), strict=True))
        self.dear: dict[str, Row] = {}
        self.agrees: dict[str, bool] = {}

    def order(self) -> Order:
        """Of rows without an answer, nothing is taken. While a round is only planned, one answer is as sure
        as the other."""
        sure: dict[str, float | None] = dict.fromkeys(self.ids)
        for name, row in self.cheap.items():
            if not row.get("reason"):
                sure[name] = 1.0 if self._plan and row["confidence"] is None else row["confidence"]
        return ordered(sure, self._work.rows["round"].iloc[0] if self.ids else "")

    def ask(self, names: Sequence[str]) -> None:
        """Ask the dear model about these. An answer that failed agrees with nothing."""
        rows = self._work.rows[self._work.rows["row_id"].isin(names)]
        asked = self._foreseen if self._plan else self._work.user
        work = replace(self._work, rows=rows, model=asked)
        for name, row in zip(rows["row_id"], self._says(work), strict=True):
            self.dear[name] = row
            answered = not row.get("reason") and not self.cheap[name].get("reason")
            same = answered and row.get(self._column) == self.cheap[name].get(self._column)
            calls = row.get("answer_calls") or [row.get("call_id")]
            self.agrees[name] = same or not self._foreseen.unknown.isdisjoint(calls)

    def may_ask(self, names: Sequence[str]) -> None:
        """Of a plan: these may be asked, too, where nobody knows yet what the dear model says of others."""
        if self._foreseen.unknown:
            self._work.maybe(self._foreseen.model, len(names) * self._times)

    def rows(self) -> Iterator[Row]:
        for name in self.ids:
            cheap, dear = self.cheap[name], self.dear.get(name)
            said, calls = (
                cheap.get(self._column),
                (row.get("answer_calls") or () for row in (dear or {}, cheap)),
            )
            yield {
                **(dear or cheap),
                "answer_calls": [call for of_model in calls for call in of_model],
                "annotator": DEAR if dear else CHEAP,
                "cheap_answer": None if said is None else str(said),
            }


def cascaded(cascade: Cascade, work: Work, column: str, says: Says, times: int) -> Iterator[Row]:
    """Of each row what the dear model says, where it was asked, else what the cheap one says. Where the
    budget ended among the cheap calls, the dear model waits for the run that has all of them."""
    both = Both(work, column, says, times)
    if any(row.get("reason") == "over_budget" for row in both.cheap.values()):
        yield from both.rows()
        return
    order, promise = both.order(), Promise(cascade.target, cascade.delta)
    while (found := next_rows(order, both.agrees, promise)).ask:
        both.ask(found.ask)
    taken = {*found.taken}
    both.may_ask([name for name in both.ids if name in taken and name not in both.dear])
    both.ask([name for name in both.ids if name not in taken and name not in both.dear])
    yield from both.rows()
