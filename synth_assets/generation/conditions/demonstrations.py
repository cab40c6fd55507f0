"""Which rows a question shows as demonstrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.provider import Around, of_last
from synth_assets.core import templates
from synth_assets.core.errors import UserError
from synth_assets.core.values import equal
from synth_assets.selection.select import select, select_mixed, select_random

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.recipe.recipe import Recipe
    from synth_assets.recipe.sections import Demonstrations


def demonstrations_of(
    recipe: Recipe, around: Around, question: int, row: Mapping[str, Any], place: Sequence[object]
) -> tuple[int, list[str]]:
    """The set, and the ids, of the rows that a question is asked with."""
    shown = recipe.demonstrations
    if shown is None or not shown.size:
        return 0, []
    if shown.query is not None or shown.within is not None:  # each row has its own
        return question, _chosen(recipe, shown, around, row, (*place, question))
    turn = question % shown.sets
    return turn, around.once((*place, turn), lambda: _chosen(recipe, shown, around, row, (*place, turn)))


def _chosen(
    recipe: Recipe, shown: Demonstrations, around: Around, row: Mapping[str, Any], parts: Sequence[object]
) -> list[str]:
    if shown.mix:
        sizes = {str(name): n for name, n in shown.mix.items()}
        pools = {name: list(_pool(recipe, around, name, row, n)["row_id"]) for name, n in sizes.items()}
        return select_mixed(pools, sizes, *parts)
    pool = _pool(recipe, around, shown.pool, row, shown.k)
    ids = list(pool["row_id"])
    if shown.score and (scores := _scores(around, shown.score, pool)):
        return select(ids, shown.k, shown.by, parts=parts, scores=scores)
    if shown.by == "random" or shown.score:
        return select_random(ids, shown.k, *parts)
    if around.encode is None:
        raise UserError(f"demonstrations.by: {shown.by} needs an encoder, and there is none here.")
    encode = around.encode
    vectors = around.once(tuple(ids), lambda: encode(list(pool["text"])))
    query = encode([templates.render(shown.query, row)])[0] if shown.query is not None else None
    how: dict[str, Any] = {"neighbours": shown.neighbours, "nearest_first": shown.order == "nearest_first"}
    return select(ids, shown.k, shown.by, parts=parts, vectors=vectors, query=query, **how)


def _scores(around: Around, score: str, pool: pd.DataFrame) -> list[float | None]:
    """A column of the rows, or else a signal of the last round; nothing where it is known of none."""
    if score in pool:
        return list(pool[score])
    values = around.signals(score)
    found = [values.get(row) for row in pool["row_id"]]
    return [] if all(value is None for value in found) else found


def _pool(recipe: Recipe, around: Around, name: str, row: Mapping[str, Any], k: int) -> pd.DataFrame:
    """The rows that may be shown to a row. UserError when they are fewer than `k`."""
    shown, cell = recipe.demonstrations, row["label"] or "of all rows"
    assert shown is not None
    seeds = around.rows.get("shown", around.rows["seeds"])
    kept = name == "kept" and len(around.rows.get(name, ()))
    pool = of_last(around.rows[name], shown.last) if kept else seeds
    if "split" in pool:
        pool = pool[pool["split"] == "demonstration"]
    where = ""
    if recipe.of_labels and shown.label == "same":
        pool, where = pool[pool["label"] == row["label"]], f" labelled {row['label']!r}"
    if shown.within:
        value = row[shown.within.casefold()]  # as conditions are written
        has = pool[shown.within if shown.within in pool else shown.within.casefold()]  # kept rows: likewise
        same = has == value
        pool = pool[same if same.any() else [equal(value, each) for each in has]]
        where += f" with {shown.within} = {value!r}"
    if len(pool) < k:
        why = f"cell {cell!r} has {len(pool)} demonstration rows, fewer than demonstrations.k = {k}"
        raise UserError(f"{why}: raise seeds.splits.demonstration, add seed rows{where}, or lower k.")
    return pool
