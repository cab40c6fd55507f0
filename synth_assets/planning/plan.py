"""`synth plan`: what a round would make and pay, before it does.

The same functions that make a round are run, with a model that asks nobody (see foreseen.py). So the number
of calls is exact as long as what is asked is answered and accepted.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from synth_assets.core.errors import UserError
from synth_assets.core.text.amounts import count, dollars, duration
from synth_assets.planning.bounds import BYTES, Bounds
from synth_assets.planning.estimates import Estimate, Line, estimated
from synth_assets.planning.foreseen import Planned
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.own_encoder import chosen
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages import feedback, tables
from synth_assets.stages.graph import cut_by
from synth_assets.stages.run import Encoder, Run
from synth_assets.stages.stage import Stage, Table, short


class States(Protocol):
    """What is there of a round: of which partitions there are rows, and which would come out otherwise."""

    def state(self, stage: str, cell: str | None, changed: bool | None = None) -> tuple[str, str]:
        """New, stale or unchanged, and why. `changed`: whether the rows would be others, where that is known;
        else it follows from what the stage reads. Asked in the order in which the stages are made."""

    def is_fresh(self, stage: str, cell: str | None) -> bool:
        """Whether no reason is known to make the partition (again), whatever its rows would be."""

    def orphans(self) -> Iterable[tuple[str, str]]:
        """Stage and cell of the partitions that the recipe does not have any more."""


def plan(
    recipe: Recipe, round_: str, lake: Lake, log: CallLog, encoder: Encoder, states: States
) -> list[Line]:
    """What `synth run` would do for this round. UserError as `synth check` has them; asks no model."""
    return list(_Plan(recipe, round_, lake, log, encoder, states).lines())


def states(
    recipe: Recipe,
    round_: str,
    lake: Lake,
    log: CallLog,
    encoder: Encoder,
    known: States,
    cut: Sequence[str],
    cells: Sequence[str],
) -> dict[str, dict[str, str]]:
    """Cell (empty: what no cell owns) -> stage -> new, stale or unchanged, of the stages that are cut so,
    once all that they read is made. What is cheap to make is compared; what others ask is not looked at."""
    planned = _Plan(recipe, round_, lake, log, encoder, known)
    return {cell: dict(planned.without_asking(cut, cell or None)) for cell in cells}


@dataclass
class _Plan:
    """A round while it is planned: stage after stage, each on the rows that those before it would make."""

    recipe: Recipe
    round: str
    lake: Lake
    log: CallLog
    encoder: Encoder
    states: States
    made: dict[tuple[str, str], Table] = field(default_factory=dict)  # stage, cell (or empty) -> rows
    shared: dict[object, Any] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)
    unsure: dict[str, float] = field(default_factory=dict)

    def lines(self) -> Iterator[Line]:
        for stage in cut_by(self.recipe):
            yield from self._of(stage)
        for cell in self.recipe.cells:
            for stage in cut_by(self.recipe, "round", "cell"):
                yield from self._of(stage, cell)
        for stage in cut_by(self.recipe, "round"):
            yield from self._of(stage)
        for name, cell in self.states.orphans():
            yield Line(name, cell, "orphaned", "the recipe has no such cell")

    def without_asking(self, cut: Sequence[str], cell: str | None) -> Iterator[tuple[str, str]]:
        for stage in cut_by(self.recipe, *cut):
            run = self._run(stage, cell)
            there = self.lake.has(self.recipe.name, stage.name, run.place)
            try:
                changed = self._foretold(run, stage, cell)[1] if there else None
            except UserError:
                changed = True  # a file is damaged, or the stage cannot be made: making it says which
            for name in (stage.name, *stage.also):
                yield name, self.states.state(name, cell, changed)[0]

    def _foretold(self, run: Planned, stage: Stage, cell: str | None) -> tuple[Table | None, bool | None]:
        """The rows, and whether the lake has others; None for a stage that is not made to see."""
        if not (stage.foretold or (stage.ahead and not self.states.is_fresh(stage.name, cell))):
            return None, None
        given = {name: self._rows(name, cell) for name in stage.reads}
        if any(rows is None for rows in given.values()):
            return None, None
        if stage.ahead and stage.asks:
            rows = stage.asks(run, **given)
            return rows, None if run.words else self._differs(run, stage, rows)
        rows = stage.compute(run, **given).rows
        return rows, None if stage.given else self._differs(run, stage, rows)

    def _of(self, stage: Stage, cell: str | None = None) -> Iterator[Line]:
        run = self._run(stage, cell)
        rows, changed = self._foretold(run, stage, cell)
        state, why = self.states.state(stage.name, cell, changed)
        if stage.model is not None and not stage.ahead:
            run.model()  # has a line, also where nothing has to be asked
        if stage.asks and (stage.model is None or stage.ahead) and state == "unchanged":
            rows = run.read(stage.name, run.place)  # of tools, which are not run here
        elif rows is None and stage.asks and (stage.pays or stage.model is None):
            rows = stage.asks(run, **{name: self._rows(name, cell) for name in _wanted(stage)})
        if rows is not None and stage.name == "seeds" and len(rows):
            self.bounds.usual = float(rows["text"].map(lambda text: len(text.encode())).mean()) / BYTES
        if rows is not None:
            self.made[stage.name, cell or ""] = rows
        plain = Line(stage.name, cell, state, "; ".join(filter(None, (why, run.words))))
        yield from estimated(plain, run.asked, self.recipe, self.log) if run.asked else [plain]
        for name in stage.also:
            yield Line(name, cell, *self.states.state(name, cell))

    def _run(self, stage: Stage, cell: str | None) -> Planned:
        round_ = self.round if "round" in tables.stages(self.recipe)[stage.name] else ""
        given = self.recipe, self.lake, chosen(self.recipe.encoder, self.encoder), round_, cell or ""
        common: dict[str, Any] = {"shared": self.shared, "made": self.made, "unsure": self.unsure}
        return Planned(*given, log=self.log, bounds=self.bounds, own=stage.model, **common)

    def _rows(self, stage: str, cell: str | None) -> Table | None:
        """The rows of a stage: those that it would make, else those of the lake, if all are there."""
        by_cell = "cell" in tables.stages(self.recipe)[stage]
        if (found := self.made.get((stage, cell or "" if by_cell else ""))) is not None:
            return found
        cells = [{"round": self.round, "cell": name} for name in sorted(self.recipe.cells)]
        places = cells if by_cell else [{"round": self.round}] if tables.stages(self.recipe)[stage] else [{}]
        if not all(self.lake.has(self.recipe.name, stage, place) for place in places):
            return None
        return self.lake.read(self.recipe.name, stage, places, tables.schema(self.recipe, stage))

    def _differs(self, run: Planned, stage: Stage, rows: Table) -> bool:
        """Whether the lake has other rows there."""
        if not self.lake.has(self.recipe.name, stage.name, run.place):
            return True
        there = run.read(stage.name, run.place)
        new, old = (tables.to_arrow(self.recipe, stage.name, table) for table in (rows, there))
        return tables.content_hash(new) != tables.content_hash(old)


def _wanted(stage: Stage) -> list[str]:
    """The tables that the stage's questions rest on: those that its function names."""
    assert stage.asks
    named = inspect.signature(stage.asks).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in named):
        return list(stage.reads)
    return [name for name in stage.reads if name in {each.name for each in named}]


