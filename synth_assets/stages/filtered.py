"""Assets `filtered` and `rejected`: the recipe's rules over a whole round and the rounds before."""

from collections.abc import Iterator

import dagster as dg

from synth_assets.assets.factory import (
    check,
    check_all,
    check_spec,
    follows,
    partition_of,
    partitions_of,
    result,
)
from synth_assets.contracts.filter import Context
from synth_assets.core.asking import Encode
from synth_assets.curation.keep import ended, keep
from synth_assets.recipe.recipe import Recipe
from synth_assets.report import plots
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages.stage import Table, key, rounds_before, unique_ids

CHECKS = {
    "rows_present": "Does every cell keep rows, and as many as each filter needs?",
    "schema": "Are the row ids unique?",
    "minimum_yield": "Is the kept share of all rows that were asked for at least the recipe's minimum_yield?",
    "label_balance": "Has the rarest label at least a fifth of the rows of the most frequent one?",
}
BALANCE = 0.2
WHAT = {
    "filtered": "Rows that passed every filter, with their scores.",
    "rejected": "Rows that did not pass a filter, and the reason.",
}


def build(recipe: Recipe) -> dg.AssetsDefinition:
    out = {
        stage: dg.AssetOut(
            key=key(recipe, stage),
            description=what,
            group_name=recipe.name,
            kinds={"parquet"},
            code_version=recipe.version("labels", "filters", "minimum_yield"),
            automation_condition=follows(recipe),
        )
        for stage, what in WHAT.items()
    }

    @dg.multi_asset(
        name=f"{recipe.name}__filtered",
        outs=out,
        ins={name: dg.AssetIn(key(recipe, name)) for name in ("generations", "scores")},
        partitions_def=partitions_of(recipe, "filtered"),
        check_specs=[check_spec(recipe, "filtered", *item) for item in CHECKS.items()],
    )
    def compute(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        encoder: dg.ResourceParam[MiniLM],
        generations: Table,
        scores: Table,
    ) -> Iterator[dg.MaterializeResult]:
        rows = scored_rows(generations, scores)
        scoring = looks(recipe, lake, partition_of(context)["round"], encoder.encode)
        kept, dropped = keep(rows, list(recipe.filters.values()), scoring)
        rejected = _with_failed_calls(dropped, generations)
        yield result(
            recipe,
            "filtered",
            kept,
            {
                "funnel": plots.bars(
                    "rows", {"generated": len(generations), "accepted": len(rows), "kept": len(kept)}
                ),
                "labels": plots.bars("kept rows by label", kept["label"].value_counts().to_dict()),
            },
            _checks(recipe, generations, kept, dropped),
        )
        reasons = rejected["scorer"].value_counts().to_dict()
        yield result(recipe, "rejected", rejected, {"reasons": plots.bars("dropped rows by reason", reasons)})

    return compute


def scored_rows(generations: Table, scores: Table) -> Table:
    """The accepted rows with their scores: what the filters are given."""
    accepted = generations[generations["accepted"]]
    return accepted.merge(scores.drop(columns=["round", "cell"]), on="row_id", validate="one_to_one")


def looks(recipe: Recipe, lake: Lake, round_: str, encode: Encode) -> Context:
    """What filters over a round look at besides its rows."""
    earlier = rounds_before(recipe, lake, "filtered", round_, columns=["text"])
    return Context(verbalizers=recipe.task.verbalizers(), earlier=list(earlier["text"]), encode=encode)


def _with_failed_calls(dropped: Table, generations: Table) -> Table:
    """Rows that failed while they were generated are rejected rows too."""
    import pandas as pd

    failed = generations[~generations["accepted"]]
    why = failed["error"].where(failed["error"].notna(), failed["reason"])
    failed = failed.assign(
        stage=failed.get("stage", "generations"),  # of a chain, one of its steps
        scorer=failed["reason"],
        value=None,
        threshold=None,
        reason=why,
    )
    return pd.concat([table for table in (failed, dropped) if len(table)] or [failed], ignore_index=True)


def _lack(recipe: Recipe, kept: Table, dropped: Table) -> str:
    """Where a cell has no row, or fewer than a filter needs: which, who dropped the most, and what helps."""
    end = ended(list(recipe.filters.values()), kept, dropped)
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
        unknown = int(lost.loc[lost["scorer"] == dropper, "value"].isna().sum())
        if 2 * unknown > count:
            fix = f"{unknown} of those have no score: what was answered is in {recipe.name}.calls"
        else:
            fix += f", or loosen {dropper}"
    return " ".join([*words, f"{fix}."])


def _checks(recipe: Recipe, generations: Table, kept: Table, dropped: Table) -> list[dg.AssetCheckResult]:
    by_label = {cell: int((kept["cell"] == cell).sum()) for cell in recipe.cells}
    counts = ", ".join(f"{n} {label}" for label, n in by_label.items())
    share = len(kept) / len(generations) if len(generations) else 0.0
    least, most = min(by_label.values()), max(by_label.values())
    lack = _lack(recipe, kept, dropped)
    return [
        check(recipe, "filtered", "rows_present", not lack, lack or f"kept {counts}."),
        check_all(recipe, "filtered", "schema", unique_ids(kept)),
        check(
            recipe,
            "filtered",
            "minimum_yield",
            share >= recipe.minimum_yield,
            f"{share:.0%} of {len(generations)} rows kept, the recipe wants {recipe.minimum_yield:.0%}.",
            share=round(share, 4),
        ),
        check(
            recipe,
            "filtered",
            "label_balance",
            least >= BALANCE * most,
            f"kept {counts}; the rarest needs {BALANCE * most:.0f}.",
        ),
    ]
