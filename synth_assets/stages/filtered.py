"""Stages `filtered` and `rejected`: the recipe's rules over a whole round and the rounds before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from synth_assets.contracts.filter import Context
from synth_assets.core.text.pairs import both
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.run import Run
from synth_assets.stages.scores import shared_out, stays, unread
from synth_assets.stages.stage import Chart, Check, Made, Stage, Table, Verdict, unique_ids

if TYPE_CHECKING:
    from synth_assets.core.answer_schema import Kind
    from synth_assets.core.engine import Engine
    from synth_assets.curation.keep import Ended

CHECKS = {
    "rows_present": Check(
        "Does every cell keep rows, and as many as each filter needs?",
        ("rows", "filters"),
        "synth tune {recipe}",
    ),
    "schema": Check("Are the row ids unique?", ("conditions", "rows"), "synth verify {recipe}"),
    "minimum_yield": Check(
        "Is the kept share of all rows that were asked for at least the recipe's minimum_yield?",
        ("minimum_yield", "filters"),
        "synth tune {recipe}",
    ),
    "label_balance": Check(
        "Has the rarest label at least a fifth of the rows of the most frequent one?",
        ("filters", "feedback.rows"),
        "synth sql --query yield_over_rounds",
    ),
}
BALANCE = 0.2


def compute(run: Run, generations: Table, scores: Table, seeds: Table | None = None) -> Made:
    """Rows that passed every filter, with their scores."""
    from synth_assets.curation.keep import ended, keep

    rows, filters = scored_rows(generations, scores), list(run.recipe.filters.values())
    looking, on_workers = looks(run, seeds), list[int]()

    def engines(rows: int) -> Engine | None:
        engine = run.engine(rows)
        on_workers.extend([rows] if engine else [])
        return engine

    kept, dropped = keep(rows, filters, replace(looking, engines=engines))
    if on_workers or run.engine(len(rows)):
        few = "" if on_workers else "too few rows were left"
        whole = {name: stays(f) or few for name, f in run.recipe.filters.items() if not f.raw}
        run.say(shared_out(len(rows), whole))
    rejected = _with_failed_calls(dropped, generations)
    counts = {"generated": len(generations), "accepted": len(rows), "kept": len(kept)}
    by_label, reasons = kept["label"].value_counts().to_dict(), rejected["scorer"].value_counts().to_dict()
    numbers = {
        "funnel": Chart("bars", "rows", counts),
        "labels": Chart("bars", "kept rows by label", by_label),
    }
    why = {"reasons": Chart("bars", "dropped rows by reason", reasons)}
    lack = _lack(run, ended(filters, kept, dropped), kept, dropped, looking)
    verdicts = _verdicts(run.recipe, lack, generations, kept)
    return Made(kept, numbers, verdicts, beside={"rejected": Made(rejected, why)})


def scored_rows(generations: Table, scores: Table) -> Table:
    """The accepted rows with their scores: what the filters are given."""
    accepted = generations[generations["accepted"]]
    return accepted.merge(scores.drop(columns=["round", "cell"]), on="row_id", validate="one_to_one")


def looks(run: Run, seeds: Table | None = None) -> Context:
    """What filters over a round look at besides its rows."""
    recipe, pair = run.recipe, run.recipe.task.pair
    earlier = run.before("filtered", columns=["text", *filter(None, [pair])])
    return Context(
        verbalizers=recipe.task.verbalizers(),
        earlier=list(both(earlier, pair)["text"]),
        seeds=None if seeds is None else both(seeds[seeds["split"] == "demonstration"], pair),
        typed=typed(recipe),
        pair=pair,
        encode=run.encode,
        no_encoder=run.no_encoder,
        engines=run.engine,
    )


def typed(recipe: Recipe) -> dict[str, Kind]:
    """Fields that rows and seeds share, of the same type, which is not free text -> the type. The label is
    what is learned of them."""
    rows, columns = recipe.row_columns, recipe.seeds.columns
    shared = {n: k for n, k in recipe.seeds.kinds.items() if n != "label" and rows.get(n) == columns[n]}
    return {n: k for n, k in shared.items() if (len(k) > 1 if isinstance(k, tuple) else k != "text")}


def _with_failed_calls(dropped: Table, generations: Table) -> Table:
    """Rows that failed while they were generated are rejected rows too."""
    import pandas as pd

    failed = generations[~generations["accepted"]]
    why = failed["error"].where(failed["error"].notna(), failed["reason"])
    failed = failed.assign(
        stage=failed.get("stage", "generations"),  # of a chain, one of its steps
        scorer=failed["reason"],
        value=None,
        **dict.fromkeys(("threshold", "at_least", "at_most")),
        reason=why,
    )
    return pd.concat([table for table in (failed, dropped) if len(table)] or [failed], ignore_index=True)


def _lack(run: Run, end: Ended | None, kept: Table, dropped: Table, looking: Context) -> str:
    """Where a cell has no row, or fewer than a filter needs: which, who dropped the most, and what helps."""
    recipe = run.recipe
    empty = [cell for cell in recipe.cells if not (kept["cell"] == cell).any()]
    few = empty or (list(end.few) if end else [])
    if not few:
        return ""
    words = [f"no row is left of {', '.join(empty)}." if empty else f"{end}."]
    if end:
        words.append(f"{end.filter.name} and the filters behind it were not applied.")
    lost, fix = dropped[dropped["cell"].isin(few)], "Ask for more rows"
    if len(lost):
        dropper, count = next(iter(lost["scorer"].value_counts().items()))
        words.append(f"The filter {dropper} dropped most of them ({count}).")
        unknown = lost[(lost["scorer"] == dropper) & lost["value"].isna()]
        if why := recipe.filters[dropper].lacks(looking):
            fix = why
        elif 2 * len(unknown) > count:
            why = unread(run, dropper, unknown) or f"what was answered is in {recipe.name}.calls"
            fix = f"{len(unknown)} of those have no score: {why}"
        else:
            fix += f", or loosen {dropper}"
    return " ".join([*words, f"{fix}."])


def _verdicts(recipe: Recipe, lack: str, generations: Table, kept: Table) -> dict[str, list[Verdict]]:
    by_label = {cell: int((kept["cell"] == cell).sum()) for cell in recipe.cells}
    counts = ", ".join(f"{n} {label}" for label, n in by_label.items())
    share = len(kept) / len(generations) if len(generations) else 0.0
    least, most = min(by_label.values()), max(by_label.values())
    yields = f"{share:.0%} of {len(generations)} rows kept, the recipe wants {recipe.minimum_yield:.0%}."
    balance = f"kept {counts}; the rarest needs {BALANCE * most:.0f}."
    return {
        "rows_present": [Verdict(not lack, lack or f"kept {counts}.")],
        "schema": [unique_ids(kept)],
        "minimum_yield": [Verdict(share >= recipe.minimum_yield, yields, numbers={"share": round(share, 4)})],
        "label_balance": [Verdict(least >= BALANCE * most, balance)],
    }


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    of_seeds = any(rule.reads_seeds for rule in recipe.filters.values())
    return Stage(
        "filtered",
        compute,
        reads=["generations", "scores", *(["seeds"] if of_seeds else [])],
        sections=["labels", "filters", "minimum_yield"],
        checks=CHECKS,
        follows=True,
        also={"rejected": "Rows that did not pass a filter, and the reason."},
    )
