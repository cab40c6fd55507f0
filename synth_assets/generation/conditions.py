"""Conditions: one row a request-to-be (Long et al. 2024, section 3.1.1, conditional prompting).

Every choice is made by rank of a hash (see selection): a row keeps its values when rows, values or
seeds are added elsewhere, and so keeps its identity and its paid answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from synth_assets.errors import UserError
from synth_assets.identity import row_id
from synth_assets.selection.select import pick, select_random

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.recipe import Demonstrations, Recipe


def design(recipe: Recipe, seeds: pd.DataFrame, *, round_: str, cell: str, rows: int) -> pd.DataFrame:
    """The condition table of one cell: `rows` rows, each attribute drawn uniformly and by itself.

    Rows share `sets` sets of `k` demonstrations of the cell's label; neighbouring rows use different
    sets, but for the `samples` rows of one question, which stand together. Raises UserError when there are
    fewer than `k` demonstrations.
    """
    import pandas as pd

    shown, label = recipe.demonstrations, recipe.task.classify[cell]
    sets = _demonstration_sets(shown, seeds, recipe.seed, round_, cell) if shown and shown.k else [[]]
    table = []
    for i in range(rows):
        question = i // recipe.samples
        values = {
            name: pick(vs, recipe.seed, round_, cell, question, name)
            for name, vs in recipe.attributes.items()
        }
        table.append(
            {
                "row_id": row_id(round_, cell, i, values),
                "round": round_,
                "cell": cell,
                "replicate": i,
                "label": cell,
                **values,
                "definition": label.definition,
                "verbalizer": label.verbalizer or cell,
                "demonstration_set": question % len(sets),
                "demonstration_ids": sets[question % len(sets)],
            }
        )
    return pd.DataFrame(table)


def _demonstration_sets(
    shown: Demonstrations, seeds: pd.DataFrame, seed: int, round_: str, cell: str
) -> list[list[str]]:
    pool = seeds[(seeds["split"] == "demonstration") & (seeds["label"] == cell)]
    if len(pool) < shown.k:
        raise UserError(
            f"cell {cell!r} has {len(pool)} demonstration rows, fewer than demonstrations.k = {shown.k}: "
            f"raise seeds.splits.demonstration, add seed rows labelled {cell!r}, or lower k."
        )
    return [select_random(list(pool["row_id"]), shown.k, seed, round_, cell, s) for s in range(shown.sets)]


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
