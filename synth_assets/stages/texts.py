"""The texts that a recipe annotates: those of its file, and which of them a round takes.

A text is a row of one round alone. A round that is made again keeps those that it has, and takes others only
where no round has them.
"""

from __future__ import annotations

from synth_assets.core.errors import UserError
from synth_assets.core.identity import row_id
from synth_assets.core.text.pairs import both
from synth_assets.recipe.annotate import ITEM, UNSURE
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.run import Run, read_rows
from synth_assets.stages.splits import REST
from synth_assets.stages.stage import Table
from synth_assets.stages.support import Support, support


def texts_of(recipe: Recipe, seeds: Table) -> Support:
    """All texts of the file, each once, by their ids, which rest on the text (of a pair, on both). Seeds that
    are in a split are none: their labels are known."""
    annotated = recipe.task.annotate
    assert annotated is not None
    spec, pair = annotated.texts, recipe.task.pair
    wanted = [spec.text, *spec.fields, *spec.where]
    try:
        found = support(read_rows(annotated.file, spec.read, wanted), spec, (), recipe.seed, None, pair)
    except UserError as error:
        raise UserError(str(error).replace("seeds.", "task.annotate.")) from error
    known = {*both(seeds[seeds["split"] != REST], pair)["text"]}
    of = both(found.rows, pair)["text"]
    rows = found.rows.assign(row_id=[row_id("text", text) for text in of])[~of.isin(known)]
    said = list(found.said)
    if left := len(of) - len(rows):
        said.append(f"{left:,} left out (a seed, whose label is known)")
    rows = rows.rename(columns={"text": ITEM})[["row_id", ITEM, *spec.fields]]
    return found._replace(rows=rows.sort_values("row_id", ignore_index=True), said=said)


def of_round(run: Run, seeds: Table, n: int) -> Table:
    """At most `n` texts of the run's round and cell: those that it has, and then those that no round has.
    UserError where there is none."""
    import pandas as pd

    recipe = run.recipe
    if "texts" not in run.shared:
        run.shared["texts"] = texts_of(recipe, seeds).rows
    rows = run.shared["texts"]
    shard = recipe.cells.index(run.cell)
    own = rows[[int(name[:8], 16) % recipe.shards == shard for name in rows["row_id"]]]
    rounds = run.ids("conditions")
    here = rounds.pop(run.round, set())
    free = own[~own["row_id"].isin(set().union(*rounds.values()) - here)]
    kept = free["row_id"].isin(here)
    taken = own[own["row_id"].isin(set().union(*rounds.values()) | here)]
    found = pd.concat([free[kept], _next(run, seeds, free[~kept], taken, n - int(kept.sum()))]).head(n)
    if found.empty:
        new = int((~rows["row_id"].isin(set().union(*rounds.values()))).sum())
        raise UserError(_none(recipe, len(rows), new, run.cell), "mistake" if new else "nothing_new")
    return found.sort_values("row_id", ignore_index=True)


def _next(run: Run, seeds: Table, free: Table, taken: Table, n: int) -> Table:
    """The `n` texts that a round takes first of those that are free, as the recipe wants them chosen."""
    recipe = run.recipe
    way = recipe.task.annotate.acquire if recipe.task.annotate else None
    if way is None or way.by == "random" or not 0 < n < len(free):
        return free.head(max(0, n))
    import pandas as pd

    from synth_assets.annotation.acquisition import acquire
    from synth_assets.students import made

    pool = both(pd.concat([free, taken]).rename(columns={ITEM: "text"}), recipe.task.pair)
    ids = acquire(
        dict(zip(pool["row_id"], pool["text"], strict=True)),
        n,
        way.by,
        parts=[recipe.seed, run.round, run.cell],
        taken=list(taken["row_id"]),
        labelled=_known(run, seeds) if way.by in UNSURE else ((), ()),
        student=made.build(recipe.student, run.encode, lambda: run.encoder.folder()),
        encode=run.encode,
        candidates=way.candidates,
    )
    return free[free["row_id"].isin(ids)]


def _known(run: Run, seeds: Table) -> tuple[list[str], list[str]]:
    """Texts whose label is known, and their labels: of earlier rounds, and of seeds."""
    import pandas as pd

    pair = run.recipe.task.pair
    rows = run.before("labelled", ["text", "label", *([pair] if pair else [])])
    rows = pd.concat([rows, seeds[seeds["split"] == "demonstration"]])
    rows = rows[rows["label"].notna()]
    return list(both(rows, pair)["text"]), list(rows["label"])


def _none(recipe: Recipe, rows: int, new: int, cell: str) -> str:
    """Why a round has no text, and what to do."""
    assert recipe.task.annotate
    of = f"task.annotate: the {rows:,} texts of {recipe.task.annotate.file}"
    if new:
        return f"{of}: none of part {cell} of {recipe.shards} is new: write fewer shards, or add texts."
    return f"{of} are rows of other rounds: add texts to the file, and the next round asks about those."
