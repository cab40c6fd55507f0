"""Values that are taken in turn."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

from synth_assets.selection.select import ranked

V = TypeVar("V", bound=Hashable)


def shuffled(*parts: Any) -> list[str]:
    """The order of a turn by a hash: the values, and the number of the turn, are the last of the parts."""
    *place, left, turn = parts
    return ranked(left, *place, turn)


class Turns(Generic[V]):
    """Values in turns: a turn takes each once, in an order of its own. What was taken `before`, in earlier
    rounds, counts: a value that was never taken comes first, then those of the turn that is not over.

    Values may come and go between rounds. One that is new is taken once and then waits as the others do: it
    does not make up for the turns before it.
    """

    def __init__(
        self, values: Iterable[V], order: Callable[[list[V], int], list[V]], before: Iterable[V] = ()
    ) -> None:
        """`order`: the values of a turn, and its number, to the order in which they are taken."""
        self._order, self._turn = order, 0
        self._last = dict.fromkeys(values, 0)  # value -> the turn that took it last
        self._left: list[V] = []
        for value in before:
            self.took(value)

    @property
    def left(self) -> list[V]:
        """What this turn has not taken yet, the next one first."""
        if not self._left:
            self._left = self._order(*self.least())
        return self._left

    def least(self) -> tuple[list[V], int]:
        """Those that were taken the longest ago, or never, and the turn that took them."""
        turn = min(self._last.values())
        return [value for value, last in self._last.items() if last == turn], turn

    def take(self, value: V) -> V:
        """One of those that are left."""
        self._left.remove(value)
        self.took(value)
        return value

    def line(self) -> list[V]:
        """All values, in the order in which they come: those of this turn, and then the others."""
        left = dict.fromkeys(self.left)
        return [*left, *self._order([value for value in self._last if value not in left], self._turn + 1)]

    def take_some(self, number: int) -> list[V]:
        """So many different ones, or all, where there are no more."""
        return [self.pick(value) for value in self.line()[:number]]

    def pick(self, value: V) -> V:
        """One of all, be it its turn or not."""
        if value in self._left:
            return self.take(value)
        self.took(value)
        return value

    def took(self, value: V) -> None:
        """A value was taken out of turn; nothing, where it is none of these."""
        if value in self._last:
            self._turn = self._last[value] = max(self._last[value] + 1, self._turn)
