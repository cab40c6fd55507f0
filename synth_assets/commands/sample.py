"""`synth sample`: draw kept rows for people to label: labelled.human."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from synth_assets.annotation.people import BETTER, pairs_to_judge
from synth_assets.commands.options import add_round, recipe_named
from synth_assets.core.errors import UserError
from synth_assets.core.text.cells import guarded
from synth_assets.evaluation.judging import drawn_pairs
from synth_assets.report.one_round import latest_round
from synth_assets.resources import home
from synth_assets.selection.select import select_random
from synth_assets.stages.metrics import last_measured
from synth_assets.stages.run import Run


def sample_rows(run: Run, n: int, to: Path) -> Iterator[str]:
    """Writes `n` of the round's rows (all, where there are fewer), drawn at random; what to do with them."""
    rows = run.read("filtered", {"round": run.round})
    ids = select_random(list(rows["row_id"]), n, run.recipe.seed, "faithfulness")
    drawn = rows.set_index("row_id").loc[ids].reset_index()[["row_id", "text"]]
    drawn.map(guarded).assign(label="").to_csv(to, index=False)
    yield f"{len(ids):,} of {len(rows):,} rows of {run.round} are in {to}. Fill in their labels, and"
    yield f"add to the recipe:\n    labelled: {{human: {to}}}"
    yield "They override all other labels, and correct what the metrics say of the rest."


def sample_pairs(run: Run, n: int, to: Path) -> Iterator[str]:
    """The same of the pairs that the judge compares: rows of the round and of the one measured before it."""
    name, judge, last = run.recipe.name, run.recipe.metrics.judge, last_measured(run)
    if judge is None:
        raise UserError(f"{name} has no judge: write `metrics: {{judge: {{}}}}` into the recipe.")
    if last is None:
        raise UserError(f"{name} has no round before {run.round} that was measured: nothing to compare.")
    now, then = (run.read("filtered", {"round": round_}) for round_ in (run.round, last))
    pairs = drawn_pairs(now, then, judge.rows)
    drawn = pairs_to_judge(pairs, n)
    drawn.map(guarded).to_csv(to, index=False)
    yield f"{len(drawn):,} of {len(pairs):,} pairs of rows of {run.round} and {last} are in {to}. Fill in"
    yield f"`better` ({', '.join(BETTER)}), and add to the recipe:\n    metrics: {{judge: {{people: {to}}}}}"
    yield "They tell how far the judge says what people say, and correct its win rate."


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("-n", type=int, metavar="ROWS")
    size.add_argument("--width", type=float, default=0.1, help="of the interval of the share of right ones")
    parser.add_argument(
        "--pairs", action="store_true", help="pairs that the judge compares, for people: metrics.judge.people"
    )
    add_round(parser)
    parser.add_argument("--to", metavar="FILE", required=True, type=Path, help="a new CSV file")


def command(options: argparse.Namespace) -> None:
    from synth_assets.evaluation.faithfulness import sample_size

    recipe = recipe_named(options.name)
    if options.to.exists():
        raise UserError(f"{options.to} exists: people may have filled in some of it. Choose another name.")
    if not options.to.absolute().parent.is_dir():
        raise UserError(f"--to {options.to}: there is no folder {options.to.parent}.")
    if options.n is None and not 0 < options.width < 1:
        raise UserError(f"--width {options.width}: it is between 0 and 1.")
    if options.n is not None and options.n < 1:
        raise UserError(f"-n {options.n}: people are shown one row or more.")
    round_ = latest_round(recipe, "filtered", options.round)
    n = sample_size(options.width) if options.n is None else options.n
    run = Run(recipe, home.lake(), home.encoder(), round_)
    for line in (sample_pairs if options.pairs else sample_rows)(run, n, options.to):
        print(line)
    if options.n is None:
        print(f"An interval of width {options.width:g} takes {n:,}.")
