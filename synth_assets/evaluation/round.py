"""Whether the labels of a round's rows are right, and how many of its rows were kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synth_assets.contracts.measure import Look, Metric, Row, row
from synth_assets.evaluation.faithfulness import agreement, correctness, right_share
from synth_assets.evaluation.metric_rows import table
from synth_assets.evaluation.of_students import training_set
from synth_assets.evaluation.usefulness import TrainingSet, correct, wilson
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import Encode


def faithfulness(
    rows: pd.DataFrame, seeds: pd.DataFrame, attributes: Sequence[str], encode: Encode
) -> pd.DataFrame:
    """Share of the rows' labels that a student of the real rows gives them, in all, by label and by condition
    value; all corrected by people where `label_source` says that they labelled some (`label` is theirs). Of
    those rows, how far people and the labels that were asked for agree (Cohen's kappa)."""
    by_people = rows["label_source"].eq("human") if "label_source" in rows else rows["label"].isna()
    asked = rows["former_label"] if "former_label" in rows else rows["label"]
    found = []
    if by_people.any():
        kappa = agreement(list(asked[by_people]), list(rows["label"][by_people]))["kappa"]
        found.append(row("kappa", "filtered", kappa))
    real = seeds[seeds["split"].isin(["demonstration", "validation"])]
    if real["label"].nunique() < 2 or rows.empty:
        return table(found)
    trained = training_set(real, Made(encode, Student))
    people = {i: bool(rows["label"].iloc[i] == asked.iloc[i]) for i, seen in enumerate(by_people) if seen}
    whole = TrainingSet(encode(list(rows["text"])), list(asked))
    found.append(row("correctness", "filtered", correctness(trained, whole, people or None)))
    agrees = correct(trained, whole.features, whole.labels)
    if agrees is None:
        return table(found)
    for attribute in ["label", *attributes]:
        values = asked if attribute == "label" else rows[attribute]
        for value in sorted(values.dropna().unique()) if values.nunique() <= 50 else ():
            at = (values == value).to_numpy().nonzero()[0]
            seen = {j: people[i] for j, i in enumerate(at) if i in people} if people else None
            of = {"attribute": attribute, "attribute_value": value}
            measured = right_share(list(agrees[at]), seen)
            found.append(row("correctness", f"{attribute}={value}", measured, **of))
    return table(found)


def yields(generations: pd.DataFrame, filtered: pd.DataFrame) -> pd.DataFrame:
    """Kept rows over rows asked for, in all and by cell."""
    counts = {"all": (len(filtered), len(generations))}
    for cell, asked in generations["cell"].value_counts().sort_index().items():
        counts[str(cell)] = (int((filtered["cell"] == cell).sum()), int(asked))
    return table(Row("yield", name, kept / n, *wilson(kept, n), n) for name, (kept, n) in counts.items())


class Faithfulness(Metric):
    """Whether the labels of the rows are right, by a student of the real rows and by people."""

    name = "faithfulness"

    def measure(self, look: Look) -> pd.DataFrame:
        """Nothing of a task without labels."""
        attributes = list(look.recipe.attributes)
        if not look.recipe.labels:
            return table([])
        told = look.labelled.merge(look.filtered[["row_id", *attributes]], on="row_id")
        return faithfulness(told, look.seeds, attributes, look.encode)
