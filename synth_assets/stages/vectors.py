"""Stage `vectors`: the sentence vectors of a round's kept rows, for SQL, and for machines that did not make
them."""

from __future__ import annotations

from synth_assets.core.content import text_hash
from synth_assets.core.errors import NotInstalled
from synth_assets.core.text.pairs import MARK
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.run import Run
from synth_assets.stages.stage import Made, Stage, Table


def compute(run: Run, filtered: Table) -> Made:
    """The vector of each text of the kept rows, by a hash of the text and by the encoder."""
    import pandas as pd

    try:
        run.encoder.folder()
    except NotInstalled as error:
        run.warn(f"the vectors are unknown: {error}")
        filtered = filtered[:0]
    fields = ["text", *([run.recipe.task.pair] if run.recipe.task.pair else [])]
    rows = pd.concat([_of(run, filtered, field) for field in fields], ignore_index=True)
    wide = len(rows["vector"].iloc[0]) if len(rows) else 0
    return Made(rows, {"texts": rows["text_hash"].nunique(), "dimensions": wide})


def _of(run: Run, rows: Table, field: str) -> Table:
    import pandas as pd

    rows = rows[rows[field].notna()]
    texts = [text.replace(MARK, " ") for text in rows[field]]  # as those who compare texts read them
    return rows[["row_id"]].assign(
        round=run.round,
        field=field,
        text_hash=list(map(text_hash, texts)),
        encoder=run.encoder.version() if texts else None,
        vector=pd.Series([*run.vectors(texts)] if texts else [], rows.index, object),
    )


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    return Stage("vectors", compute, reads=["filtered"], sections=["vectors"])
