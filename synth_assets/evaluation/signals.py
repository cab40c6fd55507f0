"""Signals: what a round shows that the set lacks, for the next one to go by.

Each public function is one, by its name (`core.registry.SIGNALS`). It is given a `Look` without test rows:
the splits `validation` and `demonstration` are what steering may see of the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from synth_assets.contracts.measure import Look
from synth_assets.contracts.signal import Signal
from synth_assets.core.values import missing
from synth_assets.evaluation import targets
from synth_assets.evaluation.signal_rows import means, of_rows, places
from synth_assets.evaluation.similarity import nearest_distances, pairwise_similarity
from synth_assets.evaluation.usefulness import training_set

if TYPE_CHECKING:
    from synth_assets.recipe.target import Target


def error(look: Look) -> Iterator[Signal]:
    """Validation rows that a student of the set so far gets wrong: one minus the probability of the right
    label, and 0 of a row that it gets right. Of a cell, and of a value, the share of its rows that are wrong
    (S3, Wang et al. 2023). Where rows have another target than one label (`task.predict`), how far off it is
    (`targets.off`); of a cell, and of a value, the mean."""
    if look.recipe.task.predict:
        yield from of_rows(look, _off(look, look.recipe.task.predict))
        return
    said = _of_validation(look)
    wrong = said.label != said.rows["label"].to_numpy()
    yield from of_rows(
        look, dict(zip(said.rows["row_id"], np.where(wrong, 1 - said.right, 0.0), strict=True))
    )
    yield from means(look, dict(zip(said.rows["row_id"], wrong.astype(float), strict=True)))


def confusion(look: Look) -> Iterator[Signal]:
    """Share of a label's validation rows that the student takes for another one, which stands as the value of
    `label`; of a cell, the share that is taken for any other."""
    said = _of_validation(look)
    for label, places_of in said.rows.reset_index(drop=True).groupby("label").groups.items():
        taken = pd.Series(said.label[list(places_of)])
        others = taken[taken != label].value_counts().sort_index() / len(taken)
        yield Signal(float(others.sum()), cell=str(label))
        for other, share in others.items():
            yield Signal(float(share), None, str(label), "label", str(other))


def coverage(look: Look) -> Iterator[Signal]:
    """Gaps: validation rows that no synthetic row of their cell is near. The value is the share of real rows
    of the cell whose nearest other real row is nearer than that; 1 where there is no synthetic row at all."""
    rows = look.seeds[look.seeds["split"].isin(["validation", "demonstration"])]
    synthetic = look.so_far("filtered")
    cells = places(look)["cell"].reindex(rows["row_id"]).fillna("").to_numpy()
    made = synthetic["cell"].to_numpy() if cells.any() else np.full(len(synthetic), "")
    for cell in sorted(set(cells)):
        real, near = rows[cells == cell], synthetic[made == cell]
        if len(real) < 2:
            continue
        vectors = np.asarray(look.encode(list(real["text"])))
        gold = (real["split"] == "validation").to_numpy()
        values = np.ones(int(gold.sum()))
        if len(near) and gold.any():
            usual = np.sort(nearest_distances(vectors, vectors, np.arange(len(vectors))))
            apart = nearest_distances(vectors[gold], np.asarray(look.encode(list(near["text"]))))
            values = np.searchsorted(usual, apart) / len(usual)
        yield from of_rows(look, dict(zip(real["row_id"][gold], values, strict=True)))


def diversity(look: Look) -> Iterator[Signal]:
    """How much more alike the kept rows of a cell are than in the round in which they were most varied: the
    rise of their mean similarity, which does not depend on how many they are."""
    alike: dict[str, dict[str, float]] = {}
    for (cell, round_), rows in look.so_far("filtered").groupby(["cell", "round"]):
        value = pairwise_similarity(np.asarray(look.encode(list(rows["text"])))).value
        if value is not None:
            alike.setdefault(str(cell), {})[str(round_)] = value
    for cell, of in alike.items():
        if look.round in of:
            yield Signal(max(0.0, of[look.round] - min(of.values())), cell=cell)


def entropy(look: Look) -> Iterator[Signal]:
    """Of each kept row, how unsure those are who say its label (`labelled`): the entropy of the label's
    probabilities, in bits."""
    rows = look.labelled
    if "entropy" in rows:  # of answers, where texts are annotated
        yield from of_rows(look, dict(zip(rows["row_id"], rows["entropy"], strict=True)))
        return
    values = {}
    for row, known in _probabilities(rows):
        p = np.asarray([value for value in known.values() if value])
        values[row] = float(-(p * np.log2(p)).sum())
    yield from of_rows(look, values)


def disagreement(look: Look) -> Iterator[Signal]:
    """Of each kept row, how little those who say its label (`labelled`) think of the label that it was asked
    for: one minus its probability."""
    asked = dict(zip(look.labelled["row_id"], look.labelled["former_label"], strict=True))
    told = {row: known.get(asked[row]) or 0.0 for row, known in _probabilities(look.labelled)}
    yield from of_rows(look, {row: 1 - p for row, p in told.items() if not missing(asked[row])})


def unused(look: Look) -> Iterator[Signal]:
    """Knowledge that the set has not used: 1 of a value of a condition that no kept row has, and one part in
    one more than the rows that have it. Of rows that a condition takes (`rows`), each by its text."""
    for name, share in look.knowledge().items():
        source = look.recipe.attributes[name]
        if (split := getattr(source, "split", None)) is not None and not source.takes_kept:
            rows = look.seeds[look.seeds["split"] == split]
            worth = {
                row: 1 / (1 + share.times.get(text, 0))
                for row, text in zip(rows["row_id"], rows["text"], strict=True)
            }
            yield from of_rows(look, worth)
        else:
            for item, times in share.times.items():
                yield Signal(1 / (1 + times), attribute=name, attribute_value=item)


def _probabilities(rows: pd.DataFrame) -> Iterator[tuple[str, dict[str, float | None]]]:
    """Of the rows of which they are known."""
    for row, known in zip(rows["row_id"], rows.get("label_probabilities", [None] * len(rows)), strict=True):
        if known is not None and any(not missing(value) for value in known.values()):
            yield row, known


def _off(look: Look, target: Target) -> dict[str, float]:
    """Validation row -> how far off a student of the training set so far is; of none, where the set teaches
    nothing yet."""
    rows, gold = targets.known(target, look.seeds[look.seeds["split"] == "validation"])
    try:
        said = targets.predictions(look, target, look.weighted, list(rows["text"])) if len(rows) else []
    except ValueError:
        return {}
    return dict(zip(rows["row_id"], targets.off(target, said, gold), strict=True))


class _Said(NamedTuple):
    rows: pd.DataFrame  # of the split validation
    right: np.ndarray  # (n,) probability of the right label
    label: np.ndarray  # (n,) the likeliest label


def _of_validation(look: Look) -> _Said:
    """What a student of the training set so far says of the validation rows. A label that the set lacks has
    no chance: all of its rows are wrong."""
    if "validation" not in look.shared:
        rows = look.seeds[(look.seeds["split"] == "validation") & look.seeds["label"].notna()]
        classes, gold = sorted(set(look.weighted["label"].dropna())), list(rows["label"])
        p = np.ones((len(rows), len(classes)))
        if len(classes) > 1 and len(rows):
            train = training_set(look.weighted, look.student)
            wanted = train.labels if train.soft is None else train.soft
            student = look.student.new(classes).fit(train.features, wanted, train.weights)
            p = np.asarray(student.predict_proba(look.student.features(list(rows["text"]))))
        at = {label: place for place, label in enumerate(classes)}
        right = np.array([p[i, at[label]] if label in at else 0.0 for i, label in enumerate(gold)])
        label = np.array(classes, dtype=object)[p.argmax(axis=1)] if classes else np.full(len(rows), None)
        look.shared["validation"] = _Said(rows, right, label)
    found: _Said = look.shared["validation"]
    return found