def asked_of(
    recipe: Recipe, round_: str, lake: Lake, encoder: Encoder
) -> tuple[list[feedback.Line], Path | None]:
    """What the round before asks of this one, beside what that one was asked for itself, and the file in
    which a person may change that."""
    run = Run(recipe, lake, encoder, round_)
    lines = feedback.compared(run)
    return lines, recipe.feedback_file(feedback.told_by(run)) if lines else None


def asks(recipe: Recipe, lines: Sequence[feedback.Line], file: Path | None) -> Iterator[str]:
    """The same for the terminal."""
    if lines:
        by = recipe.feedback.rows
        yield from ("", f"asked for by feedback ({by}), to be edited in {file}")
        yield f"{'':22}{'':18}{'now':>12}{'before':>12}{'change':>12}{by:>12}"
    for line in lines:
        of, name, *numbers = feedback.columns(line)
        yield f"{of:22}{name:18}" + "".join(f"{short(number):>12}" for number in numbers)


def report(lines: Sequence[Line]) -> Iterator[str]:
    """For the terminal."""
    yield f"{'stage':22}{'cell':18}{'state':12}{'calls':>8}{'in the log':>12}  why"
    for line in lines:
        counted = f"{_calls([line]):>8}{line.from_log:>12,}" if line.calls + line.from_log else " " * 20
        yield f"{line!s:22}{line.cell or '':18}{line.state:12}{counted}  {line.why}".rstrip()
    yield from ("", *sums(lines))


def sums(lines: Sequence[Line]) -> Iterator[str]:
    """What the stages come to, and all of them."""
    asking = [line for line in lines if line.calls]
    for name in dict.fromkeys(map(str, asking)):
        yield f"{name:22}{in_short([line for line in asking if str(line) == name])}"
    total = totals(lines)
    yield f"{'total':22}{in_short(lines)}"
    yield f"{_calls(lines)} calls to make, {total['from_log']:,} answered by the log"
    if total["calls"] and total["at_most_cost"] is None:
        yield "What has no price in models.yaml costs an unknown amount."


def in_short(lines: Sequence[Line]) -> str:
    """What these lines come to, as a sentence."""
    total = totals(lines)
    if not total["calls"]:
        return "nothing to pay"
    free, cost = total["at_most_cost"] == 0, Estimate(total["cost"], most=total["at_most_cost"])
    tokens = Estimate(total["tokens"], most=total["at_most_tokens"]).words(count)
    time = "" if total["seconds"] is None else f", about {duration(total['seconds'])} at the last run's rate"
    pays = "free" if free else "of unknown cost" if cost == Estimate() else cost.words(dollars)
    return f"{pays}, {_calls(lines)} calls, {tokens} tokens{time}"


def _calls(lines: Sequence[Line]) -> str:
    """How many are to be made; where that depends on answers, the fewest and the most."""
    fewest, most = (sum(getattr(line, name) for line in lines) for name in ("fewest", "calls"))
    return f"{most:,}" if fewest == most else f"{fewest:,}-{most:,}"


def totals(lines: Sequence[Line]) -> dict[str, Any]:
    """Sums; None as soon as one part is not known."""

    def known(values: Iterable[float | None]) -> float | None:
        found = list(values)
        return None if None in found else sum(v for v in found if v is not None)

    asking = [line for line in lines if line.calls]
    return {
        "calls": sum(line.calls for line in lines),
        "fewest_calls": sum(line.fewest for line in lines),
        "from_log": sum(line.from_log for line in lines),
        "tokens": known(line.tokens.value for line in asking),
        "cost": known(line.cost.value for line in asking),
        "seconds": known(line.seconds for line in asking),
        "at_most_tokens": known(line.tokens.most for line in asking),
        "at_most_cost": known(line.cost.most for line in asking),
    }
