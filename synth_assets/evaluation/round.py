"""Whether the labels of a round's rows are right, and how many of its rows were kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from synth_assets.contracts.measure import Row, row
from synth_assets.contracts.measured import Z95, Measured, proportion, unknown, wilson
from synth_assets.core.asking import Encode
from synth_assets.core.errors import NotInstalled
from synth_assets.evaluation.faithfulness import kappa, pairs, ppi_mean
from synth_assets.evaluation.metric_rows import table
from synth_assets.evaluation.usefulness import predicted, training_set
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made

NOT_DRAWN = (
    "people labelled no row of it that was drawn at random: `synth sample NAME -n 100 --to FILE` draws some, "
    "and its columns draw and probability say so"
)


class Sample(NamedTuple):
    """The rows of a round that people labelled, and that were drawn at random."""

    right: Mapping[int, bool] | None = None  # number of a row -> whether the label it was asked for is right
    weights: Mapping[int, float] | None = None  # one over how likely it was drawn, where that differs

    def within(self, places: Sequence[int] | np.ndarray) -> Sample:
        """Of some rows, by their place among them."""
        at = {j: i for j, i in enumerate(places) if self.right and i in self.right}
        right = None if self.right is None else {j: self.right[i] for j, i in at.items()}
        return Sample(right, None if self.weights is None else {j: self.weights[i] for j, i in at.items()})


def by_people(rows: pd.DataFrame) -> Sample:
    """What people said of rows that were drawn at random. Those that somebody chose are no sample of all:
    people's word for them is the row's label, and measures nothing."""
    if "human_draw" not in rows or not rows["human_draw"].eq("random").any():
        return Sample()
    drawn = rows["human_draw"].eq("random").to_numpy()
    at = drawn.nonzero()[0].tolist()
    right = (rows["label"] == rows["former_label"])[drawn]
    weights = 1 / rows["human_probability"][drawn].astype(float)
    differ = weights.nunique() > 1
    return Sample(
        dict(zip(at, map(bool, right), strict=True)),
        dict(zip(at, weights.tolist(), strict=True)) if differ else None,
    )


def right_share(
    agrees: Sequence[bool] | np.ndarray,
    people: Mapping[int, bool] | None = None,
    weights: Mapping[int, float] | None = None,
) -> Measured:
    """Share of labels that a student of real rows gives, too (ZeroGen's Correctness, Ye et al. 2022).

    `people`: number of a row, drawn at random -> whether its label is right (`weights`: one over how likely
    it was drawn, where that differs). With them the student's mistakes are taken out of the value
    (`ppi_mean`), and it is the share of right labels.

    The interval is Wilson's of as many rows as would give a proportion the error of the prediction-powered
    mean: that holds near 0 and 1 and for few rows, too.
    """
    if people is None:
        return proportion(list(agrees))
    if not people:
        return unknown(NOT_DRAWN)
    each = [weights[i] for i in people] if weights else None
    rest = [bool(a) for i, a in enumerate(agrees) if i not in people]
    found = ppi_mean(list(people.values()), [bool(agrees[i]) for i in people], rest, weights=each)
    if found.value is None or found.high is None or not 0 < found.value < 1:
        return share_of_sample(list(people.values()), each)  # a mean sees no chance there
    as_many = found.value * (1 - found.value) * (Z95 / (found.high - found.value)) ** 2
    return Measured(found.value, *wilson(found.value * as_many, as_many), found.n)


def share_of_sample(right: Sequence[bool], weights: Sequence[float] | None = None) -> Measured:
    """The share that people found right, of as many rows as unequal ones are worth (Kish 1965)."""
    if weights is None:
        return proportion(right)
    share = np.array(weights) / sum(weights)
    value, n = float(share @ np.array(right)), 1 / float(share @ share)
    return Measured(value, *wilson(value * n, n), len(right))


def faithfulness(
    rows: pd.DataFrame,
    seeds: pd.DataFrame,
    attributes: Sequence[str],
    encode: Encode,
    order: Sequence[str] = (),
) -> pd.DataFrame:
    """Share of the rows' labels that a student of the real rows gives them, in all, by label and by condition
    value; all corrected by people where they labelled rows that were drawn at random (`by_people`). Of those
    rows, how far people and the labels that were asked for agree (Cohen's kappa; with quadratic weights too,
    of labels that have an `order`)."""
    people = by_people(rows)
    asked = rows["former_label"] if "former_label" in rows else rows["label"]
    found = list(_kappas(rows, people, order))
    real = seeds[seeds["split"].isin(["demonstration", "validation"])]
    if real["label"].nunique() < 2 or rows.empty:
        return table(found)
    try:
        trained = training_set(real, Made(encode, Student))
    except NotInstalled as error:
        return table([*found, row("correctness", "filtered", unknown(str(error), len(rows)))])
    said = predicted(trained, encode(list(rows["text"])), list(asked))
    if said is None:
        lacking = ", ".join(sorted(set(asked) - set(trained.labels)))
        why = unknown(f"no real row is labelled {lacking}", len(asked))
        return table([*found, row("correctness", "filtered", why)])
    found.append(row("correctness", "filtered", right_share(said.right, *people)))
    for attribute in ["label", *attributes]:
        values = asked if attribute == "label" else rows[attribute]
        for value in sorted(values.dropna().unique()) if values.nunique() <= 50 else ():
            at = (values == value).to_numpy().nonzero()[0]
            of = {"attribute": attribute, "attribute_value": value}
            measured = right_share(said.right[at], *people.within(at))
            found.append(row("correctness", f"{attribute}={value}", measured, **of))
    return table(found)


def _kappas(rows: pd.DataFrame, people: Sample, order: Sequence[str]) -> Iterator[Row]:
    """Nothing where people labelled no row."""
    if "label_source" not in rows or not rows["label_source"].eq("human").any():
        return
    drawn = rows.iloc[list(people.right or ())]
    weights = list(people.weights.values()) if people.weights else None
    for name, power in {"kappa": None, **({"weighted_kappa": 2} if order else {})}.items():
        told = pairs(list(drawn["former_label"]), list(drawn["label"]), order if power else None)
        yield row(name, "filtered", kappa(told, power, weights) if told else unknown(NOT_DRAWN))


def yields(generations: pd.DataFrame, filtered: pd.DataFrame) -> pd.DataFrame:
    """Kept rows over rows asked for, in all and by cell."""
    counts = {"all": (len(filtered), len(generations))}
    for cell, asked in generations["cell"].value_counts().sort_index().items():
        counts[str(cell)] = (int((filtered["cell"] == cell).sum()), int(asked))
    return table(Row("yield", name, kept / n, *wilson(kept, n), n) for name, (kept, n) in counts.items())
