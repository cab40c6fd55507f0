"""Whether the labels of a round's rows are right, and how many of its rows were kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from synth_assets.contracts.measure import Look, Metric, Row, row
from synth_assets.contracts.measured import NO_ROWS, Z95, Measured, proportion, unknown, wilson
from synth_assets.evaluation.faithfulness import agreement, ppi_mean
from synth_assets.evaluation.metric_rows import table
from synth_assets.evaluation.of_students import training_set
from synth_assets.evaluation.usefulness import TrainingSet, correct
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import Encode


def correctness(
    real: TrainingSet, synthetic: TrainingSet, people: Mapping[int, bool] | None = None
) -> Measured:
    """Share of synthetic labels that a student of real rows predicts (ZeroGen's Correctness, Ye et al. 2022).

    `people`: number of a synthetic row -> whether its label is right. With them the student's mistakes are
    taken out of the value (`ppi_mean`), and it is the share of right labels.
    """
    if len(set(real.labels)) < 2:
        return unknown("the real rows are not of two classes", len(synthetic.labels))
    if not len(synthetic.labels):
        return unknown(NO_ROWS)
    agrees = correct(real, synthetic.features, synthetic.labels)
    if agrees is None:
        lacking = ", ".join(sorted(set(synthetic.labels) - set(real.labels)))
        return unknown(f"no real row is labelled {lacking}", len(synthetic.labels))
    return right_share(list(agrees), people)


def right_share(agrees: Sequence[bool], people: Mapping[int, bool] | None = None) -> Measured:
    """`correctness` from whether a student gives each row's label, too, and what people say of some rows.

    The interval is Wilson's of as many rows as would give a proportion the error of the prediction-powered
    mean: that holds near 0 and 1 and for few rows, too.
    """
    if people is None:
        return proportion(agrees)
    alone = proportion(list(people.values()), "people have judged no row")
    rest = [bool(a) for i, a in enumerate(agrees) if i not in people]
    found = ppi_mean(list(people.values()), [bool(agrees[i]) for i in people], rest)
    if found.value is None or found.high is None or not 0 < found.value < 1:
        return alone  # a mean sees no chance there
    as_many = found.value * (1 - found.value) * (Z95 / (found.high - found.value)) ** 2
    return Measured(found.value, *wilson(found.value * as_many, as_many), found.n)


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
