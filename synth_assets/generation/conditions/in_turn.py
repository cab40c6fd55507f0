"""Values that depend on other conditions, in turn: each of a group before any twice, over all rounds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from synth_assets.contracts.provider import Around, Pool, Provider, Weights
from synth_assets.generation.conditions.turns import Turns
from synth_assets.recipe.remembering import LATER
from synth_assets.selection.select import ranked


class InTurn:
    """Whose turn it is among the values of a cell's rows; nobody's, where the recipe does not remember."""

    def __init__(
        self,
        attributes: Mapping[str, Any],
        around: Around,
        place: Sequence[object],
        constrained: Collection[str],
    ) -> None:
        """`place`: seed, round, cell. `constrained`: what constraints name."""
        self._around, self._place, self._constrained = around, place, constrained
        self._sources = {n: v for n, v in attributes.items() if isinstance(v, Pool) and v.depends}
        draws = {n for n, v in attributes.items() if isinstance(v, Provider) and v.name in LATER}
        self._keep = {*self._sources, *draws}
        self._before: dict[str, dict[str, list[str]]] = {}  # condition -> group -> what earlier rounds took
        self._turns: dict[tuple[str, str], Turns[str]] = {}

    def again(self, name: str) -> bool:
        """Whether a condition has another value once the constraints refused a draw. What takes turns keeps
        its own, where no constraint looks at it."""
        return self._around.before is None or name in self._constrained or name not in self._keep

    def value(self, name: str, row: Mapping[str, Any], weights: Weights, attempt: int) -> str | None:
        """The value of a row with these values of the conditions above; the next ones in line, where the
        constraints refused `attempt` of them. None: it is drawn by itself, as what has weights is."""
        if self._around.before is None or name not in self._sources or len({*weights.values()}) > 1:
            return None
        group = self._sources[name].group(row)
        if (name, group) not in self._turns:
            order = partial(self._order, name, group)
            self._turns[name, group] = Turns(weights, order, self._taken(name, row).get(group, ()))
        turns = self._turns[name, group]
        return turns.left[attempt] if attempt < len(turns.left) else turns.line()[attempt % len(weights)]

    def took(self, row: Mapping[str, Any]) -> None:
        """A row stands: a draw that the constraints refused has taken nothing."""
        for name, source in self._sources.items():
            if turns := self._turns.get((name, source.group(row))):
                turns.pick(row[name])

    def _order(self, name: str, group: str, left: Iterable[str], turn: int) -> list[str]:
        return ranked(left, *self._place, turn, name, group)

    def _taken(self, name: str, row: Mapping[str, Any]) -> dict[str, list[str]]:
        """Of the earlier rounds, by group; `row` has what all rows of the cell have."""
        if name not in self._before:
            found = self._before[name] = {}
            for group, value in self._groups(name, row):
                found.setdefault(group, []).append(value)
        return self._before[name]

    def _groups(self, name: str, row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for taken in self._around.before or ():
            yield self._sources[name].group({**row, **taken}), taken[name]
