"""Asset `labelled`: whose label each row carries on, and how sure it is."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dagster as dg

from synth_assets.annotation import annotators
from synth_assets.annotation.people import read_human
from synth_assets.assets.factory import LANGUAGE_MODEL_POOL, asset, check_all, follows, partition_of, result
from synth_assets.assets.logged_model import CHECKS, BoundModel
from synth_assets.core.asking import Completes, Encode
from synth_assets.core.text.normal_form import normal_form
from synth_assets.curation.labels.enhance import doubted, enhance
from synth_assets.recipe import columns
from synth_assets.recipe.recipe import Recipe
from synth_assets.report import plots
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.storage.lake import Lake
from synth_assets.stages.stage import Table
from synth_assets.students.calibration import batch_calibrated


def build(recipe: Recipe) -> dg.AssetsDefinition:
    spec = recipe.labelled
    asks = spec.reannotate > 0

    @asset(
        recipe,
        "labelled",
        reads=["filtered"],
        sections=["labelled", "annotator"] if asks else ["labelled"],
        checks=CHECKS if asks else {},
        pool=LANGUAGE_MODEL_POOL if asks else None,
        automation_condition=follows(recipe),
    )
    def compute(
        context: dg.AssetExecutionContext,
        language_model: dg.ResourceParam[LanguageModel],
        lake: dg.ResourceParam[Lake],
        encoder: dg.ResourceParam[MiniLM],
        filtered: Table,
    ) -> dg.MaterializeResult:
        """Labels with source, former value and confidence."""
        model = BoundModel(language_model, recipe, context, recipe.annotator_model) if asks else None
        rows = enhance(
            reannotated(recipe, filtered, encoder.encode, model) if model else filtered,
            spec.by,
            labels=recipe.labels,
            encode=encoder.encode,
            stages=spec.stages,
            human=_said_by_people(recipe, lake, filtered),
        )
        unknown = int(rows["confidence"].isna().sum())
        if spec.by != "condition" and 2 * unknown > len(rows):
            where = f"{recipe.name} labelled {partition_of(context)['round']}"
            context.log.warning(
                f"{where}: {spec.by} knows nothing of {unknown} of {len(rows)} rows, which keep the label "
                "that was asked for: do the annotators answer with the labels' words?"
            )
        if not model:
            return result(recipe, "labelled", rows, _metadata(rows))
        model.save_calls(lake)
        verdict = check_all(recipe, "labelled", "answered", *model.verdicts())
        return result(recipe, "labelled", rows, {**_metadata(rows), **model.metadata()}, [verdict])

    return compute


def reannotated(recipe: Recipe, rows: Table, encode: Encode, model: Completes) -> Table:
    """The rows, with what the annotator says of those whose label a student doubts: it is shown the nearest
    rows of the clean pool, the nearest one last, and never a copy (FreeAL, Xiao et al. 2023)."""
    import numpy as np

    if rows.empty:
        return rows
    in_doubt, pool = doubted(rows, recipe.labels, encode)
    vectors, at = encode(list(rows["text"])), np.flatnonzero(in_doubt)
    copies = rows["text"].map(normal_form).to_numpy()
    near = vectors[at] @ vectors[pool].T
    near[copies[at][:, None] == copies[pool]] = -np.inf  # a copy's label would be the answer
    order = [np.argsort(each)[np.isinf(each).sum() :][-recipe.labelled.reannotate :] for each in near]
    shown = [rows.iloc[[pool[i] for i in places]] for places in order]
    said = annotators.label_logprobs(list(rows["text"].iloc[at]), recipe.task, shown, model)
    known = list(rows.get("label_probabilities", [None] * len(rows)))
    for i, found in zip(at, batch_calibrated(said), strict=True):
        known[i] = found
    return rows.assign(label_probabilities=known)


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

    places = lake.partitions(recipe.name, "generations", columns.STAGES["generations"])
    rows = lake.read(recipe.name, "generations", places, pa.schema([(column, pa.string())]))
    return set(rows[column].dropna())


def _metadata(rows: Table) -> dict[str, Any]:
    """Confidence, which labels became which, and how many labels each source changed."""
    changed = rows[rows["label"] != rows["former_label"]].dropna(subset=["label"])
    by_source = Counter(changed["label_source"])
    confidence = {label: list(group["confidence"]) for label, group in rows.groupby("label")}
    return {
        "confidence": plots.histogram("confidence", confidence),
        "unknown_labels": int(rows["confidence"].isna().sum()),
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
