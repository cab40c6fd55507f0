"""What a round tells the next one: how many rows to ask for."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from synth_assets.partitions import cell_key
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages import tables
from synth_assets.stages.stage import key


def report(
    recipe: Recipe,
    lake: Lake,
    context: dg.AssetExecutionContext,
    round_: str,
    yields: Mapping[str, float | None],
) -> None:
    """Write the round's feedback and tell Dagster, one observation a cell."""
    import pandas as pd

    for cell, rows in quotas(yields, recipe.rows).items():
        share = yields[cell]
        table = tables.to_arrow(
            recipe,
            "feedback",
            pd.DataFrame([{"round": round_, "cell": cell, "yield": share, "rows": rows}]),
        )
        lake.write(recipe.name, "feedback", {"round": round_, "cell": cell}, table)
        context.log_event(
            dg.AssetObservation(
                key(recipe, "feedback"),
                partition=cell_key(round_, cell),
                metadata={"cell": cell, "yield": None if share is None else round(share, 4), "rows": rows},
                tags={"dagster/data_version": tables.content_hash(table)},
            )
        )


def quotas(yields: Mapping[str, float | None], rows: int) -> dict[str, int]:
    """Rows to ask of each cell, so that each keeps about the same number: inverse to last round's yield.

    The sum stays `rows` times the number of cells; no cell gets more than twice or less than half of
    `rows`. A cell without a known yield, or with none at all, is taken to yield as the worst known.
    """
    known = [y for y in yields.values() if y]
    if not known:
        return dict.fromkeys(yields, rows)
    inverse = {cell: 1 / (y or min(known)) for cell, y in yields.items()}
    total = sum(inverse.values())
    shares = {cell: len(yields) * v / total for cell, v in inverse.items()}
    return {cell: round(rows * min(2.0, max(0.5, share))) for cell, share in shares.items()}
