"""Accepted rows: a cell is asked for rows, batch after batch, until so many pass the filters that look at a
row alone. What is written is the rows up to the last one that was needed, and no others: the stages after
find their answers in the call log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from synth_assets.contracts.filter import Context
from synth_assets.contracts.measured import wilson
from synth_assets.core.asking import OUTCOMES, REUSABLE
from synth_assets.generation.steps.chain import NOT_THERE
from synth_assets.recipe.accepted import Accepted
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages import generations, scores
from synth_assets.stages.run import Run
from synth_assets.stages.stage import Check, Made, Table, Verdict

HISTORY = 10  # rounds before this one whose yield a plan rests on, at the most
SILENT = 20  # rows, one after the other, without an answer: then nobody answers
UNANSWERED = {*OUTCOMES} - {*REUSABLE}
AT_MOST = "rows.at_most"
CHECKS = {
    "enough_rows": Check(
        "Do as many rows pass the filters that look at a row alone as the recipe wants?",
        ("rows", "filters"),
        "synth try {recipe}",
    ),
}
Draw = Callable[[int], Table]  # the first so many rows of the cell, whatever comes after them


def of_row(recipe: Recipe) -> list[str]:
    """The filters that look at a row alone. What others drop of a set is known once the set is there."""
    return [name for name, rule in recipe.filters.items() if not (rule.of_set or rule.encodes)]


def sections(recipe: Recipe) -> list[str]:
    """What of the recipe decides which rows pass."""
    return [*(f"steps.{name}" for name in recipe.steps), "labels", "scorers", "annotator", "filters"]


def compute(run: Run, seeds: Table, draw: Draw) -> Made:
    """The rows up to the one with which enough have passed, or all that were asked for."""
    asking = _Asking(run, seeds, draw)
    ended = asking.until_enough()
    needed = asking.needed()
    verdict = _verdict(asking, needed, ended)
    numbers = {**verdict.numbers, "not_needed": len(asking.passed) - needed}
    return Made(asking.rows[:needed], numbers, {"enough_rows": [verdict]})


def foreseen(run: Run, seeds: Table, draw: Draw) -> Table:
    """Of a plan: the rows as far as answers are there; where some are not, all rows that there may be."""
    asking = _Asking(run, seeds, draw)
    asking.until_enough()
    if not asking.lacks:
        return asking.rows[: asking.needed()]
    rows, sure = draw(asking.wanted.at_most), len(asking.rows)
    words, share = _likely(run, asking)
    run.may_end(list(rows["row_id"][sure:]), share, words)
    return rows


@dataclass
class _Asking:
    """One cell, as far as it has been asked for."""

    run: Run
    seeds: Table
    draw: Draw
    rows: Table = None
    passed: list[bool] = field(default_factory=list)  # of each row that an answer is there for
    lost: Counter[str] = field(default_factory=Counter)  # filter, or reason why there is no text -> rows
    unanswered: list[str] = field(default_factory=list)  # of each row, why there is no answer; else empty
    lacks: bool = False  # of a plan: whether an answer is not there yet

    def __post_init__(self) -> None:
        recipe = self.run.recipe
        assert isinstance(recipe.rows, Accepted)
        self.wanted = recipe.rows
        stages = [generations.stage(recipe, name) for name in recipe.steps]
        self._steps = [(stage, self.run.of(stage)) for stage in stages]
        self._scores = self.run.of(scores.stage(recipe))
        self._filters = of_row(recipe)
        generations.check_steps(recipe)

    def until_enough(self) -> str:
        """Ask for batches. Why it ended before enough rows passed, if it did."""
        while (passed := sum(self.passed)) < self.wanted.accepted:
            done = len(self.passed)
            if done and (why := self._ended()):
                return why
            n = next_batch(passed, done, self.wanted, self.run.recipe.samples)
            self.rows = self.draw(done + n)
            found = self._ask(self.rows[done:].reset_index(drop=True))
            if self.lacks:
                return ""
            self.passed += found
            self.run.say(f"{sum(self.passed):,} of {self.wanted.accepted:,} rows passed, of {done + n:,}")
        return ""

    def _ended(self) -> str:
        """Why nothing more is asked for; empty where it goes on."""
        if len(self.passed) == self.wanted.at_most:
            return AT_MOST
        if len(last := self.unanswered[-SILENT:]) == SILENT and all(last):
            return self.run.held() or f"the last {SILENT} rows got no answer ({last[-1]})"
        return self.run.held()

    def needed(self) -> int:
        """How many of the rows it takes: up to the question with which enough have passed."""
        count, samples = 0, self.run.recipe.samples
        for place, fine in enumerate(self.passed):
            count += fine
            if count == self.wanted.accepted:
                return min((place // samples + 1) * samples, len(self.passed))
        return len(self.passed)

    def _ask(self, conditions: Table) -> list[bool]:
        """Whether each row has an answer and passes."""
        made: dict[str, Table] = {}
        for stage, run in self._steps:
            assert stage.asks
            table = stage.asks(run, conditions=conditions, **made)
            assert table is not None
            made[stage.name] = table
            self.lacks |= run.lacks or bool((table["error"] == NOT_THERE).any())
        rows = made["generations"]
        ok = rows["accepted"].astype(bool)
        fine = rows[ok].reset_index(drop=True)
        for name in self._filters if len(fine) and not self.lacks else ():
            fine = scores.measured(self._scores, name, fine, self.seeds)
        self.lacks |= self._scores.lacks
        if self.lacks:
            return []
        self.lost.update(rows["reason"][~ok])
        self.unanswered += [why if why in UNANSWERED else "" for why in rows["reason"]]
        return list(conditions["row_id"].isin(self._kept(fine)))

    def _kept(self, rows: Table) -> set[str]:
        from synth_assets.curation.keep import keep

        task, filters = self.run.recipe.task, self.run.recipe.filters
        looks = Context(task.verbalizers(), pair=task.pair)
        kept, dropped = keep(rows, [filters[name] for name in self._filters], looks)
        self.lost.update(dropped["scorer"])
        return set(kept["row_id"])


def next_batch(passed: int, asked: int, wanted: Accepted, samples: int) -> int:
    """Rows to ask for next: what is missing at the best yield that is likely, so that hardly any is asked for
    in vain; whole questions."""
    best = wilson(passed, asked)[1]
    questions = ceil((wanted.accepted - passed) / best / samples)
    return min(questions * samples, wanted.at_most - asked)


def _verdict(asking: _Asking, asked: int, ended: str) -> Verdict:
    """Whether enough rows passed; if not, what ended it, what was lost, and what helps."""
    passed, wanted = sum(asking.passed[:asked]), asking.wanted
    low, high = wilson(passed, asked)
    share = f"{passed / asked:.2f}, {low:.2f} to {high:.2f}" if asked else "unknown"
    words = f"{passed:,} of {wanted.accepted:,} rows passed of {asked:,} asked for (yield {share})"
    numbers = {"passed": passed, "asked_for": asked}
    if not ended:
        return Verdict(True, f"{words}.", numbers=numbers)
    lost = ", ".join(f"{name} {count:,}" for name, count in asking.lost.most_common(3))
    why = f"It ended there: {ended}. What was answered is not paid again."
    if ended == AT_MOST:
        why = f"{AT_MOST} ended it: {_fix(asking, low)}."
    return Verdict(False, f"{words}; lost by {lost}. {why}", numbers=numbers)


def _fix(asking: _Asking, low: float) -> str:
    """What helps where the cap ended it; `low`: the lowest yield that is likely."""
    dropped = (name for name, _ in asking.lost.most_common() if name in asking.run.recipe.filters)
    found = [f"loosen filters.{name}" for name in dropped][:1] or ["look at the answers"]
    if low:
        number = ceil(asking.wanted.accepted / low)
        unit = 10 ** max(0, len(str(number)) - 2)  # two digits count
        found.insert(0, f"raise {AT_MOST} to about {-(-number // unit) * unit:,}")
    return ", or ".join(found)


def _likely(run: Run, asking: _Asking) -> tuple[str, float]:
    """How many rows are likely to be asked for, in words, and which share that is of those that may be."""
    wanted, done, sure = asking.wanted, len(asking.passed), len(asking.rows)
    rounds, passed, asked = _history(run)
    passed, asked = passed + sum(asking.passed), asked + done
    rows = f"{wanted.accepted:,} rows are to pass"
    if not passed:
        return f"{rows}, at most {wanted.at_most:,} are asked for", 1.0
    missing = wanted.accepted - sum(asking.passed)
    low, high = wilson(passed, asked)
    most, fewest, likely = (
        min(wanted.at_most, max(sure, done + ceil(missing / share))) if share else wanted.at_most
        for share in (low, high, passed / asked)
    )
    rest = wanted.at_most - sure
    of = f"{rounds} rounds before" if rounds > 1 else "the round before" if rounds else "this round"
    said = f"{rows}: likely {likely:,} are asked for ({fewest:,} to {most:,}), by the yield of {of}"
    return f"{said}; at most {wanted.at_most:,}", (likely - sure) / rest if rest else 0.0


def _history(run: Run) -> tuple[int, int, int]:
    """Rounds before this one, and of their rows of this cell: how many passed, of how many."""
    of_sets = set(run.recipe.filters) - set(of_row(run.recipe))
    rounds = passed = asked = 0
    for round_ in run.rounds("generations")[-HISTORY:]:
        place = {"round": round_, "cell": run.cell}
        if run.there("generations", place) and run.there("rejected", {"round": round_}):
            rows = len(run.read("generations", place, columns=["row_id"]))
            lost = run.read("rejected", {"round": round_}, columns=["cell", "scorer"])
            failed = int(((lost["cell"] == run.cell) & ~lost["scorer"].isin(of_sets)).sum())
            rounds, passed, asked = rounds + 1, passed + rows - failed, asked + rows
    return rounds, passed, asked
