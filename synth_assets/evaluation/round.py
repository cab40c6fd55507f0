"""Whether the labels of a round's rows are right, and how many of its rows were kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from synth_assets.contracts.measure import Row, row
from synth_assets.contracts.measured import Z95, Measured, proportion, unknown, wilson
from synth_assets.core.asking import Encode
from synth_assets.core.errors import NotInstalled
from synth_assets.evaluation.faithfulness import agreement, by_order, ppi_mean
from synth_assets.evaluation.metric_rows import table
from synth_assets.evaluation.usefulness import predicted, training_set
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made


def right_share(agrees: Sequence[bool] | np.ndarray, people: Mapping[int, bool] | None = None) -> Measured:
    """Share of labels that a student of real rows gives, too (ZeroGen's Correctness, Ye et al. 2022).

    `people`: number of a row -> whether its label is right. With them the student's mistakes are taken out of
    the value (`ppi_mean`), and it is the share of right labels.

    The interval is Wilson's of as many rows as would give a proportion the error of the prediction-powered
    mean: that holds near 0 and 1 and for few rows, too.
    """
    if people is None:
        return proportion(list(agrees))
    alone = proportion(list(people.values()), "people have judged no row")
    rest = [bool(a) for i, a in enumerate(agrees) if i not in people]
    found = ppi_mean(list(people.values()), [bool(agrees[i]) for i in people], rest)
    if found.value is None or found.high is None or not 0 < found.value < 1:
        return alone  # a mean sees no chance there
    as_many = found.value * (1 - found.value) * (Z95 / (found.high - found.value)) ** 2
    return Measured(found.value, *wilson(found.value * as_many, as_many), found.n)


def faithfulness(
    rows: pd.DataFrame,
    seeds: pd.DataFrame,
    attributes: Sequence[str],
    encode: Encode,
    order: Sequence[str] = (),
) -> pd.DataFrame:
    """Share of the rows' labels that a student of the real rows gives them, in all, by label and by condition
    value; all corrected by people where `label_source` says that they labelled some (`label` is theirs). Of
    those rows, how far people and the labels that were asked for agree (Cohen's kappa; with quadratic
    weights too, of labels that have an `order`)."""
    by_people = rows["label_source"].eq("human") if "label_source" in rows else rows["label"].isna()
    asked = rows["former_label"] if "former_label" in rows else rows["label"]
    found = []
    if by_people.any():
        told = list(asked[by_people]), list(rows["label"][by_people])
        found.append(row("kappa", "filtered", agreement(*told)["kappa"]))
        if order:
            found.append(row("weighted_kappa", "filtered", by_order(*told, order)["quadratic_kappa"]))
    real = seeds[seeds["split"].isin(["demonstration", "validation"])]
    if real["label"].nunique() < 2 or rows.empty:
        return table(found)
    try:
        trained = training_set(real, Made(encode, Student))
    except NotInstalled as error:
        return table([*found, row("correctness", "filtered", unknown(str(error), len(rows)))])
    people = {i: bool(rows["label"].iloc[i] == asked.iloc[i]) for i, seen in enumerate(by_people) if seen}
    said = predicted(trained, encode(list(rows["text"])), list(asked))
    if said is None:
        lacking = ", ".join(sorted(set(asked) - set(trained.labels)))
        why = unknown(f"no real row is labelled {lacking}", len(asked))
        return table([*found, row("correctness", "filtered", why)])
    found.append(row("correctness", "filtered", right_share(said.right, people or None)))
    for attribute in ["label", *attributes]:
        values = asked if attribute == "label" else rows[attribute]
        for value in sorted(values.dropna().unique()) if values.nunique() <= 50 else ():
            at = (values == value).to_numpy().nonzero()[0]
            seen = {j: people[i] for j, i in enumerate(at) if i in people} if people else None
            of = {"attribute": attribute, "attribute_value": value}
            measured = right_share(said.right[at], seen)
            found.append(row("correctness", f"{attribute}={value}", measured, **of))
    return table(found)


def yields(generations: pd.DataFrame, filtered: pd.DataFrame) -> pd.DataFrame:
    """Kept rows over rows asked for, in all and by cell."""
    counts = {"all": (len(filtered), len(generations))}
    for cell, asked in generations["cell"].value_counts().sort_index().items():
        counts[str(cell)] = (int((filtered["cell"] == cell).sum()), int(asked))
    return table(Row("yield", name, kept / n, *wilson(kept, n), n) for name, (kept, n) in counts.items())
