"""Stage `grown`: values by which a tree grows from round to round."""

from __future__ import annotations

from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.run import Run
from synth_assets.stages.stage import ANSWERED, Made, Stage, Table

COLUMNS = ["attribute", "node", "value"]


def compute(run: Run) -> Made:
    """Values that the model lists beyond those of the rounds before; none in a cell's first round."""
    return Made(new(run))


def new(run: Run) -> Table:
    """What this round asks for in this cell."""
    import pandas as pd

    rows, first = [], run.before("conditions", ["round"], run.cell).empty
    for name, source in run.recipe.growing.items():
        if not first:
            before = run.before("grown", COLUMNS, run.cell)
            of_it = before[before["attribute"] == name]
            barren = of_it.loc[of_it["value"].isna(), "node"]
            values = [*_listed(run, name), *of_it["value"].dropna()]
            replicate = f"grown/{name}/{run.round}/{run.cell}"
            found = source.more(values, barren, run.model(lines=source.grows), replicate)
            rows += [(run.round, run.cell, name, node, value) for node, value in found]
    return pd.DataFrame(rows, columns=["round", "cell", *COLUMNS])


def _listed(run: Run, name: str) -> list[str]:
    rows = run.read("values")
    return list(rows.loc[rows["attribute"] == name, "value"])


def so_far(run: Run, name: str) -> list[str]:
    """What the rounds up to this one have added: in the run's cell, or in all."""
    import pandas as pd

    cells = [run.cell] if run.cell else run.recipe.cells
    tables = [run.before("grown", COLUMNS, run.cell or None)]
    for cell in cells:
        place = {"round": run.round, "cell": cell}
        if (planned := run.made.get(("grown", cell))) is not None:
            tables.append(planned)
        elif run.lake.has(run.recipe.name, "grown", place):
            tables.append(run.read("grown", place))
    rows = pd.concat(tables, ignore_index=True)
    return list(rows.loc[rows["attribute"] == name, "value"].dropna())


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    return Stage(
        "grown",
        compute,
        after=["values"],
        sections=["values"],
        checks=ANSWERED,
        asks=new,
        model=recipe.model,
        pays=True,
        follows=True,
    )
