"""`synth sample`: draw kept rows for people to label: labelled.human."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator
from pathlib import Path

from synth_assets.annotation.people import pairs_to_judge
from synth_assets.commands.options import add_round, recipe_named
from synth_assets.contracts.decision import BETTER, CHOSEN, RANDOM
from synth_assets.core.errors import UserError
from synth_assets.core.text.cells import guarded
from synth_assets.evaluation.judging import drawn_pairs
from synth_assets.report.one_round import latest_round
from synth_assets.resources import home
from synth_assets.selection.select import select_random
from synth_assets.stages.metrics import last_measured
from synth_assets.stages.run import Run


def sample_rows(run: Run, n: int, least_sure: int, to: Path) -> Iterator[str]:
    """Writes `n` of the round's rows (all, where there are fewer), drawn at random, and of the others those
    whose label is least sure; what to do with them."""
    rows, recipe = run.read("filtered", {"round": run.round}), run.recipe
    if rows.empty:
        raise UserError(f"{recipe.name}: no row of {run.round} was kept: there is nothing to label.")
    ids = select_random(list(rows["row_id"]), n, recipe.seed, "faithfulness")
    chosen = _least_sure(run, least_sure, ids) if least_sure else []
    columns = ["row_id", *filter(None, [recipe.task.pair]), "text"]
    drawn = rows.set_index("row_id").loc[[*ids, *chosen]].reset_index()[columns].fillna("")
    how = [RANDOM] * len(ids) + [f"{CHOSEN} by confidence"] * len(chosen)
    likely = [f"{len(ids) / len(rows):.6g}"] * len(ids) + [""] * len(chosen)
    drawn.map(guarded).assign(label="", draw=how, probability=likely).to_csv(to, index=False)
    yield f"{len(drawn):,} of {len(rows):,} rows of {run.round} are in {to}. Fill in their labels, and"
    if before := recipe.labelled.human:
        yield f"add the lines of {before} that are to stay (one without a draw counts as chosen). Then"
    yield f"write into the recipe:\n    labelled: {{human: {to}}}"
    yield "They override all other labels."
    if ids:
        yield f"The {len(ids):,} drawn at random correct what the metrics say of the rest: label all of them."
    if chosen:
        yield f"The {len(chosen):,} chosen measure nothing."


def _least_sure(run: Run, n: int, but: Collection[str]) -> list[str]:
    """Rows whose label has the least confidence, of those that no person has labelled."""
    rows = run.read("labelled", {"round": run.round}, columns=["row_id", "label_source", "confidence"])
    if rows["confidence"].isna().all():
        fix = "write another way to label (`labelled: {by: label_agreement}` with that filter, say)"
        if run.recipe.task.annotate:
            fix = "write several ways to ask (`steps: {text: {annotate: answer, prompts: 5}}`)"
        why = f"no label of {run.round} has a confidence"
        raise UserError(f"{run.recipe.name}: {why}: {fix} into the recipe, and make the round again.")
    rows = rows[rows["label_source"].ne("human") & ~rows["row_id"].isin(but)].dropna(subset=["confidence"])
    return list(rows.sort_values(["confidence", "row_id"])["row_id"][:n])


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
    size.add_argument("-n", type=int, metavar="ROWS", help="so many, drawn at random: these measure")
    size.add_argument(
        "--width", type=float, help="as many as an interval of the share of right ones takes, 0.1 by default"
    )
    of = parser.add_mutually_exclusive_group()
    of.add_argument(
        "--least-sure", type=int, metavar="ROWS", help="so many whose label is least sure, for labels alone"
    )
    of.add_argument(
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
    n, least_sure, width = options.n, options.least_sure, options.width
    if width is None and n is None and least_sure is None:
        width = 0.1
    if width is not None and not 0 < width < 1:
        raise UserError(f"--width {width}: it is between 0 and 1.")
    for name, rows in {"-n": n, "--least-sure": least_sure}.items():
        if rows is not None and rows < 1:
            raise UserError(f"{name} {rows}: people are shown one row or more.")
    round_ = latest_round(recipe, "filtered", options.round)
    n = sample_size(width) if width is not None else n or 0
    run = Run(recipe, home.lake(), home.encoder(), round_)
    told = (
        sample_pairs(run, n, options.to)
        if options.pairs
        else sample_rows(run, n, least_sure or 0, options.to)
    )
    for line in told:
        print(line)
    if width is not None:
        print(f"An interval of width {width:g} takes {n:,}.")
