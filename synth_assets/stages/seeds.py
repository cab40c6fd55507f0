"""Stage `seeds`: the user's own rows with content-hashed ids, each in a split (the support set)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from os import PathLike
from typing import TYPE_CHECKING, Any

from synth_assets.core.errors import UserError, unknown
from synth_assets.core.identity import row_id
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.sections import Seeds, Split
from synth_assets.selection.select import ranked
from synth_assets.stages import tables
from synth_assets.stages.run import Run, read_rows
from synth_assets.stages.stage import Chart, Made, Stage, Table

if TYPE_CHECKING:
    from synth_assets.stages.run import Lake


def seed_rows(recipe: Recipe, lake: Lake | None = None, given: Any = None) -> Table:
    """The support set; without a file or an asset there are no rows in it. Those of an asset are `given`, or
    as they were when they last were, in the lake."""
    spec, rows = recipe.seeds, None
    if spec.file:
        rows = read_rows(spec.file)
    elif spec.asset and given is None:
        if lake is None or not lake.has(recipe.name, "seeds", {}):
            raise UserError(not_here(recipe))
        return lake.read(recipe.name, "seeds", [{}], tables.schema(recipe, "seeds"))
    elif spec.asset:
        rows = handed(given, spec.asset)
    return support_set(rows, spec, recipe.labels, recipe.seed)


def not_here(recipe: Recipe) -> str:
    """Why there is no seed to be had, and what to do."""
    asset = recipe.seeds.asset
    return (
        f"seeds.asset: the rows of {asset} are to be had only in the Dagster project that it is in. There, "
        f"`dg launch --assets {recipe.name}/seeds` reads them, and the job {recipe.name}_round makes rounds."
    )


def handed(value: Any, asset: str) -> Table:
    """The value of somebody's asset (a dict where it has partitions) as a table."""
    import pandas as pd

    if isinstance(value, dict):
        return pd.concat([handed(each, asset) for each in value.values()], ignore_index=True)
    if isinstance(value, str | PathLike):
        return read_rows(str(value))
    for method in ("to_pandas", "df"):  # of Arrow and polars; of DuckDB
        if not isinstance(value, pd.DataFrame) and hasattr(value, method):
            return getattr(value, method)()
    if not isinstance(value, pd.DataFrame):
        what = "a DataFrame, an Arrow table, a DuckDB relation or the path of a file"
        raise UserError(f"seeds.asset {asset}: its value is a {type(value).__name__}, not {what}.")
    return value.reset_index(drop=True)


def compute(run: Run, given: Any = None) -> Made:
    """Real rows (the support set) with their splits; read-only."""
    rows = seed_rows(run.recipe, run.lake, given)
    counts = rows.groupby(["split", "label"], dropna=False).size()
    named = {f"{s} · {y}" if run.recipe.labels else s: n for (s, y), n in counts.items()}
    return Made(rows, {"splits": Chart("bars", "rows by split and label", named)})


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    sections = ["labels", "seeds", "seed"]
    return Stage("seeds", compute, given=recipe.seeds.asset, sections=sections, foretold=True)


def support_set(table: Table | None, spec: Seeds, labels: Sequence[str], seed: int) -> Table:
    """Seed rows (row_id, text, label, split) from the user's table.

    Rows that repeat a text are dropped, so that no test row is also a demonstration. Splits are
    balanced over the labels and drawn by rank of the row's id: a row keeps its split when others are
    added, but for the few at a split's edge. Without labels, `label` is null.
    """
    import pandas as pd

    if table is None:
        return pd.DataFrame(columns=["row_id", "text", "label", "split", *spec.fields], dtype=object)
    _check_columns(table, spec, labels)
    for column, value in spec.where.items():
        table = table[table[column].astype(str) == str(value)]
    if table.empty:
        conditions = ", ".join(f"{c} = {v}" for c, v in spec.where.items())
        raise UserError(f"seeds.where: no row of {spec.origin} has {conditions}.")
    rows = pd.DataFrame({"text": table[spec.text], "label": _labels(table, spec, labels) if labels else None})
    for name in spec.fields:
        rows[name] = table[name].astype(str)
    rows["text"] = rows["text"].astype(str).str.strip()
    rows = rows[rows["text"] != ""].drop_duplicates("text")
    rows.insert(0, "row_id", [row_id(t, y) for t, y in zip(rows["text"], rows["label"], strict=True)])
    rows["split"] = rows["row_id"].map(_splits(rows, spec.splits, labels, seed))
    return rows.sort_values("row_id").reset_index(drop=True)


def _check_columns(table: Table, spec: Seeds, labels: Sequence[str]) -> None:
    named = {"text": spec.text} | ({"label": spec.label} if labels else {})
    named |= {f"where.{c}": c for c in spec.where} | {f"fields.{c}": c for c in spec.fields}
    for field, column in named.items():
        if column not in table:
            raise unknown("column", column, table.columns, f"seeds.{field}, {spec.origin}")


def _labels(table: Table, spec: Seeds, labels: Sequence[str]) -> list[str]:
    values = [spec.label_values.get(str(v), str(v)) for v in table[spec.label]]
    strange = sorted(set(values) - set(labels))
    if strange:
        raise UserError(
            f"seeds.label, {spec.origin}: value {strange[0]!r} is no label of the task "
            f"({', '.join(labels)}): map it with seeds.label_values, or leave its rows out with seeds.where."
        )
    return values


def _splits(rows: Table, sizes: Mapping[Split, int], labels: Sequence[str], seed: int) -> dict[str, str]:
    """row_id -> split; a split's size is shared equally by the labels, the first ones take the rest."""
    chosen: dict[str, str] = {}
    groups: Sequence[str | None] = labels or [None]
    for i, label in enumerate(groups):
        of_label = rows if label is None else rows[rows["label"] == label]
        ids = ranked(of_label["row_id"], seed, "split")
        shares = {s: n // len(groups) + (i < n % len(groups)) for s, n in sizes.items()}
        if sum(shares.values()) > len(ids):
            of = "" if label is None else f" labelled {label!r}"
            raise UserError(
                f"seeds.splits asks for {sum(shares.values())} rows{of}, there are {len(ids)}: lower the "
                "splits or add rows."
            )
        rest = iter(ids)
        for split, n in shares.items():
            chosen.update(dict.fromkeys(islice(rest, n), split))
        chosen.update(dict.fromkeys(rest, "unlabeled"))
    return chosen
