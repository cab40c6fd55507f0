"""`synth tune`: what a filter's threshold does to kept rows and to a student.

Nothing is scored again and no model is asked: the rules run over the scores that the lake has, with one bound
moved. Accuracy is on the validation split: the test split stays unseen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from synth_assets.commands.options import add_round, recipe_named
from synth_assets.commands.output import add_json
from synth_assets.contracts.measured import wilson
from synth_assets.core.errors import UserError, unknown
from synth_assets.core.text.pairs import both
from synth_assets.recipe.recipe import Recipe
from synth_assets.report import charts
from synth_assets.report.one_round import latest_round
from synth_assets.resources import home
from synth_assets.resources.own_encoder import chosen
from synth_assets.resources.storage.files import replacing
from synth_assets.stages.filtered import looks, scored_rows
from synth_assets.stages.run import Run
from synth_assets.stages.seeds import seed_rows
from synth_assets.students.made import Made, build

if TYPE_CHECKING:
    import pandas as pd

STEPS = 10  # thresholds between keeping all rows and a tenth of them
BOUNDS = ("at_least", "at_most")


@dataclass(frozen=True)
class Point:
    """One threshold: the rows that the whole recipe would keep, and a student's accuracy, if it is known."""

    threshold: float
    kept: int | None
    accuracy: tuple[float, float, float] | None  # value and 95 % interval
    current: bool  # whether it is the recipe's own
    why: str = ""  # rows that are kept are unknown: a filter cannot be applied


@dataclass(frozen=True)
class Sweep:
    """A bound of a filter, moved over the scores of the rows that reach it."""

    filter: str
    bound: str
    reached: int  # rows
    points: Sequence[Point]


class Tuning:
    """One round of a recipe, as its lake has it, and what its filters keep of it under other bounds."""

    def __init__(self, run: Run, student: Made) -> None:
        recipe, seeds = run.recipe, seed_rows(run.recipe, run.lake)
        cells = [{"round": run.round, "cell": cell} for cell in sorted(recipe.cells)]
        self._recipe, self._filters = recipe, list(recipe.filters.values())
        self._rows = scored_rows(*(run.read(stage, *cells) for stage in ("generations", "scores")))
        self._student, self._looks = student, looks(run, seeds)
        held_out = seeds[seeds["split"] == "validation"] if recipe.labels else seeds.iloc[:0]
        self._validation = both(held_out, recipe.task.pair)

    def sweeps(self, name: str) -> Iterator[Sweep]:
        """A sweep for each bound that the filter has."""
        from synth_assets.curation.keep import ended, keep

        at = list(self._recipe.filters).index(name)
        rule = self._filters[at]
        reached, dropped = keep(self._rows, self._filters[:at], self._looks)
        end = ended(self._filters[: at + 1], reached, dropped)
        for bound in BOUNDS:
            if (own := getattr(rule, bound)) is not None:
                points = [Point(own, None, None, True, str(end))] if end else self._points(reached, at, bound)
                yield Sweep(name, bound, len(reached), list(points))

    def _points(self, reached: pd.DataFrame, at: int, bound: str) -> Iterator[Point]:
        import pandas as pd

        from synth_assets.curation.keep import ended, keep

        rule = self._filters[at]
        open_ = rule.model_copy(update={bound: None})
        scored, _ = keep(reached, [open_], self._looks)
        scores = pd.to_numeric(scored[rule.score_column()]).dropna().astype(float)
        shares = [i / STEPS if bound == "at_least" else 1 - i / STEPS for i in range(STEPS)]
        own = float(getattr(rule, bound))
        for threshold in sorted({own, *(float(scores.quantile(q)) for q in shares if len(scores))}):
            moved = rule.model_copy(update={bound: threshold})
            filters = [moved, *self._filters[at + 1 :]]
            kept, dropped = keep(reached, filters, self._looks)
            if end := ended(filters, kept, dropped):
                yield Point(threshold, None, None, threshold == own, str(end))
            else:
                yield Point(threshold, len(kept), self._accuracy(kept), threshold == own)

    def _accuracy(self, kept: pd.DataFrame) -> tuple[float, float, float] | None:
        """The accuracy of a student of these rows, with its interval; unknown where a label has no row."""
        from synth_assets.evaluation.usefulness import predictions

        if self._validation.empty or kept.empty:
            return None
        sets = {"kept": both(kept, self._recipe.task.pair)}
        predicted = predictions(sets, self._validation, self._student)["kept"]
        if predicted is None:
            return None
        right = predicted.right
        return float(right.mean()), *wilson(int(right.sum()), len(right))


def tunable(recipe: Recipe, name: str | None) -> list[str]:
    """The filters to tune: this one, or all that have a threshold. UserError as to what is wrong."""
    known = [n for n, f in recipe.filters.items() if any(getattr(f, b) is not None for b in BOUNDS)]
    if name is not None and name not in recipe.filters:
        raise unknown("filter", name, known, f"recipe {recipe.name}")
    if name is not None and name not in known:
        raise UserError(f"filter {name} has no threshold to move: at_least or at_most.")
    if not known:
        raise UserError(f"recipe {recipe.name} has no filter with a threshold.")
    return [name] if name else known


def report(sweep: Sweep) -> Iterator[str]:
    """The sweep as lines of a table."""
    yield f"{sweep.filter}, {sweep.bound}: of {sweep.reached:,} rows that reach it"
    yield f"{'threshold':>12}{'rows kept in all':>20}{'accuracy':>12}  95 % interval"
    for p in sweep.points:
        words = "{:>12.3f}  {:.3f} to {:.3f}".format(*p.accuracy) if p.accuracy else f"{'unknown':>12}"
        kept, why = "unknown" if p.kept is None else f"{p.kept:,}", f": {p.why}" if p.why else ""
        yield f"{p.threshold:>12.4g}{kept:>20}{words}{why}{'  <- now' if p.current else ''}"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--filter", metavar="NAME", help="default: every filter that has a threshold")
    add_round(parser)
    add_json(parser)


def command(options: argparse.Namespace) -> None:
    recipe, lake = recipe_named(options.name), home.lake()
    names = tunable(recipe, options.filter)
    round_ = latest_round(recipe, "scores", options.round)
    run = Run(recipe, lake, chosen(recipe.encoder, home.encoder()), round_)
    tuning = Tuning(run, build(recipe.student, run.encode, run.encoder.folder))
    options.out.lines([f"{recipe.name}, round {round_}; accuracy on the validation split"])
    swept: list[Sweep] = []
    options.out.give(recipe=recipe.name, round=round_, sweeps=swept)
    for name in names:
        for sweep in tuning.sweeps(name):
            picture = home.reports(recipe.name) / f"tune_{name}_{sweep.bound}.png"
            title = f"{name}: {sweep.bound.replace('_', ' ')}"
            with replacing(picture) as file:
                file.write(charts.png(title, partial(charts.sweep, sweep.points)))
            swept.append(sweep)
            options.out.lines(["", *report(sweep), f"picture: {picture}"])
