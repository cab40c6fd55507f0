"""Asset `labelled`: whose label each row carries on, and how sure it is."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dagster as dg

from resources.encoder import MiniLM
from resources.lake import Lake
from synth_assets import tables
from synth_assets.assets import plots
from synth_assets.assets.stage import Table, asset, follows, result
from synth_assets.curation.labels import enhance, read_human
from synth_assets.recipe import Recipe


def build(recipe: Recipe) -> dg.AssetsDefinition:
    @asset(
        recipe,
        "labelled",
        reads=["filtered"],
        sections=["labelled"],
        automation_condition=follows(recipe),
    )
    def compute(
        lake: dg.ResourceParam[Lake], encoder: dg.ResourceParam[MiniLM], filtered: Table
    ) -> dg.MaterializeResult:
        """Labels with source, former value and confidence."""
        spec = recipe.labelled
        rows = enhance(
            filtered,
            spec.by,
            labels=recipe.labels,
            encode=encoder.encode,
            stages=spec.stages,
            human=_said_by_people(recipe, lake, filtered),
        )
        return result(recipe, "labelled", rows, _metadata(rows))

    return compute


def _said_by_people(recipe: Recipe, lake: Lake, rows: Table) -> Sequence[str | None]:
    """A label or None for each row. The file is for all rounds: what it labels is a row of one of them."""
    if recipe.labelled.human is None:
        return []
    human = read_human(recipe.labelled.human, recipe.labels)
    if human.beyond(rows[human.column]):
        human.refuse(_of_all_rounds(recipe, lake, human.column))
    return human.of(rows)


def _of_all_rounds(recipe: Recipe, lake: Lake, column: str) -> set[str]:
    """The values of a column of all rows that were generated, kept or not."""
    import pyarrow as pa

    places = lake.partitions(recipe.name, "generations", tables.STAGES["generations"])
    rows = lake.read(recipe.name, "generations", places, pa.schema([(column, pa.string())]))
    return set(rows[column].dropna())


def _metadata(rows: Table) -> dict[str, Any]:
    """Confidence, which labels became which, and how many labels each source changed."""
    changed = rows[rows["label"] != rows["former_label"]].dropna(subset=["label"])
    by_source = Counter(changed["label_source"])
    confidence = {label: list(group["confidence"]) for label, group in rows.groupby("label")}
    return {
        "confidence": plots.histogram("confidence", confidence),
        "changed_labels": len(changed),
        **{f"changed_by/{source}": n for source, n in sorted(by_source.items())},
        "labels_by_source": plots.bars("rows by who gave the label", Counter(rows["label_source"])),
        "former_to_label": _confusion(rows),
    }


def _confusion(rows: Table) -> dg.MarkdownMetadataValue:
    """Rows by former label (lines) and label (columns)."""
    import pandas as pd

    counts = pd.crosstab(rows["former_label"], rows["label"])
    return dg.MetadataValue.md(counts.to_markdown() if len(counts) else "no labels")
