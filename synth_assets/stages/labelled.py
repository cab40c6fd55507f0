"""Stage `labelled`: whose label each row carries on, and how sure it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.annotation import annotators
from synth_assets.annotation.people import read_human
from synth_assets.core.text.normal_form import normal_form
from synth_assets.curation.labels.enhance import doubted, enhance
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.run import Run
from synth_assets.stages.stage import ANSWERED, Chart, Made, Markdown, Stage, Table
from synth_assets.students.calibration import batch_calibrated

if TYPE_CHECKING:
    from synth_assets.core.asking import Completes, Encode


def compute(run: Run, filtered: Table) -> Made:
    """Labels with source, former value and confidence."""
    spec = run.recipe.labelled
    if spec.reannotate:
        filtered = reannotated(run.recipe, filtered, run.encode, run.model())
    rows = enhance(
        filtered,
        spec.by,
        labels=run.recipe.labels,
        encode=run.encode,
        stages=spec.stages,
        human=_said_by_people(run, filtered),
    )
    unknown = int(rows["confidence"].isna().sum())
    if spec.by != "condition" and 2 * unknown > len(rows):
        run.warn(
            f"{spec.by} knows nothing of {unknown} of {len(rows)} rows, which keep the label "
            "that was asked for: do the annotators answer with the labels' words?"
        )
    return Made(rows, _numbers(rows))


def asks(run: Run, filtered: Table | None) -> None:
    """Of rows that are not there yet, any may be in doubt."""
    model = run.model()
    if filtered is None:
        run.expect(model, run.recipe.rows * len(run.recipe.cells))
    else:
        reannotated(run.recipe, filtered, run.encode, model)


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


def _said_by_people(run: Run, rows: Table) -> Sequence[str | None]:
    """A label or None for each row. The file is for all rounds: what it labels is a row of one of them."""
    if run.recipe.labelled.human is None:
        return []
    human = read_human(run.recipe.labelled.human, run.recipe.labels)
    if human.beyond(rows[human.column]):
        human.refuse(set(run.of_all("generations", human.column).dropna()))
    return human.of(rows)


def _numbers(rows: Table) -> dict[str, Any]:
    """Confidence, which labels became which, and how many labels each source changed."""
    changed = rows[rows["label"] != rows["former_label"]].dropna(subset=["label"])
    by_source = Counter(changed["label_source"])
    confidence = {label: list(group["confidence"]) for label, group in rows.groupby("label")}
    return {
        "confidence": Chart("histogram", "confidence", confidence),
        "unknown_labels": int(rows["confidence"].isna().sum()),
        "changed_labels": len(changed),
        **{f"changed_by/{source}": n for source, n in sorted(by_source.items())},
        "labels_by_source": Chart("bars", "rows by who gave the label", Counter(rows["label_source"])),
        "former_to_label": _confusion(rows),
    }


def _confusion(rows: Table) -> Markdown:
    """Rows by former label (lines) and label (columns)."""
    import pandas as pd

    counts = pd.crosstab(rows["former_label"], rows["label"])
    return Markdown(counts.to_markdown() if len(counts) else "no labels")


def stage(recipe: Recipe) -> Stage:
    pays = recipe.labelled.reannotate > 0
    return Stage(
        "labelled",
        compute,
        reads=["filtered"],
        sections=["labelled", "annotator"] if pays else ["labelled"],
        checks=ANSWERED if pays else {},
        asks=asks if pays else None,
        model=recipe.annotator_model if pays else None,
        pays=pays,
    )
