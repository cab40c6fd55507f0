"""Stage `seeds`: the user's own rows with content-hashed ids, each in a split (the support set)."""

from __future__ import annotations

from collections.abc import Collection
from os import PathLike
from typing import TYPE_CHECKING, Any

from synth_assets.core.errors import UserError
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.seeds import Seeds
from synth_assets.recipe.target import Target
from synth_assets.stages import tables
from synth_assets.stages.run import Run, read_rows
from synth_assets.stages.stage import Chart, Made, Markdown, Stage, Table
from synth_assets.stages.support import Support, support

if TYPE_CHECKING:
    from synth_assets.stages.run import Lake


def seed_rows(recipe: Recipe, lake: Lake | None = None, given: Any = None) -> Table:
    """The support set; without a file or an asset there are no rows in it. Those of an asset are `given`, or
    as they were when they last were, in the lake."""
    return seeds_of(recipe, lake, given).rows


def seeds_of(recipe: Recipe, lake: Lake | None = None, given: Any = None) -> Support:
    """The same, with what was left out."""
    import pandas as pd

    spec = recipe.seeds
    if spec.asset and given is None:
        if lake is None or not lake.has(recipe.name, "seeds", {}):
            raise UserError(not_here(recipe))
        return Support(lake.read(recipe.name, "seeds", [{}], tables.schema(recipe, "seeds")))
    if spec.origin is None:
        return Support(pd.DataFrame(columns=[*tables.columns(recipe, "seeds")], dtype=object))
    wanted = [spec.text, *spec.fields, *spec.where, *([spec.label] if recipe.labels else [])]
    wanted += [spec.splits["column"]] if "column" in spec.splits else []
    rows = handed(given, spec, wanted) if spec.asset else read_rows(str(spec.file), spec.read, wanted)
    splits: list[str | None] = [None] * len(rows)
    for name, of in spec.sizes.items():
        if of.file:
            own = read_rows(of.file, spec.read, wanted).astype(object)
            rows, splits = pd.concat([rows.astype(object), own]), [*splits, *[name] * len(own)]
    found = support(rows, spec, recipe.labels, recipe.seed, splits, recipe.task.pair)
    if recipe.task.predict:
        _check_target(recipe.task.predict, spec, found.rows)
    return found


def _check_target(target: Target, spec: Seeds, rows: Table) -> None:
    """UserError where a seed's value is not what the recipe says that is learned."""
    for row in rows.to_dict("records"):
        try:
            target.read(row)
        except ValueError as error:
            of = f"seeds.fields.{target.columns[0]}, {spec.origin}"
            fix = "mend it, or leave such rows out with seeds.where"
            raise UserError(f"{of}: {error}, as of the row {row['text'][:60]!r}: {fix}.") from error


def not_here(recipe: Recipe) -> str:
    """Why there is no seed to be had, and what to do."""
    asset = recipe.seeds.asset
    return (
        f"seeds.asset: the rows of {asset} are to be had only in the Dagster project that it is in. There, "
        f"`dg launch --assets {recipe.name}/seeds` reads them, and the job {recipe.name}_round makes rounds."
    )


def handed(value: Any, spec: Seeds, wanted: Collection[str]) -> Table:
    """The value of somebody's asset (a dict where it has partitions) as a table."""
    import pandas as pd

    if isinstance(value, dict):
        return pd.concat([handed(each, spec, wanted) for each in value.values()], ignore_index=True)
    if isinstance(value, str | PathLike):
        return read_rows(str(value), spec.read, wanted)
    if type(value).__module__.startswith("pyarrow"):  # whole numbers beside nulls stay whole
        read = getattr(value, "read_all", None) or getattr(value, "to_table", None)  # a reader; a dataset
        return (read() if read else value).to_pandas(integer_object_nulls=True)
    for method in ("to_pandas", "df"):  # of polars; of DuckDB
        if not isinstance(value, pd.DataFrame) and hasattr(value, method):
            return getattr(value, method)()
    if not isinstance(value, pd.DataFrame):
        what = "a DataFrame, an Arrow table, a DuckDB relation or the path of a file"
        raise UserError(f"seeds.asset {spec.asset}: its value is a {type(value).__name__}, not {what}.")
    return value.reset_index(drop=True)


def compute(run: Run, given: Any = None) -> Made:
    """Real rows (the support set) with their splits; read-only."""
    rows, said, *_ = seeds_of(run.recipe, run.lake, given)
    for words in said:
        run.warn(f"seeds: {words}.")
    counts = rows.groupby(["split", "label"], dropna=False).size()
    named = {f"{s} · {y}" if run.recipe.labels else s: n for (s, y), n in counts.items()}
    numbers: dict[str, Any] = {"splits": Chart("bars", "rows by split and label", named)}
    if said:
        numbers["left_out"] = Markdown("\n".join(f"- {words}" for words in said))
    return Made(rows, numbers)


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    sections = ["labels", "seeds", "seed"]
    return Stage("seeds", compute, given=recipe.seeds.asset, sections=sections, foretold=True)
